"""One repeat of a workload: setup, the command or the server with its driver, teardown."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.backends.descriptor_poll import poll_descriptors
from orchestrator.check.measurement import CommandEnd, Repeat, WorkloadTrouble
from orchestrator.check.measuring.commands import CommandMaker, cannot_start
from orchestrator.check.measuring.figures import make_repeat
from orchestrator.check.measuring.readiness import is_at_rest, make_test
from orchestrator.check.model import Argv, Server, Workload
from orchestrator.check.processes.held_exits import HeldExits
from orchestrator.check.processes.launcher import CannotStart, Ended, Launcher, StartedProcess
from orchestrator.compile.program import Program
from orchestrator.run.signals import Signals
from orchestrator.run.standing.probes import StandingProbes, Stretch
from orchestrator.values import dataclass

__all__ = ["Interrupted", "Repeater", "WorkloadFailed"]

_READY_LOOK_S, _REST_S, _KILL_S = 0.01, 1.0, 10.0
_STOP_LOOK_NS = 1_000_000


class WorkloadFailed(Exception):
    """The workload did not come to its proper end. `repeat`: what was counted all the same."""

    def __init__(self, stage: str, message: str, repeat: Repeat | None = None) -> None:
        self.trouble = WorkloadTrouble(stage=stage, message=message)
        self.repeat = repeat
        super().__init__(message)


class Interrupted(Exception):
    """A signal asked this process to end."""

    def __init__(self, received: signal.Signals) -> None:
        self.received = received
        super().__init__(received.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeater:
    """Repeats a workload. `measured`: the launcher whose descendants are the probes' target;
    `helper`: another one, for what is not measured; `wakeup`: a descriptor that can be read once a
    signal has come; `before_exit`: called before a process of the command ends (None: none is
    held for it)."""

    program: Program
    probes: StandingProbes
    measured: Launcher
    helper: Launcher
    signals: Signals
    wakeup: int
    before_exit: Callable[[], object] | None = None

    def repeat(self, maker: CommandMaker, ops: int) -> Repeat:
        """One repeat of the filled workload of `maker`. Raises WorkloadFailed, Interrupted, and
        PlanError where a program is missing."""
        workload = maker.workload
        empty_folder(maker.scratch)
        for argv in workload.setup:
            self._run_beside(maker, argv, "setup")
        if workload.serve is None:
            repeat = self._measure_command(maker, workload.run, ops)
        else:
            repeat = self._measure_server(maker, workload.serve, ops)
        _require_end(workload, repeat, "run", workload.exit, self._driver(workload).tail_output())
        for argv in workload.teardown:
            self._run_beside(maker, argv, "teardown")
        return repeat

    def run_witness(self, maker: CommandMaker, ops: int) -> Repeat:
        """One stretch of the witness. Raises as `repeat` does."""
        empty_folder(maker.scratch)
        repeat = self._measure_command(maker, maker.workload.witness, ops)
        _require_end(maker.workload, repeat, "witness", 0, self.measured.tail_output())
        return repeat

    def _driver(self, workload: Workload) -> Launcher:
        """The launcher of the workload's command."""
        return self.measured if workload.serve is None else self.helper

    # -- the command ---------------------------------------------------------------------------

    def _measure_command(self, maker: CommandMaker, argv: Argv, ops: int) -> Repeat:
        settings = maker.make(argv)
        try:
            process = self.measured.start_stopped(settings)
        except CannotStart as error:
            raise cannot_start(maker.workload, argv[0], str(error)) from None
        before_ns = self.measured.time_before(process)
        self._begin()
        began_ns = time.monotonic_ns()
        self._run_to_end(process, began_ns + maker.workload.timeout_ns)
        ended_ns = time.monotonic_ns()
        stretch = self.probes.end()
        ended, timed_out = self._end(self.measured, process)
        return make_repeat(
            self.program,
            stretch,
            ops=ops,
            wall_ns=ended_ns - began_ns,
            before_ns=before_ns,
            ended=ended,
            command=_describe_end(ended, timed_out=timed_out),
        )

    def _run_to_end(self, process: StartedProcess, until_ns: int) -> None:
        """Let a stopped process go and wait until it has ended, or until `until_ns`."""
        if self.before_exit is None:
            self.measured.let_go(process)
            self._wait([process.pidfd], until_ns, self.probes.wait)
            return
        held = HeldExits(process.pid, self.before_exit)
        held.let_go()
        try:
            while (now_ns := time.monotonic_ns()) < until_ns:
                held.handle_stops()
                look_ns = min(until_ns, now_ns + _STOP_LOOK_NS)
                if self._wait([process.pidfd], look_ns, self.probes.wait):
                    break
        finally:
            held.release()

    def _begin(self) -> None:
        """Arm, once the launcher's own process is asleep: it is a part of the target."""
        while not self.measured.is_asleep():
            time.sleep(0)
        self.probes.begin()

    def _wait(
        self,
        descriptors: Sequence[int],
        until_ns: int,
        wait: Callable[[Sequence[int], int], Sequence[int]],
    ) -> Sequence[int]:
        """Those that can be read by `until_ns`. Raises Interrupted."""
        readable = wait([*descriptors, self.wakeup], until_ns)
        if self.signals.received is not None:
            raise Interrupted(self.signals.received)
        return [descriptor for descriptor in readable if descriptor != self.wakeup]

    def _end(self, launcher: Launcher, process: StartedProcess) -> tuple[Ended, bool]:
        """How the process ended, and whether it had to be killed; its descendants are killed."""
        timed_out = not poll_readable([process.pidfd], 0)
        if timed_out:
            process.send(signal.SIGKILL)
            poll_readable([process.pidfd], time.monotonic_ns() + int(_KILL_S * 1e9))
        ended = launcher.reap(process)
        if ended.left:
            launcher.end_all()
        return ended, timed_out

    # -- what is not measured ------------------------------------------------------------------

    def _run_beside(self, maker: CommandMaker, argv: Argv, stage: str) -> None:
        process = self._start_beside(maker, argv)
        until_ns = time.monotonic_ns() + maker.workload.timeout_ns
        if not self._wait([process.pidfd], until_ns, poll_readable):
            self.helper.end_all()
            process.close()
            raise WorkloadFailed(stage, _took_longer(maker.workload, argv))
        ended = self.helper.reap(process)
        if ended.status:
            text = f"{argv[0]!r} {_describe_status(ended.status)}"
            raise WorkloadFailed(stage, _with_output(text, self.helper.tail_output()))

    def _start_beside(self, maker: CommandMaker, argv: Argv) -> StartedProcess:
        try:
            return self.helper.start(maker.make(argv))
        except CannotStart as error:
            raise cannot_start(maker.workload, argv[0], str(error)) from None

    # -- a server ------------------------------------------------------------------------------

    def _measure_server(self, maker: CommandMaker, serve: Server, ops: int) -> Repeat:
        try:
            server = self.measured.start(maker.make(serve.run))
        except CannotStart as error:
            raise cannot_start(maker.workload, serve.run[0], str(error)) from None
        try:
            self._await_ready(maker.workload, serve, server)
            is_at_rest(server.pid, _REST_S)
            before_ns = self.measured.time_before(server)
            stretch, wall_ns, command = self._drive(maker, serve, server)
        except BaseException:
            self.measured.end_all()
            server.close()
            raise
        ended = self._stop_server(serve, server)
        return make_repeat(
            self.program,
            stretch,
            ops=ops,
            wall_ns=wall_ns,
            before_ns=before_ns,
            ended=ended,
            command=command,
        )

    def _await_ready(self, workload: Workload, serve: Server, server: StartedProcess) -> None:
        try:
            test = make_test(serve.ready, self.measured.read_output)
        except (ValueError, OSError) as error:
            text = f"whether the server is ready ({serve.ready}) cannot be found out: {error}"
            raise WorkloadFailed("ready", text) from None
        until_ns = time.monotonic_ns() + workload.timeout_ns
        while not test(server.pid):
            look_ns = time.monotonic_ns() + int(_READY_LOOK_S * 1e9)
            if self._wait([server.pidfd], look_ns, poll_readable):
                text = f"the server {serve.run[0]!r} ended before it was ready ({serve.ready})"
                raise WorkloadFailed("ready", _with_output(text, self.measured.tail_output()))
            if time.monotonic_ns() > until_ns:
                text = (
                    f"the server {serve.run[0]!r} was not ready ({serve.ready}) within "
                    f"{workload.timeout_ns / 1e9:g} s"
                )
                raise WorkloadFailed("ready", _with_output(text, self.measured.tail_output()))

    def _drive(
        self, maker: CommandMaker, serve: Server, server: StartedProcess
    ) -> tuple[Stretch, int, CommandEnd]:
        """Count while the driver runs, and until the server rests after it."""
        settings = maker.make(maker.workload.run)
        self._begin()
        began_ns = time.monotonic_ns()
        try:
            driver = self.helper.start(settings)
        except CannotStart as error:
            raise cannot_start(maker.workload, settings.argv[0], str(error)) from None
        until_ns = began_ns + maker.workload.timeout_ns
        ready = self._wait([driver.pidfd, server.pidfd], until_ns, self.probes.wait)
        wall_ns = time.monotonic_ns() - began_ns
        if server.pidfd in ready:
            self.helper.end_all()
            driver.close()
            text = f"the server {serve.run[0]!r} ended while it was measured"
            raise WorkloadFailed("run", _with_output(text, self.measured.tail_output()))
        is_at_rest(server.pid, _REST_S)
        stretch = self.probes.end()
        ended, timed_out = self._end(self.helper, driver)
        return stretch, wall_ns, _describe_end(ended, timed_out=timed_out)

    def _stop_server(self, serve: Server, server: StartedProcess) -> Ended:
        """A server that does not end at its signal is killed, with what it has started."""
        server.send(signal.Signals[serve.stop])
        if not poll_readable([server.pidfd], time.monotonic_ns() + int(_KILL_S * 1e9)):
            server.send(signal.SIGKILL)
            poll_readable([server.pidfd], time.monotonic_ns() + int(_KILL_S * 1e9))
        ended = self.measured.reap(server)
        self.measured.end_all()
        return ended


def empty_folder(folder: Path) -> None:
    """Remove all that is in a folder; links are removed and not followed."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def poll_readable(descriptors: Sequence[int], until_ns: int) -> Sequence[int]:
    """Those of `descriptors` that can be read by `until_ns` (CLOCK_MONOTONIC), as soon as there is
    one."""
    return poll_descriptors(descriptors, (until_ns - time.monotonic_ns()) / 1e9)


# ---------------------------------------------------------------- how it ended


def _describe_end(ended: Ended, *, timed_out: bool) -> CommandEnd:
    status = ended.status
    return CommandEnd(
        code=status if status >= 0 else None,
        signal=_signal_name(-status) if status < 0 else None,
        timed_out=timed_out,
        left=ended.left,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _require_end(workload: Workload, repeat: Repeat, stage: str, code: int, output: str) -> None:
    argv = workload.witness if stage == "witness" else workload.run
    end = repeat.command
    if end.timed_out:
        raise WorkloadFailed(stage, _with_output(_took_longer(workload, argv), output), repeat)
    if end.code != code:
        status = f"was ended by {end.signal}" if end.signal else f"ended with status {end.code}"
        expected = "" if end.signal or not code else f", not with {code}"
        text = f"{argv[0]!r} {status}{expected}"
        raise WorkloadFailed(stage, _with_output(text, output), repeat)


def _describe_status(status: int) -> str:
    if status < 0:
        return f"was ended by {_signal_name(-status)}"
    return f"ended with status {status}"


def _took_longer(workload: Workload, argv: Argv) -> str:
    return (
        f"{argv[0]!r} took longer than its timeout of {workload.timeout_ns / 1e9:g} s, and was "
        "killed"
    )


def _with_output(text: str, output: str) -> str:
    return f"{text}; its last output:{os.linesep}{output.rstrip()}" if output.strip() else text
