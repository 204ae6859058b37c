"""A live run's control channel: a socket next to its journal, served by the loop of the run.

One request and one answer per connection, each a JSON object in one packet (unix(7),
SOCK_SEQPACKET). Only root and the run's own user are answered: the mode of the socket excludes
others, and the kernel reports the peer's uid (SO_PEERCRED).
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
#: Takes a request and the uid of its sender.
Serve = Callable[[Mapping[str, Any], int], ControlAnswer]

_BYTES = 1 << 16
_MOST_WAITING = 8
_TIMEOUT_S = 2.0


class Control:
    """The run's end of the channel. A run can go on without it; `trouble` is then the reason why
    there is none (None: there is one)."""

    def __init__(self, path: Path, serve: Serve) -> None:
        self._path, self._serve = path, serve
        self._waiting: list[socket.socket] = []
        self._socket: socket.socket | None = None
        self.trouble: str | None = None
        try:
            self._socket = _open_socket(path)
        except OSError as error:
            self.trouble = f"the run cannot be paused or asked ({error.strerror})"

    def answer_requests(self) -> None:
        """Answer the requests that have arrived. Does not block."""
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
        self._waiting = [client for client in self._waiting if not self._try_answer(client)]

    def close(self) -> None:
        """Remove the socket. Idempotent."""
        if self._socket is not None:
            self._path.unlink(missing_ok=True)
            for open_socket in (*self._waiting, self._socket):
                open_socket.close()
            self._socket, self._waiting = None, []

    def _try_answer(self, client: socket.socket) -> bool:
        """Whether the client has been answered, or has left."""
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
            return {"error": f"uid {uid} is not permitted: the run belongs to uid {os.geteuid()}"}
        try:
            fields = json.loads(request)
            if not isinstance(fields, dict):
                return {"error": "a request is an object"}
            return self._serve(fields, uid)
        except (ValueError, RecursionError) as error:
            return {"error": f"the request cannot be read: {error}"}
        except (PlanError, HostError) as error:
            finding = error.findings[0]
            return {"error": finding.message, "hint": finding.hint}


def send_request(journal: Path, request: Mapping[str, Any]) -> ControlAnswer:
    """Send `request` to the run with this journal; returns its answer. Raises HostError if it does
    not answer, and PlanError if it refuses."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(_TIMEOUT_S)
            with _address(socket_path(journal)) as address:
                client.connect(address)
            client.send(json.dumps(request).encode())
            text = client.recv(_BYTES)
        answer: ControlAnswer = json.loads(text)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or "an empty answer"
        raise HostError(
            [of_command_line(f"the run does not answer ({why})", "is it stopped?")]
        ) from None
    if "error" in answer:
        raise PlanError([of_command_line(answer["error"], answer.get("hint", ""))])
    return answer


def _open_socket(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(made.fileno(), 0o600)  # bind gives the file this mode, before others can open it
        with _address(path) as address:
            made.bind(address)
        made.listen(_MOST_WAITING)
    except BaseException:
        made.close()
        raise
    return made


@contextlib.contextmanager
def _address(path: Path) -> Any:
    """The path relative to an open directory, since an address holds 107 bytes (unix(7))."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _uid_of(client: socket.socket) -> int:
    """The peer's uid. struct ucred: pid, uid, gid."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid: int = struct.unpack("=iII", credentials)[1]
    return uid
