"""A function that is killed before each of its steps in turn: each opening for writing, making,
removing and naming of a file, as Python's audit hooks report them. Each try is a fork of this
process."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.values import dataclass

__all__ = ["KilledTry", "kill_at_each_step", "try_until"]

_CHANGING = {"os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.link"}
Act = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class KilledTry:
    """A try: the `steps` that were begun, each as its event and its last path, and whether it was
    `killed` before the last of them."""

    steps: tuple[str, ...]
    killed: bool


def kill_at_each_step(act: Act, prepare: Act = lambda: None) -> Iterator[int]:
    """Yields the number of each step at which `act` was killed, right after that; `prepare` is
    called before each try. Ends when it got through; raises AssertionError where it failed."""
    for step in itertools.count(1):
        prepare()
        if not try_until(step, act).killed:
            return
        yield step


def try_until(step: int, act: Act) -> KilledTry:
    """`act` in a fork of this process, which is killed before the step with this number, counted
    from 1. Raises AssertionError where it failed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            _die_at(step, write)
            act()
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as lines:
        steps = tuple(line.rstrip("\n") for line in lines)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or os.waitstatus_to_exitcode(status) == 0, steps
    return KilledTry(steps=steps, killed=killed)


def _die_at(step: int, report: int) -> None:
    """From now on, report and count this process's steps, and kill it before the one with this
    number."""
    count, own = 0, os.getpid()

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        writes = event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if os.getpid() == own and (writes or event in _CHANGING):
            count += 1
            path = arguments[1] if event in ("os.rename", "os.link") else arguments[0]
            os.write(report, f"{event} {path}\n".encode(errors="backslashreplace"))
            if count == step:
                os.kill(own, signal.SIGKILL)

    sys.addaudithook(look)
