"""The command of a run: parked, released, waited for, and what it leaves running."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.plan.findings import PlanError
from orchestrator.run.command import _read_children, park_command
from orchestrator.run.report.outcome import CommandResult
from orchestrator.run.signals import Signals


@contextmanager
def fleeting_threads() -> Iterator[None]:
    """Threads of this process that come and go all the time."""
    over = threading.Event()

    def make() -> None:
        while not over.is_set():
            short = threading.Thread(target=int)
            short.start()
            short.join()

    makers = [threading.Thread(target=make) for _ in range(3)]
    for maker in makers:
        maker.start()
    try:
        yield
    finally:
        over.set()
        for maker in makers:
            maker.join()


def test_children_are_found_while_threads_come_and_go() -> None:
    """A thread that ends between the list of threads and its list of children is passed over."""
    with subprocess.Popen(["sleep", "infinity"]) as child:
        try:
            with fleeting_threads():
                found = [_read_children() for _ in range(2000)]
        finally:
            child.kill()
    assert all(child.pid in one for one in found)


def ran(*argv: str) -> CommandResult:
    with Signals() as signals:
        command = park_command(argv)
        command.release()
        try:
            return command.wait_for_result(signals)
        finally:
            command.close()


@pytest.mark.parametrize(
    ("script", "status", "by", "failed"),
    [("exit 0", 0, None, False), ("exit 3", 3, None, True), ("kill -9 $$", None, "SIGKILL", True)],
)
def test_the_result_is_the_status_or_the_signal(
    script: str, status: int | None, by: str | None, failed: bool
) -> None:
    result = ran("sh", "-c", script)
    assert (result.status, result.signal, result.failed) == (status, by, failed)
    assert not result.ended_by_us


def test_a_parked_command_has_not_started(tmp_path: Path) -> None:
    """It ends when the run gives up before the release."""
    proof = tmp_path / "proof"
    command = park_command(("touch", str(proof)))
    with Signals() as signals:
        result = command.wait_for_result(signals)
    command.close()
    assert (result.status, result.signal) == (None, None)
    assert not proof.exists()


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program", "/etc/passwd"])
def test_what_cannot_be_executed_is_refused_before_a_fork(name: str) -> None:
    before = _read_children()
    with pytest.raises(PlanError, match="cannot be started"):
        park_command((name,))
    assert _read_children() == before


def test_a_program_that_the_kernel_refuses_is_the_users_error(tmp_path: Path) -> None:
    """An executable file without a known format."""
    program = tmp_path / "program"
    program.write_bytes(b"\0\1\2")
    program.chmod(0o755)
    command = park_command((str(program),))
    with pytest.raises(PlanError, match="Exec format error"):
        command.release()
    command.close()


def test_the_signal_that_ends_the_run_is_passed_on() -> None:
    """A command that it ends has not failed."""
    with Signals() as signals:
        command = park_command(("sleep", "60"))
        command.release()
        os.kill(os.getpid(), signal.SIGTERM)
        result = command.wait_for_result(signals)
        command.close()
    assert (result.ended_by_us, result.signal, result.failed) == (True, "SIGTERM", False)


def test_descendants_that_outlive_the_command_are_named() -> None:
    result = ran("sh", "-c", "sleep 60 >/dev/null 2>&1 & exit 0")
    [(pid, comm)] = result.left
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert comm in ("sleep", "sh")


def test_standard_output_can_be_another_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out, Signals() as signals:
        command = park_command(("echo", "hello"), stdout=out.fileno())
        command.release()
        command.wait_for_result(signals)
        command.close()
    assert (tmp_path / "out").read_text() == "hello\n"


def test_no_descriptor_of_ours_reaches_the_command() -> None:
    """Above all not the journal's, whose lock would make a dead run look alive."""
    held = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    command = park_command(("true",))
    try:
        deadline = time.monotonic() + 10
        while Path(f"/proc/{command.pid}/fd/{held}").exists():  # it closes them once it runs
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        os.close(held)
        with Signals() as signals:
            command.wait_for_result(signals)
        command.close()


def test_a_descendant_whose_name_is_no_text_is_reported() -> None:
    """The name of a task is any fifteen bytes."""
    code = (
        "import os, time\n"
        "named, done = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    open('/proc/self/comm', 'wb').write(b'odd\\xff)( R')\n"
        "    os.write(done, b'.'); time.sleep(60)\n"
        "os.read(named, 1)\n"
    )
    command = park_command([sys.executable, "-c", code])
    command.release()
    result = command.wait_for_result(Signals())
    command.close()
    [(pid, comm)] = [(pid, comm) for pid, comm in result.left if "odd" in comm]
    os.kill(pid, signal.SIGKILL)
    assert comm == r"odd\xff)( R"
