"""A rehearsal with a machine that is not there: output, exit codes, and what is left."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.guest import GuestObserver, GuestResult
from orchestrator.lab.kernels import Kernel
from orchestrator.lab.rehearsal import (
    RUN_EXIT_CODES,
    STDERR,
    STDOUT,
    MachineSize,
    RehearsalOutput,
    log_file,
    run_rehearsal,
)
from orchestrator.lab.rehearsal_job import RehearsalJob

KERNEL = Kernel(name="6.1", release="6.1.0", directory=Path("/nowhere"))
JOB = RehearsalJob(words=("plan.yaml",), cwd=Path("/work"), env={})
Act = Callable[[Path, GuestObserver], int]


class FakeMachine:
    """Does `act` where a guest would run its job."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.share = Path()
        self.asked: dict[str, Any] = {}

    def __call__(
        self,
        _kernel: Kernel,
        _argv: Sequence[str],
        *,
        share: Path,
        observer: GuestObserver,
        **more: Any,
    ) -> GuestResult:
        self.share, self.asked = share, more
        (share / ".guest").mkdir()
        observer.job_started(1.5)
        code = self.act(share, observer)
        observer.look()
        return GuestResult(
            returncode=code,
            stdout="",
            stderr="",
            console="last words",
            boot_seconds=1.5,
            wall_seconds=2.0,
        )


def rehearse(machine: FakeMachine, **output: Any) -> int:
    size = MachineSize(cpus=3, memory="1G", timeout_s=9.0, modules=["null_blk"])
    return run_rehearsal(
        KERNEL, JOB, RehearsalOutput(**({"streams": {}} | output)), machine=size, boot=machine
    )


@pytest.mark.parametrize("code", sorted(RUN_EXIT_CODES))
def test_the_run_s_exit_code_is_the_rehearsal_s(code: int) -> None:
    assert rehearse(FakeMachine(lambda _share, _observer: code)) == code


@pytest.mark.parametrize(
    ("code", "why"), [(137, "by signal 9"), (1, "with 1"), (127, "with 127"), (139, "by signal 11")]
)
def test_a_run_that_was_killed_in_the_guest_is_a_lost_machine(code: int, why: str) -> None:
    """It has not reported what it came to: that is no failed command."""
    with pytest.raises(GuestLost, match=f"the run ended {why}") as caught:
        rehearse(FakeMachine(lambda _share, _observer: code))
    assert caught.value.console == "last words"


def test_a_run_that_could_not_begin_is_no_lost_machine() -> None:
    with pytest.raises(LabError, match="could not be started") as caught:
        rehearse(FakeMachine(lambda _share, _observer: 126))
    assert not isinstance(caught.value, GuestLost)


def test_output_comes_while_the_run_goes_on() -> None:
    """Each stream to its own place; nothing twice."""
    seen: list[tuple[str, bytes]] = []
    steps: list[int] = []

    def act(share: Path, observer: GuestObserver) -> int:
        (share / "brought-back").mkdir()
        for number in range(2):
            for name in (STDOUT, STDERR, log_file("log")):
                with (share / name).open("ab") as file:
                    file.write(f"{name} {number}\n".encode())
            observer.look()
            steps.append(len(seen))
        return 0

    names = (STDOUT, STDERR, log_file("log"))
    streams = {name: lambda text, name=name: seen.append((name, text)) for name in names}
    assert rehearse(FakeMachine(act), streams=streams) == 0
    assert steps == [3, 6]
    assert seen == [(name, f"{name} {n}\n".encode()) for n in range(2) for name in names]


def test_what_was_written_before_the_loss_is_there() -> None:
    """The last output and the folder; nothing is left of the machine's own."""
    seen: list[bytes] = []
    kept: list[str] = []

    def act(share: Path, _observer: GuestObserver) -> int:
        (share / STDOUT).write_bytes(b"one\n")
        (share / "brought-back" / "out").mkdir(parents=True)
        (share / "brought-back" / "out" / "plan.yaml").write_text("plan")
        _observer.look()
        raise GuestLost("the kernel panicked", "console")

    machine = FakeMachine(act)
    with pytest.raises(GuestLost, match="panicked"):
        rehearse(
            machine,
            streams={STDOUT: seen.append},
            folder=lambda folder: kept.extend(path.name for path in folder.iterdir()),
        )
    assert (seen, kept) == ([b"one\n"], ["plan.yaml"])
    assert not machine.share.exists()


def test_the_machine_is_as_asked_for_and_writes_to_no_file_of_the_host() -> None:
    machine = FakeMachine(lambda _share, _observer: 0)
    boots: list[float] = []
    rehearse(machine, started=boots.append)
    wanted = {"cpus": 3, "memory": "1G", "timeout_s": 9.0, "modules": ["null_blk"], "overlay": True}
    assert machine.asked.items() >= wanted.items()
    assert boots == [1.5]


def test_standard_input_is_handed_over_from_where_it_was_read_to() -> None:
    stdin = io.BytesIO(b"head rest")
    stdin.read(5)
    found: list[bytes] = []

    def act(share: Path, _observer: GuestObserver) -> int:
        found.append((share / "stdin").read_bytes())
        return 0

    size, output = MachineSize(), RehearsalOutput(streams={})
    run_rehearsal(KERNEL, JOB, output, machine=size, stdin=stdin, boot=FakeMachine(act))
    run_rehearsal(KERNEL, JOB, output, machine=size, boot=FakeMachine(act))
    assert found == [b"rest", b""]
