"""The identity of a host in results: a keyed hash of its machine id."""

import subprocess
from pathlib import Path

import pytest

from orchestrator.run.report import host_identity
from orchestrator.run.report.host_identity import describe_clock, describe_host, hash_machine_id
from tests.support.recorded import recorded

MACHINE_ID = "0123456789abcdef0123456789abcdef"


def test_the_hash_is_hmac_sha256_as_openssl_computes_it() -> None:
    command = ["openssl", "dgst", "-sha256", "-hmac", "probeplan"]
    other = subprocess.run(command, input=MACHINE_ID.encode(), capture_output=True, check=True)
    assert hash_machine_id(MACHINE_ID) == other.stdout.split()[-1].decode()[:16]


@pytest.mark.parametrize(
    "text", ["", "uninitialized", MACHINE_ID[:-1], MACHINE_ID.upper(), "x" * 32]
)
def test_what_is_no_machine_id_is_unknown(text: str) -> None:
    """An image that many hosts are made from has `uninitialized`: they would be one host."""
    assert hash_machine_id(text) == "unknown"


def test_a_host_without_its_files_is_unknown_and_its_kernel_is_described(tmp_path: Path) -> None:
    facts = recorded("6.1")
    missing = describe_host(facts, tmp_path / "machine-id", tmp_path / "boot_id")
    assert (missing["host_id"], missing["boot_id"]) == ("unknown", "unknown")
    assert (missing["arch"], missing["cpus"]) == (facts.arch, len(facts.online_cpus))
    assert missing["kernel_build_id"] is facts.build_id is None
    (tmp_path / "machine-id").write_text(MACHINE_ID + "\n")
    (tmp_path / "boot_id").write_text("6f1f0d0c-8f29-4b3a-9d55-0a1c2f3e4d5b\n")
    known = describe_host(facts, tmp_path / "machine-id", tmp_path / "boot_id")
    assert known["host_id"] == hash_machine_id(MACHINE_ID)
    assert known["boot_id"] == "6f1f0d0c-8f29-4b3a-9d55-0a1c2f3e4d5b"
    assert MACHINE_ID not in str(known)


def test_a_clock_that_the_kernel_does_not_describe_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_identity, "read_clock_state", lambda: None)
    assert describe_clock(2) == {"synchronised": "unknown", "error_ns": "unknown", "steps": 2}
