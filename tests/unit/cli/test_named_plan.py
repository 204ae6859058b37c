"""The PLAN of a command line: read whole, once; and again in the next run, when a bundle's time may
be over."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.bundle.file import write_bundle
from orchestrator.bundle.programs import BundledPrograms
from orchestrator.bundle.stream import MOST_FILE_BYTES
from orchestrator.cli.named_plan import load_named_plan, read_named, recall_named_plan
from orchestrator.plan.findings import HostError
from orchestrator.policy.file import read_policy
from orchestrator.policy.model import Policy
from orchestrator.run.choice import Prepared
from orchestrator.run.prepare import prepare
from tests.support.bundles import make_bundle
from tests.support.recorded import HEAD, recorded
from tests.support.signing import allow_line, make_key, sign_file

FACTS = recorded("6.1")
PLAN = f"{HEAD}probes: {{p: {{attach: 'tracepoint:sched:sched_switch', emit: {{}}}}}}\n".encode()
CREATED, EXPIRES = 1_790_000_000, 1_800_000_000


def prepared_from(content: bytes, file: str = "x", policies: Sequence[Policy] = ()) -> Prepared:
    named = load_named_plan(content, file, policies, FACTS.arch, {})
    return prepare(
        named.plan,
        FACTS,
        policies,
        backends=named.backends,
        acceptances=named.acceptances,
        backend="tracefs",
    )


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bytes:
    monkeypatch.setattr(time, "time", lambda: float(CREATED))
    return write_bundle(make_bundle(plan_text=PLAN))


def test_the_largest_bundle_is_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "x.ppb"
    file.write_bytes(bytes(MOST_FILE_BYTES + 2))
    assert len(read_named(str(file))[0]) == MOST_FILE_BYTES + 1


def test_a_plan_needs_nothing_again() -> None:
    prepared = prepared_from(PLAN)
    named, again = recall_named_plan(PLAN, "x", prepared)
    assert named.plan is prepared.plan
    assert named.bundle is None
    assert again is prepared


def test_a_bundle_is_opened_again_and_its_programs_are_its_own(content: bytes) -> None:
    prepared = prepared_from(content)
    named, again = recall_named_plan(content, "x", prepared)
    assert named.bundle is not None
    assert named.bundle.file == "x"
    assert again.choice.artifact is prepared.choice.artifact
    assert isinstance(named.bundle.offer_backends()["bcc"], BundledPrograms)


def test_a_bundle_that_has_expired_meanwhile_is_refused(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepared_from(content)
    monkeypatch.setattr(time, "time", lambda: float(EXPIRES))
    with pytest.raises(HostError, match="it expired"):
        recall_named_plan(content, "x", prepared)


def test_a_bundles_signature_is_checked_against_the_signers_of_then(
    content: bytes, tmp_path: Path
) -> None:
    """The policy is as it was when the plan was prepared; the list that it names is not."""
    file, signers, policy = (tmp_path / name for name in ("x.ppb", "signers", "policy.yaml"))
    ann, bob = (make_key(tmp_path, name) for name in ("ann", "bob"))
    file.write_bytes(content)
    sign_file(ann, file)
    signers.write_text(allow_line("ann@example.com", ann))
    rules = f"{{required: true, signers: {signers}}}"
    policy.write_text(f"apiVersion: probeplan/v1\nkind: Policy\nsignatures: {rules}\n")
    prepared = prepared_from(content, str(file), [read_policy(policy)])
    _, again = recall_named_plan(content, str(file), prepared)
    assert again.acceptances == prepared.acceptances
    assert again.acceptances[0].status == "accepted"
    signers.write_text(allow_line("bob@example.com", bob))
    with pytest.raises(HostError) as refused:
        recall_named_plan(content, str(file), prepared)
    assert [finding.code for finding in refused.value.findings] == ["PP132"]
    signers.unlink()
    with pytest.raises(HostError) as refused:
        recall_named_plan(content, str(file), prepared)
    assert [finding.code for finding in refused.value.findings] == ["PP133"]
