"""Signed plans by the command line: explain and lint, their exit codes, and the example for CI."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.run.shipped import shipped_plans
from tests.support.paths import ROOT
from tests.support.recorded import HEAD
from tests.support.signing import KeyPair, allow_line, make_key, sign_file

KERNEL = str(ROOT / "tests" / "data" / "kernels" / "6.1.facts.xz")
SIGNING = ROOT / "examples" / "signing"
PLAN = f"{HEAD}probes:\n  p: {{attach: 'tracepoint:sched:sched_switch', emit: {{}}}}\n".encode()


@pytest.fixture
def ann(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path, "ann")


@pytest.fixture
def policy(tmp_path: Path, ann: KeyPair) -> str:
    """Requires the signature of ann."""
    return _a_policy(tmp_path, "policy", allow_line("ann@x", ann))


def _a_policy(folder: Path, name: str, signers: str, more: str = "required: true") -> str:
    (folder / f"{name}.signers").write_text(signers)
    file = folder / f"{name}.yaml"
    rules = f"signatures: {{signers: {folder}/{name}.signers, {more}}}"
    file.write_text(f"apiVersion: probeplan/v1\nkind: Policy\n{rules}\n")
    return str(file)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_bytes(PLAN)
    return file


def explain(plan: str, policy: str) -> int:
    return main(["explain", plan, "--kernel", KERNEL, "--policy", policy])


def test_explain_refuses_with_3_and_names_the_signer_of_what_it_takes(
    plan: Path, policy: str, ann: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(str(plan), policy) == 3
    assert "error[PP131]: this plan is not signed" in capsys.readouterr().err
    sign_file(ann, plan)
    assert explain(str(plan), policy) == 0
    signed = f"signature: by ann@x ({ann.fingerprint}), accepted by {policy}"
    assert signed in capsys.readouterr().out
    plan.write_bytes(PLAN + b"\n")
    assert explain(str(plan), policy) == 3
    errors = capsys.readouterr().err
    assert f"{plan}.sig: error[PP132]: the signature is refused: Signature verif" in errors


def test_a_plan_from_standard_input_is_unsigned(
    policy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAN)))
    assert explain("-", policy) == 3
    assert "<stdin>: error[PP131]" in capsys.readouterr().err


def test_a_shipped_plan_by_its_name_runs_where_the_policy_trusts_it(
    tmp_path: Path, policy: str, ann: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("opens", policy) == 3
    assert "copy it to FILE, and sign that" in capsys.readouterr().err
    more = "required: true, shipped: trusted"
    trusting = _a_policy(tmp_path, "trusting", allow_line("ann@x", ann), more)
    assert explain("opens", trusting) == 0
    shown = f"signature: none, but {trusting} trusts plans that come with probeplan"
    assert shown in capsys.readouterr().out
    changed = tmp_path / "opens.yaml"
    changed.write_bytes(shipped_plans()["opens"].read_bytes() + b"\n")
    assert explain(str(changed), trusting) == 3


def test_lint_foresees_what_a_run_refuses(
    plan: Path, policy: str, ann: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    """With and without recorded kernels, each reason once."""
    for more in ([], ["--kernel", KERNEL]):
        command = ["lint", str(plan), "--policy", policy, "--format", "json", *more]
        assert main(command) == 2
        [finding] = json.loads(capsys.readouterr().out)
        assert (finding["code"], finding["file"]) == ("PP131", str(plan))
        signature = sign_file(ann, plan)
        assert main(command) == 0
        assert json.loads(capsys.readouterr().out) == []
        signature.write_text("\x1b[2Jjunk\n::error::x\n")
        assert main(command) == 2
        [finding] = json.loads(capsys.readouterr().out)
        assert (finding["code"], finding["file"]) == ("PP132", str(signature))
        signature.unlink()


def test_lint_judges_the_plan_of_a_check_by_its_own_signature(
    tmp_path: Path, plan: Path, policy: str, ann: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    """One in a file by that file's, one that is part of the check by the check's."""
    head = "apiVersion: probeplan/v1\nkind: ProbeCheck\nmetadata: {name: c, summary: s}\n"
    rest = "workload: {run: [/bin/true]}\nexpect: {few: p.n <= 3}\n"
    probes = "probes: {p: {attach: 'tracepoint:sched:sched_switch', metrics: {n: {count: true}}}}"
    plan.write_text(f"{HEAD}{probes}\n")
    outside, inside = tmp_path / "outside.yaml", tmp_path / "inside.yaml"
    outside.write_text(f"{head}plan: ./plan.yaml\n{rest}")
    inside.write_text(f"{head}plan: {{{probes}}}\n{rest}")
    for check, signed in ((outside, plan), (inside, inside)):
        assert main(["lint", str(check), "--policy", policy]) == 2
        assert f"there is no {signed}.sig" in capsys.readouterr().out
        sign_file(ann, signed)
        assert main(["lint", str(check), "--policy", policy]) == 0, capsys.readouterr()
        capsys.readouterr()


# ---------------------------------------------------------------- the example for CI


def test_the_example_signs_plans_that_the_example_policy_takes(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a key that is gone afterwards; until its certificate ends or is revoked by its name."""
    authority = make_key(tmp_path, "authority")
    revoked = tmp_path / "revoked_keys"
    revoked.write_bytes(b"")
    line = 'ci@example.com cert-authority,namespaces="probeplan" ' + authority.public
    (tmp_path / "allowed_signers").write_text(f"{line}\n")
    text = (SIGNING / "policy.yaml").read_text().replace("/etc/probeplan", str(tmp_path))
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)

    def sign(validity: str) -> None:
        words = (authority.path, "plans 3f1c2d9", "ci@example.com", validity, plan)
        subprocess.run([SIGNING / "sign-plans", *words], check=True, timeout=60)

    sign("-5m:+90d")
    assert explain(str(plan), str(policy)) == 0, capsys.readouterr()
    assert "signature: by ci@example.com (SHA256:" in capsys.readouterr().out
    subprocess.run(
        ["ssh-keygen", "-q", "-k", "-f", revoked, "-s", f"{authority.path}.pub", "-"],
        input=b"id: plans 3f1c2d9\n",
        check=True,
        timeout=60,
    )
    assert explain(str(plan), str(policy)) == 3
    assert f"is revoked by {revoked}" in capsys.readouterr().err
    revoked.write_bytes(b"")
    sign("20200101:20200102")
    assert explain(str(plan), str(policy)) == 3
    assert "Certificate invalid: expired" in capsys.readouterr().err


def test_the_example_says_how_it_is_called() -> None:
    done = subprocess.run(
        [SIGNING / "sign-plans", "key"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: sign-plans CA_KEY IDENTITY PRINCIPAL VALIDITY PLAN...\n")
    assert done.stderr.endswith("so do its signatures\n")


def test_the_example_job_is_as_github_wants_it() -> None:
    job = SIGNING / "github-sign.yaml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    done = subprocess.run(
        [*command, "vendor.github-workflows", str(job)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
