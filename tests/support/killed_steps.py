"""A function that is killed before each of its steps in turn: each opening for writing, making,
removing and naming of a file, as Python's audit hooks report them. Each try is a fork of its
own process."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["kill_at_each_step"]

_CHANGING = {"os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.link"}


def kill_at_each_step(
    act: Callable[[], object], prepare: Callable[[], object] = lambda: None
) -> Iterator[int]:
    """Yields the number of each step at which `act` was killed, right after that; `prepare` is
    called before each try. Ends when it got through; raises AssertionError where it failed."""
    for step in itertools.count(1):
        prepare()
        if not _was_killed(act, step):
            return
        yield step


def _was_killed(act: Callable[[], object], step: int) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _die_at(step)
            act()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def _die_at(step: int) -> None:
    """From now on, count this process's steps, and kill it before the one with this number."""
    count = 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        writes = event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if writes or event in _CHANGING:
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
