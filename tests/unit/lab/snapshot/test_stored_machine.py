"""Storing a machine and going on from there; with a stand-in for QEMU."""

import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.lab import machine_command, qemu
from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.machine_command import MachineSettings
from orchestrator.lab.machine_process import MachineCancelled
from orchestrator.lab.snapshot.stored_machine import store_machine
from tests.unit.lab.snapshot.fake_qemu import make_stored

Play = Callable[..., None]
SETTINGS = MachineSettings(vmlinux=Path("vmlinux"))
ROOT = Path(__file__).parents[4]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Makes the stand-in, in which one thing goes wrong."""
    script = tmp_path / "qemu-system-x86_64"
    monkeypatch.setattr(qemu, "QEMU", str(script))
    machine_command.read_qemu_version.cache_clear()

    def write(mode: str = "") -> None:
        script.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            f"from tests.unit.lab.snapshot.fake_qemu import main\nmain({mode!r})\n"
        )
        script.chmod(stat.S_IRWXU)

    yield write
    machine_command.read_qemu_version.cache_clear()


def list_descriptors() -> set[str]:
    return {file.name for file in Path("/proc/self/fd").iterdir()}


def test_each_seed_goes_on_from_what_was_stored(play: Play) -> None:
    play()
    before = list_descriptors()
    with store_machine(SETTINGS, b"image", 60) as stored:
        results = [stored.go_on(seed, 60).result for seed in (1, 2, 1)]
        assert stored.early is None
        assert stored.size == len(make_stored(bias=0, counted=0, ends=0))
    expected = make_stored(bias=6_000, counted=500, ends=7_000)
    assert results == [b"1 " + expected, b"2 " + expected, b"1 " + expected]
    assert list_descriptors() == before


def test_a_clock_that_went_on_while_the_machine_stopped_makes_no_difference(play: Play) -> None:
    results = []
    for mode in ("", "clock went on"):
        play(mode)
        with store_machine(SETTINGS, b"image", 60) as stored:
            results.append(stored.go_on(1, 60).result)
    assert results[0] == results[1]


def test_a_program_that_ends_before_it_waits_has_given_its_result(play: Play) -> None:
    play("ends early")
    with store_machine(SETTINGS, b"image", 60) as stored:
        assert stored.early is not None
        assert stored.early.result == b"early"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("refuses", "QEMU refuses 'migrate': no such thing"),
        ("panics", "the kernel panicked with its program: Oops"),
        ("no space", r"cannot be stored in /.*: No space left on device"),
    ],
)
def test_a_machine_that_cannot_be_stored_is_an_error(play: Play, mode: str, reason: str) -> None:
    play(mode)
    before = list_descriptors()
    with pytest.raises(LabError, match=reason), store_machine(SETTINGS, b"image", 60):
        pass
    assert list_descriptors() == before


def test_a_machine_that_cannot_go_on_is_lost_with_what_qemu_said(play: Play) -> None:
    play("dies")
    with store_machine(SETTINGS, b"image", 60) as stored:
        with pytest.raises(GuestLost, match="no answer to 'cont'") as lost:
            stored.go_on(1, 60)
        assert "it is broken" in lost.value.console


def test_a_workload_that_stops_the_machine_is_not_waited_for(play: Play) -> None:
    play("stops again")
    with (
        store_machine(SETTINGS, b"image", 60) as stored,
        pytest.raises(GuestLost, match="stopped itself again"),
    ):
        stored.go_on(1, 60)


def test_a_folder_that_nothing_can_be_stored_in_is_named(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    play()

    def refuse() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/x']")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with (
        pytest.raises(LabError, match=r"cannot be stored: No usable .* TMPDIR"),
        store_machine(SETTINGS, b"image", 60),
    ):
        pass


def test_a_program_that_never_waits_is_ended(play: Play) -> None:
    play("never waits")
    with (
        pytest.raises(GuestLost, match=r"no end within 1 s \(with its program\)"),
        store_machine(SETTINGS, b"image", 1),
    ):
        pass


def test_a_caller_that_cancels_does_not_wait(play: Play) -> None:
    play()
    with store_machine(SETTINGS, b"image", 60) as stored, pytest.raises(MachineCancelled):
        stored.go_on(1, 60, lambda: True)
