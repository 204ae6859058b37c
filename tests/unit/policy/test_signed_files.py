"""By what policies accept a plan: its signature over the bytes that were read, and nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from orchestrator.policy.file import read_policy
from orchestrator.policy.model import Policy
from orchestrator.policy.signed_files import (
    Acceptance,
    check_signatures,
    find_signature_problems,
)
from orchestrator.signatures import ssh_keygen
from orchestrator.signatures.model import Signer
from tests.support.recorded import HEAD
from tests.support.signing import KeyPair, allow_line, make_key, sign_file

PLAN = f"{HEAD}probes:\n  p: {{attach: 'tracepoint:sched:sched_switch', emit: {{}}}}\n".encode()
EVIL = PLAN.replace(b"sched_switch", b"sched_waking")
MakePolicy = Callable[..., Policy]


@pytest.fixture(scope="module")
def ann(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return make_key(tmp_path_factory.mktemp("keys"), "ann")


@pytest.fixture(scope="module")
def bob(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return make_key(tmp_path_factory.mktemp("keys"), "bob")


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_bytes(PLAN)
    return file


@pytest.fixture
def make_policy(tmp_path: Path) -> MakePolicy:
    """A policy read from a file, whose one allowed signer is `key`."""

    def make(
        key: KeyPair, *, name: str = "policy", principal: str = "x", **rules: object
    ) -> Policy:
        signers = tmp_path / f"{name}.signers"
        signers.write_text(allow_line(principal, key))
        given = {"required": "true", "signers": signers, **rules}
        listed = ", ".join(f"{key}: {value}" for key, value in given.items())
        file = tmp_path / f"{name}.yaml"
        file.write_text(
            f"apiVersion: probeplan/v1\nkind: Policy\nowner: sec\nsignatures: {{{listed}}}\n"
        )
        return read_policy(file)

    return make


def not_shipped(_content: bytes) -> bool:
    return False


def judge(file: Path, *policies: Policy, is_shipped=not_shipped) -> tuple[Acceptance, ...]:
    return check_signatures(file.read_bytes(), str(file), policies, is_shipped)


def refusals(file: Path, *policies: Policy, is_shipped=not_shipped) -> list[tuple[str, str]]:
    with pytest.raises(HostError) as caught:
        judge(file, *policies, is_shipped=is_shipped)
    return [(finding.code, finding.message) for finding in caught.value.findings]


def test_a_signed_plan_is_accepted_and_its_signer_named(plan_file, make_policy, ann) -> None:
    sign_file(ann, plan_file)
    policy = make_policy(ann, principal="ann@example.com")
    signer = Signer(principal="ann@example.com", key=ann.fingerprint)
    assert judge(plan_file, policy) == (
        Acceptance(policy=policy.file, status="accepted", signer=signer),
    )


def test_without_rules_a_signature_is_not_looked_at(plan_file, ann, tmp_path) -> None:
    """There is no one whose signature would count."""
    file = tmp_path / "plain.yaml"
    file.write_text("apiVersion: probeplan/v1\nkind: Policy\n")
    plan_file.with_name("plan.yaml.sig").write_bytes(b"junk")
    assert judge(plan_file, read_policy(file)) == ()


def test_an_unsigned_plan_runs_only_where_no_signature_is_required(
    plan_file, make_policy, ann
) -> None:
    [(code, message)] = refusals(plan_file, make_policy(ann))
    assert code == "PP131"
    assert message.startswith(f"this plan is not signed: there is no {plan_file}.sig: signatures")
    lax = make_policy(ann, name="lax", required="false")
    assert judge(plan_file, lax) == (Acceptance(policy=lax.file, status="absent"),)


@pytest.mark.parametrize("required", ["true", "false"])
def test_a_bad_signature_is_refused_whether_one_is_required_or_not(
    plan_file, make_policy, ann, bob, required: str
) -> None:
    """Of another key, of other bytes, of nothing at all, and one that cannot be read."""
    policy = make_policy(ann, required=required)
    signature = sign_file(bob, plan_file)
    assert [code for code, _ in refusals(plan_file, policy)] == ["PP132"]
    sign_file(ann, plan_file)
    plan_file.write_bytes(EVIL)
    [(code, message)] = refusals(plan_file, policy)
    assert (code, "incorrect signature" in message) == ("PP132", True)
    signature.write_bytes(b"")
    assert [code for code, _ in refusals(plan_file, policy)] == ["PP132"]
    signature.write_bytes(b"-" * (64 << 10) + b"-")
    assert "is larger than 64 KiB" in refusals(plan_file, policy)[0][1]
    signature.unlink()
    signature.mkdir()
    assert "cannot be read: Is a directory" in refusals(plan_file, policy)[0][1]


def test_a_pipe_in_the_place_of_the_signature_is_refused_at_once(
    plan_file, make_policy, ann
) -> None:
    """Opening it must not wait for a writer."""
    os.mkfifo(f"{plan_file}.sig")
    assert "is not a regular file" in refusals(plan_file, make_policy(ann))[0][1]


def test_what_is_judged_are_the_bytes_that_were_read_and_not_the_file(
    plan_file, make_policy, ann
) -> None:
    """The file is replaced between reading and verifying: a good one put in place of the evil one
    that was read helps nothing, and an evil one in place of the good one harms nothing."""
    policy = make_policy(ann)
    sign_file(ann, plan_file)
    plan_file.write_bytes(EVIL)
    read = load_plan(plan_file)
    plan_file.write_bytes(PLAN)
    with pytest.raises(HostError, match="incorrect signature"):
        check_signatures(read.source, read.file, [policy], not_shipped)
    read = load_plan(plan_file)
    plan_file.write_bytes(EVIL)
    [acceptance] = check_signatures(read.source, read.file, [policy], not_shipped)
    assert (acceptance.status, read.source) == ("accepted", PLAN)


def test_who_may_sign_is_what_the_policy_named_when_it_was_read(
    plan_file, make_policy, ann, bob, tmp_path
) -> None:
    """Signers that are put there later are not asked."""
    policy = make_policy(ann)
    (tmp_path / "policy.signers").write_text(allow_line("x", bob))
    sign_file(bob, plan_file)
    assert [code for code, _ in refusals(plan_file, policy)] == ["PP132"]
    sign_file(ann, plan_file)
    assert judge(plan_file, policy)[0].status == "accepted"


def test_of_several_policies_each_has_to_accept(plan_file, make_policy, ann, bob) -> None:
    """One that requires a signature is not overruled by one that does not, nor by its signers."""
    lax = make_policy(ann, name="lax", required="false")
    strict = make_policy(bob, name="strict")
    assert [code for code, _ in refusals(plan_file, lax, strict)] == ["PP131"]
    sign_file(ann, plan_file)
    [(code, message)] = refusals(plan_file, lax, strict)
    assert (code, strict.file in message) == ("PP132", True)
    both = make_policy(ann, name="both")
    assert [acceptance.policy for acceptance in judge(plan_file, lax, both)] == [
        lax.file,
        both.file,
    ]


def test_shipped_plans_need_a_signature_unless_the_policy_trusts_them(
    plan_file, make_policy, ann
) -> None:
    """What counts is what the plan is, not where it was read from."""
    shipped = PLAN.__eq__
    assert [code for code, _ in refusals(plan_file, make_policy(ann), is_shipped=shipped)] == [
        "PP131"
    ]
    trusting = make_policy(ann, name="trusting", shipped="trusted")
    [acceptance] = judge(plan_file, trusting, is_shipped=shipped)
    assert (acceptance.status, acceptance.signer) == ("shipped", None)
    plan_file.write_bytes(EVIL)
    assert [code for code, _ in refusals(plan_file, trusting, is_shipped=shipped)] == ["PP131"]


@pytest.mark.parametrize("file", ["<stdin>", "<plan>"])
def test_what_comes_from_no_file_has_no_signature(
    make_policy, ann, tmp_path, monkeypatch, file: str
) -> None:
    """Whatever may be called so in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path(f"{file}.sig").write_bytes(ann.sign(PLAN))
    with pytest.raises(HostError, match="it does not come from a file") as caught:
        check_signatures(PLAN, file, [make_policy(ann)], not_shipped)
    assert caught.value.findings[0].code == "PP131"


def test_a_signature_of_nothing_is_none_of_a_plan_that_was_built_without_a_text(
    plan_file, make_policy, ann
) -> None:
    """A plan within a test in Python has the test's file, and no bytes that could be signed."""
    plan_file.write_bytes(b"")
    sign_file(ann, plan_file)
    assert refusals(plan_file, make_policy(ann))[0][0] == "PP131"


def test_without_ssh_keygen_a_required_signature_cannot_be_accepted(
    plan_file, make_policy, ann, tmp_path, monkeypatch
) -> None:
    """Where none is required the plan runs as an unsigned one would, and that is recorded."""
    monkeypatch.setattr(ssh_keygen, "DIRECTORIES", (str(tmp_path),))
    sign_file(ann, plan_file)
    [(code, message)] = refusals(plan_file, make_policy(ann))
    assert code == "PP133"
    assert f"there is no ssh-keygen in {tmp_path}" in message
    lax = make_policy(ann, name="lax", required="false")
    assert judge(plan_file, lax) == (Acceptance(policy=lax.file, status="unchecked"),)


def test_signers_that_cannot_be_read_refuse_a_run_and_warn_a_linter(
    plan_file, make_policy, ann, tmp_path
) -> None:
    """A linter may look at a policy of other hosts."""
    missing = tmp_path / "missing"
    for required in ("true", "false"):
        policy = make_policy(ann, signers=missing, required=required)
        signature = sign_file(ann, plan_file)
        assert [code for code, _ in refusals(plan_file, policy)] == ["PP133"]
        [warning] = find_signature_problems(PLAN, str(plan_file), [policy], not_shipped)
        assert (warning.code, warning.severity) == ("PP133", "warning")
        assert f"{missing} cannot be read: No such file or directory" in warning.message
        signature.unlink()
    unsigned = find_signature_problems(PLAN, str(plan_file), [make_policy(ann)], not_shipped)
    assert [(one.code, one.severity) for one in unsigned] == [("PP131", "error")]


def test_revoked_keys_are_those_of_the_policys_list(plan_file, make_policy, ann, tmp_path) -> None:
    sign_file(ann, plan_file)
    revoked = tmp_path / "revoked"
    revoked.write_bytes(ann.revoke(ann))
    [(code, message)] = refusals(plan_file, make_policy(ann, revoked=revoked))
    assert code == "PP132"
    assert f"the key {ann.fingerprint} is revoked by {revoked}" in message
