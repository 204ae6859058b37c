"""A live run's control channel: a socket beside its journal, served between two looks at the ring.

One request a connection, one answer, each a JSON object in one packet (unix(7), SOCK_SEQPACKET).
Whoever asks must be root or the run's own user: the socket is theirs alone, and the kernel tells
who connected (SO_PEERCRED).
"""

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.plan.findings import HostError, PlanError, of_command_line
from orchestrator.run.safety.journal import socket_path

__all__ = ["Control", "ControlAnswer", "send_request"]

ControlAnswer = dict[str, Any]
#: Takes a request and the uid that asks.
Serve = Callable[[Mapping[str, Any], int], ControlAnswer]

_BYTES = 1 << 16
_MOST_WAITING = 8
_TIMEOUT_S = 2.0


class Control:
    """The run's end. `trouble`: why there is none, else None; a run goes on without."""

    def __init__(self, path: Path, serve: Serve) -> None:
        self._path, self._serve = path, serve
        self._waiting: list[socket.socket] = []
        self._socket: socket.socket | None = None
        self.trouble: str | None = None
        try:
            self._socket = _open_socket(path)
        except OSError as error:
            self.trouble = f"the run cannot be paused or asked ({error.strerror})"

    def look(self) -> None:
        """Answer who has asked. Does not block."""
        if self._socket is None:
            return
        for _ in range(_MOST_WAITING):
            try:
                self._waiting.append(self._socket.accept()[0])
            except OSError:
                break
            self._waiting[-1].setblocking(False)
        for silent in self._waiting[:-_MOST_WAITING]:
            silent.close()
        self._waiting = self._waiting[-_MOST_WAITING:]
        self._waiting = [one for one in self._waiting if not self._answered(one)]

    def close(self) -> None:
        """Take the socket away. Idempotent."""
        if self._socket is not None:
            self._path.unlink(missing_ok=True)
            for one in (*self._waiting, self._socket):
                one.close()
            self._socket, self._waiting = None, []

    def _answered(self, client: socket.socket) -> bool:
        """Whether this client is done with. One that does not take its answer does without."""
        try:
            request = client.recv(_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            request = b""
        with client, contextlib.suppress(OSError):
            if request:
                client.send(json.dumps(self._answer(request, _uid_of(client))).encode())
        return True

    def _answer(self, request: bytes, uid: int) -> ControlAnswer:
        if uid not in (0, os.geteuid()):
            return {"error": f"uid {uid} may not: the run belongs to uid {os.geteuid()}"}
        try:
            told = json.loads(request)
            if not isinstance(told, dict):
                return {"error": "a request is an object"}
            return self._serve(told, uid)
        except (ValueError, RecursionError) as error:
            return {"error": f"the request cannot be read: {error}"}
        except (PlanError, HostError) as error:
            found = error.findings[0]
            return {"error": found.message, "hint": found.hint}


def send_request(journal: Path, request: Mapping[str, Any]) -> ControlAnswer:
    """What the run of this journal answers. Raises HostError when it does not, and PlanError with
    what it says is wrong."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(_TIMEOUT_S)
            with _address(socket_path(journal)) as address:
                client.connect(address)
            client.send(json.dumps(request).encode())
            text = client.recv(_BYTES)
        answer: ControlAnswer = json.loads(text)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or "it said nothing"
        raise HostError(
            [of_command_line(f"the run does not answer ({why})", "is it stopped?")]
        ) from None
    if "error" in answer:
        raise PlanError([of_command_line(answer["error"], answer.get("hint", ""))])
    return answer


def _open_socket(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(made.fileno(), 0o600)  # what bind gives the file, before anybody can open it
        with _address(path) as address:
            made.bind(address)
        made.listen(_MOST_WAITING)
    except BaseException:
        made.close()
        raise
    return made


@contextlib.contextmanager
def _address(path: Path) -> Any:
    """The path by way of an open directory: an address holds 107 bytes (unix(7))."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _uid_of(client: socket.socket) -> int:
    """struct ucred: pid, uid, gid."""
    told = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid: int = struct.unpack("=iII", told)[1]
    return uid
