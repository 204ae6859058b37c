"""Naming the code of processes in a child process, since what a process has mapped is hostile
input.

A file can be damaged with intent, be enormous, be truncated while it is read, or be on a file
system that never answers. The child has bounded memory, a request has bounded time, and the child
can be killed whatever it does. Where that happens, stacks have addresses instead of names, and say
why.

It is a fork, not a new program: it has our modules loaded, and the capabilities that are needed to
open what other users' processes have mapped.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from orchestrator.symbols.frames import Frame, make_frame
from orchestrator.symbols.process import FileCache, NamedStacks, ProcessNames

__all__ = ["IsolatedNames"]

#: How long one process's stacks may take, and all that are not quick in one run.
_PATIENCE_S, _BUDGET_S, _QUICK_S = 3.0, 6.0, 0.1
_DATA_BYTES = 1 << 30
_REPLY_BYTES = 16 << 20
_HEAD = 4
_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h

_TOO_LONG = "reading what this process has mapped took too long, or too much memory"
_NO_TIME = "naming the code of other processes took too long"
_NO_CHILD = "no process could be started to read what this one has mapped"


class IsolatedNames:
    """Names user stacks in a child, which is started at the first request, or by `start`."""

    def __init__(self, binaries: FileCache | None = None) -> None:
        self._binaries = binaries
        self._pid = 0
        self._channel: socket.socket | None = None
        self._spent_s = 0.0
        self._refused: set[int] = set()

    def start(self) -> None:
        """Start the child, if none is running. Raises OSError."""
        if self._channel is not None:
            return
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            _serve(theirs, self._binaries or FileCache())
        theirs.close()
        self._channel = ours

    def name_stacks(self, pid: int, stacks: Sequence[Sequence[int]]) -> NamedStacks:
        """The frames of some stacks of process `pid`, and why names are missing."""
        if pid in self._refused:
            return _bare(stacks, _TOO_LONG)
        if self._spent_s > _BUDGET_S:
            return _bare(stacks, _NO_TIME)
        began = time.monotonic()
        try:
            self.start()
        except OSError:
            return _bare(stacks, _NO_CHILD)
        try:
            reply = self._ask({"pid": pid, "stacks": [list(stack) for stack in stacks]})
        except (OSError, ValueError):
            self.close()
            self._refused.add(pid)
            reply = None
        took = time.monotonic() - began
        self._spent_s += took if took > _QUICK_S else 0.0
        if reply is None:
            return _bare(stacks, _TOO_LONG)
        frames = [tuple(Frame(*frame) for frame in stack) for stack in reply["frames"]]
        return NamedStacks(frames=frames, why=reply["why"])

    def close(self) -> None:
        """End the child. Idempotent; a later request starts another."""
        if self._channel is None:
            return
        self._channel.close()
        self._channel = None
        os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # a program that embeds us has reaped it
            _reap(self._pid)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises OSError and ValueError when no proper answer comes in time."""
        assert self._channel is not None
        deadline = time.monotonic() + _PATIENCE_S
        text = json.dumps(request).encode()
        self._channel.settimeout(_PATIENCE_S)
        self._channel.sendall(len(text).to_bytes(_HEAD, "little") + text)
        size = int.from_bytes(_receive(self._channel, _HEAD, deadline), "little")
        if not 0 < size <= _REPLY_BYTES:
            raise ValueError("no answer is of that size")
        reply = json.loads(_receive(self._channel, size, deadline))
        if not isinstance(reply, dict):
            raise ValueError("the answer is no object")  # noqa: TRY004  # as any other bad answer
        return reply


def _bare(stacks: Sequence[Sequence[int]], why: str) -> NamedStacks:
    return NamedStacks(frames=[tuple(map(make_frame, stack)) for stack in stacks], why=why)


def _receive(channel: socket.socket, size: int, deadline: float | None = None) -> bytes:
    """Exactly `size` bytes, until `deadline` (time.monotonic). Raises OSError."""
    parts: list[bytes] = []
    while size:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([channel], [], [], left)[0]:
                raise TimeoutError
        part = channel.recv(min(size, 1 << 16))
        if not part:
            raise ConnectionResetError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _reap(pid: int) -> None:
    """Not for long: a child that waits for a file system cannot be killed before that answers."""
    deadline = time.monotonic() + 1.0
    while not os.waitpid(pid, os.WNOHANG)[0] and time.monotonic() < deadline:
        time.sleep(0.001)


# ---------------------------------------------------------------- in the child


def _serve(channel: socket.socket, binaries: FileCache) -> NoReturn:
    """Answer requests until the parent closes the channel or ends."""
    try:
        _confine(channel.fileno())
        names = ProcessNames(binaries)
        while True:
            size = int.from_bytes(_receive(channel, _HEAD), "little")
            request = json.loads(_receive(channel, size))
            reply = json.dumps(_answer(names, request)).encode()
            channel.sendall(len(reply).to_bytes(_HEAD, "little") + reply)
    finally:
        os._exit(0)  # nothing of the parent's is undone or flushed here


def _answer(names: ProcessNames, request: dict[str, Any]) -> dict[str, Any]:
    """What cannot be read is not named, whatever the reason: the input is hostile."""
    try:
        named = names.name_stacks(request["pid"], request["stacks"])
    except Exception as error:  # MemoryError included
        named = _bare(request["stacks"], f"{_TOO_LONG} ({type(error).__name__})")
    return {"frames": named.frames, "why": named.why}


def _confine(channel: int) -> None:
    """Keep nothing of the parent open (its journal's lock, above all), take no signal that is meant
    for it, end with it, and take no more than a gigabyte."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names are all we need
        if int(name) != channel:
            with contextlib.suppress(OSError):  # the list's own descriptor is closed already
                os.close(int(name))
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _DATA_BYTES if hard == resource.RLIM_INFINITY else min(_DATA_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
