"""Runs that end badly, one fork each: `-m tests.faults.zygote JOURNALS BACKEND PLAN COMMAND…`.

Requests are JSON lines on standard input, answers JSON lines on standard output. Everything is
imported and known before the first fork, so that a run takes some milliseconds. A *step* is what a
run does to the kernel or to a file system: each opening for writing, making, removing and naming
(Python's audit hooks report them), each process started, each bpf(2) and perf_event_open(2). A run
is killed after some time, or just before its n-th step, that is after the one before it; or its
n-th step fails. What is done to maps alone is no step to be killed at: they go with the process.
"""

import ctypes
import errno
import io
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.backends import BACKENDS
from orchestrator.backends.protocol import Backend
from orchestrator.kernel.abi import bpf_call, perf
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.output.sink import Sink
from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from orchestrator.run import groundwork, lifecycle, runner
from orchestrator.run.runner import run_plan
from orchestrator.run.safety.guard import Guard
from orchestrator.run.safety.journal import Journal

CHANGING = {
    "os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.link", "os.posix_spawn", "os.fork",
}  # fmt: skip
BPF = bpf_call.SYSCALL.get(platform.machine())
ATTACHING = (bpf_call.PROG_LOAD, bpf_call.RAW_TRACEPOINT_OPEN)
INJECTED = errno.EIO


@dataclass(slots=True)
class Steps:
    """Counts steps, and does to the n-th what was asked for."""

    at: int = 0
    act: Callable[[], None] = lambda: None
    count: int = 0
    on: bool = True
    names: list[str] = field(default_factory=list)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and _writes(arguments):
            self.step(f"open {arguments[0]}")
        elif event in CHANGING:
            self.step(f"{event} {arguments[:1]}")

    def step(self, name: str) -> None:
        if not self.on:
            return
        self.count += 1
        self.names.append(name)
        if self.count == self.at:
            self.act()


def _writes(arguments: tuple[Any, ...]) -> bool:
    path, _, flags = arguments
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) and path != os.devnull


class Libc:
    """A libc whose system calls are steps; `attaching`: only those that attach."""

    def __init__(self, libc: Any, steps: Steps, *, attaching: bool) -> None:
        self._libc, self._steps, self._attaching = libc, steps, attaching

    def __getattr__(self, name: str) -> Any:
        return getattr(self._libc, name)

    def syscall(self, *arguments: Any) -> int:
        number, command = arguments[:2]
        if self._attaching and number == BPF and command not in ATTACHING:
            return int(self._libc.syscall(*arguments))
        try:
            self._steps.step(f"syscall {number} {command}")
        except OSError as injected:
            ctypes.set_errno(injected.errno or 0)
            return -1
        return int(self._libc.syscall(*arguments))


@dataclass(slots=True)
class Reported:
    """What is known of a run whatever becomes of it: each part is written at once."""

    pipe: int

    def put(self, **parts: Any) -> None:
        os.write(self.pipe, json.dumps(parts).encode() + b"\n")


class Attaching:
    """A backend, during whose attach alone steps are counted."""

    def __init__(self, backend: Backend[Any], steps: Steps) -> None:
        self._backend, self._steps = backend, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def attach(self, *arguments: Any) -> Any:
        self._steps.on = True
        try:
            return self._backend.attach(*arguments)
        finally:
            self._steps.on = False


def replace(module: Any, **parts: Any) -> None:
    for name, part in parts.items():
        setattr(module, name, part)


def spy(reported: Reported) -> list[Guard]:
    """Report the run's id and its journal's lines; returns the list that its guard will be in."""
    guards: list[Guard] = []

    class SpiedRun(lifecycle.Run):
        def __init__(self, *parts: Any) -> None:
            super().__init__(*parts)
            reported.put(run_id=self._run_id)

    class SpiedJournal(Journal):
        def _line(self, sign: str, kind: str, what: str) -> None:
            reported.put(line=[sign, kind, what])
            super()._line(sign, kind, what)

    class SpiedGuard(Guard):
        def __init__(self, journal: Journal, tracefs: Path) -> None:
            super().__init__(journal, tracefs)
            guards.append(self)

    replace(runner, Run=SpiedRun)
    replace(groundwork, Journal=SpiedJournal, Guard=SpiedGuard)
    return guards


def end_all(guards: list[Guard], *, watchdog: bool) -> None:
    """Die, and let the watchdog live or not."""
    if not watchdog and guards and guards[0].pid:
        os.kill(guards[0].pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise OSError(INJECTED, "injected")


class Zygote:
    """Knows the plan and the kernel."""

    def __init__(
        self,
        journals: Path,
        backend: str,
        plan: bytes,
        command: Sequence[str],
        facts: KernelFacts | None = None,
    ) -> None:
        self.journals, self.backend, self.command = (journals,), backend, tuple(command)
        self.plan, self.facts = load_plan(plan), facts or live_facts()
        self.run(dict(BACKENDS))  # once without anything, so that all is imported and known

    def run(self, backends: dict[str, Backend[Any]]) -> int:
        lines = io.BytesIO()
        return run_plan(
            self.plan,
            self.facts,
            backend=self.backend,
            command=self.command,
            log=Sink(lines),
            journals=self.journals,
            backends=backends,
        ).exit_code

    def child(self, reported: Reported, request: dict[str, Any]) -> None:
        """Run, and end as asked: {"kill_at", "watchdog"} or {"fail_at"} (of the attach)."""
        guards, steps, backends = spy(reported), Steps(), dict(BACKENDS)
        if at := request.get("fail_at"):
            steps.at, steps.act, steps.on = at, fail, False
            backends = {name: Attaching(one, steps) for name, one in backends.items()}
        elif at := request.get("kill_at"):
            steps.at = at
            steps.act = lambda: end_all(guards, watchdog=request["watchdog"])
        libc = Libc(bpf_call._libc, steps, attaching="kill_at" in request)
        replace(bpf_call, _libc=libc)
        replace(perf, _libc=libc)
        sys.addaudithook(steps.audit)
        try:
            code = self.run(backends)
        except Exception as error:  # what the command line reports as 3 or 6
            reported.put(error=str(error))
            code = 3 if isinstance(error, HostError) else 6
        steps.on = False
        reported.put(steps=steps.count, exit_code=code, names=steps.names)

    def serve(self, request: dict[str, Any]) -> dict[str, Any]:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(read)
                self.child(Reported(write), request)
            finally:
                os._exit(0)
        os.close(write)
        if (delay := request.get("kill_after_s")) is not None:
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
        with os.fdopen(read) as pipe:
            parts = [json.loads(line) for line in pipe]
        _, status = os.waitpid(pid, 0)
        answer: dict[str, Any] = {"lines": [part["line"] for part in parts if "line" in part]}
        for part in parts:
            answer |= {key: value for key, value in part.items() if key != "line"}
        return answer | {"killed": os.WIFSIGNALED(status)}


def main(journals: str, backend: str, plan: str, *command: str) -> None:
    sys.dont_write_bytecode = True  # no step of a run
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the command's
    zygote = Zygote(Path(journals), backend, Path(plan).read_bytes(), command)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(zygote.serve(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
