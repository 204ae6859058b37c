"""Where a machine is stored: what its program writes, and what it says where it may not."""

from pathlib import Path

import pytest

from orchestrator.check.machine import waiting
from orchestrator.plan.findings import HostError


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "port"
    monkeypatch.setattr(waiting, "_PORTS", file)
    return file


def test_one_byte_is_written_to_the_port_that_stops_a_machine(
    ports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_reseed", lambda: None)
    ports.write_bytes(bytes(0x510))
    waiting.wait_to_be_stored()
    assert ports.read_bytes() == bytes(0x505) + b"\x01" + bytes(0xA)


def test_a_kernel_without_ports_is_named(ports: Path) -> None:
    with pytest.raises(HostError) as raised:
        waiting.wait_to_be_stored()
    (finding,) = raised.value.findings
    assert str(ports) in finding.message
    assert "CONFIG_DEVPORT" in finding.hint


def test_random_numbers_that_cannot_be_taken_anew_are_an_error(
    ports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds would not differ."""
    ports.write_bytes(bytes(0x510))
    (tmp_path / "random").write_bytes(b"")
    monkeypatch.setattr(waiting, "_RANDOM", tmp_path / "random")
    with pytest.raises(HostError, match="Inappropriate ioctl"):
        waiting.wait_to_be_stored()
