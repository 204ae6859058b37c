"""What is checked of a bundle before it is used, and in which order."""

from pathlib import Path

import pytest

from orchestrator.bundle.file import write_bundle
from orchestrator.bundle.inspection import inspect_bundle
from orchestrator.bundle.opening import OpenedBundle, open_bundle
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.policy.file import read_policy
from orchestrator.policy.model import Policy
from orchestrator.run.shipped import shipped_plans
from tests.support.bundles import make_bundle
from tests.support.signing import allow_line, make_key, sign_file

CREATED, EXPIRES = 1_790_000_000, 1_800_000_000
NO_BUNDLE = b"\xfd7zXZ\0 and nothing that can be unfolded"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.ppb"
    path.write_bytes(write_bundle(make_bundle()))
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """One that requires a signature of the key `ann` in the same folder."""
    key = make_key(tmp_path, "ann")
    (tmp_path / "signers").write_text(allow_line("ann@example.com", key))
    rules = f"{{required: true, signers: {tmp_path / 'signers'}, shipped: trusted}}"
    (tmp_path / "policy.yaml").write_text(
        f"apiVersion: probeplan/v1\nkind: Policy\nowner: sec\nsignatures: {rules}\n"
    )
    return read_policy(tmp_path / "policy.yaml")


def opened(
    file: Path, *policies: Policy, arch: str = "x86_64", now: float = CREATED
) -> OpenedBundle:
    return open_bundle(file.read_bytes(), str(file), policies, arch, now)


def test_positions_name_the_plans_file_in_the_bundle(file: Path) -> None:
    assert opened(file).plan_file == f"{file}:switches.yaml"


def test_a_bundle_is_signed_as_a_whole_and_records_say_by_whom(
    file: Path, policy: Policy, tmp_path: Path
) -> None:
    key = make_key(tmp_path, "ann2")
    (tmp_path / "signers").write_text(allow_line("ann@example.com", key))
    sign_file(key, file)
    [acceptance] = opened(file, read_policy(tmp_path / "policy.yaml")).acceptances
    assert acceptance.signer is not None
    assert acceptance.signer.principal == "ann@example.com"


@pytest.mark.parametrize("content", [NO_BUNDLE, write_bundle(make_bundle(created=1 << 33))])
def test_the_signature_comes_before_anything_is_unfolded(
    file: Path, policy: Policy, content: bytes
) -> None:
    """Bytes of strangers are not even read."""
    file.write_bytes(content)
    with pytest.raises(HostError) as caught:
        opened(file, policy)
    assert [finding.code for finding in caught.value.findings] == ["PP131"]


def test_a_policy_that_trusts_shipped_plans_trusts_no_bundle_of_them(
    file: Path, policy: Policy
) -> None:
    """The programs did not come with probeplan."""
    file.write_bytes(shipped_plans()["opens"].read_bytes())
    with pytest.raises(HostError, match="not signed"):
        opened(file, policy)


@pytest.mark.parametrize(
    ("arch", "now", "why"),
    [
        ("aarch64", CREATED, "its programs are for x86_64"),
        ("x86_64", EXPIRES, "it expired"),
        ("x86_64", CREATED - 1, "it was built at"),
    ],
)
def test_another_host_or_time_is_refused_and_is_of_this_host(
    file: Path, arch: str, now: float, why: str
) -> None:
    with pytest.raises(HostError, match=why):
        opened(file, arch=arch, now=now)


def test_what_is_no_bundle_is_a_faulty_file(file: Path) -> None:
    file.write_bytes(NO_BUNDLE)
    with pytest.raises(PlanError) as caught:
        opened(file)
    assert [finding.code for finding in caught.value.findings] == ["PP240"]


def test_an_inspection_reports_everything_on_any_host(file: Path, policy: Policy) -> None:
    """An expired bundle is a warning: what is checked is the file."""
    file.write_bytes(write_bundle(make_bundle(created=1, expires=2)))
    inspected = inspect_bundle(file.read_bytes(), str(file), [policy])
    assert inspected.bundle is not None
    assert [(one.code, one.severity) for one in inspected.findings] == [
        ("PP131", "error"),
        ("PP243", "warning"),
    ]
    broken = inspect_bundle(NO_BUNDLE, str(file), [])
    assert broken.bundle is None
    assert [one.code for one in broken.findings] == ["PP240"]
