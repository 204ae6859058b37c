"""QEMU's monitor: requests and their answers, and what it says by itself (QMP, lines of JSON)."""

import contextlib
import json
import select
import socket
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.lab.errors import LabError

__all__ = ["MachineMonitor"]

_CHUNK = 65536


class MachineMonitor:
    """A connection to the monitor of one QEMU, which has no name that another process could use.
    To be closed by who made it."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._unread = b""
        self._events: set[str] = set()
        self._is_ready = False

    @property
    def theirs(self) -> int:
        """The descriptor that QEMU has to inherit."""
        return self._theirs.fileno()

    @property
    def options(self) -> tuple[str, ...]:
        """What QEMU is started with."""
        channel = f"socket,id=monitor,fd={self.theirs}"
        return ("-chardev", channel, "-mon", "chardev=monitor,mode=control")

    def fileno(self) -> int:
        """It can be read when QEMU has said something."""
        return self._ours.fileno()

    def close_theirs(self) -> None:
        """To be called once QEMU has inherited its side."""
        self._theirs.close()

    def close(self) -> None:
        """Close both sides."""
        self._ours.close()
        self._theirs.close()

    def has_event(self, name: str) -> bool:
        """Whether QEMU has said so by now. Until the first request it says nothing by itself."""
        with contextlib.suppress(OSError, EOFError):
            while b"\n" in self._unread or select.select([self._ours], [], [], 0)[0]:
                self._receive()
        return name in self._events

    def ask(
        self,
        name: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        descriptor: int | None = None,
    ) -> Any:
        """The answer to a request, sent along with a descriptor perhaps. Raises LabError where it
        is refused, EOFError where QEMU is gone, TimeoutError and other OSError."""
        deadline = time.monotonic() + timeout_s
        if not self._is_ready:
            self._is_ready = True
            self.ask("qmp_capabilities", {}, timeout_s)
        request = json.dumps({"execute": name, "arguments": arguments}).encode()
        self._ours.settimeout(timeout_s)
        socket.send_fds(self._ours, [request], [] if descriptor is None else [descriptor])
        while (answer := self._receive()) is None:
            self._ours.settimeout(max(0.001, deadline - time.monotonic()))
        if "error" in answer:
            raise LabError(f"QEMU refuses {name!r}: {answer['error'].get('desc')}")
        return answer["return"]

    def _receive(self) -> Mapping[str, Any] | None:
        """The next answer; None after anything else, which is noted."""
        while b"\n" not in self._unread:
            chunk = self._ours.recv(_CHUNK)
            if not chunk:
                raise EOFError
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        message = json.loads(line)
        if "event" in message:
            self._events.add(message["event"])
        return message if "return" in message or "error" in message else None
