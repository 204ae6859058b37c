"""Messages between pytest's process and the helper: JSON with its length before it."""

import json
import socket
import struct
from typing import Any

__all__ = ["Closed", "Message", "receive_message", "receive_with_descriptor", "send_message"]

_LENGTH = struct.Struct("!Q")
Message = dict[str, Any]


class Closed(Exception):
    """The other side is gone."""


def send_message(channel: socket.socket, message: Message, descriptor: int | None = None) -> None:
    """Send one message, with an open file if there is one. Raises OSError."""
    body = json.dumps(message).encode()
    head = _LENGTH.pack(len(body))
    if descriptor is None:
        channel.sendall(head)
    else:
        socket.send_fds(channel, [head], [descriptor])
    channel.sendall(body)


def receive_message(channel: socket.socket) -> Message:
    """The next message. Raises Closed, OSError."""
    return receive_with_descriptor(channel)[0]


def receive_with_descriptor(channel: socket.socket) -> tuple[Message, int | None]:
    """The next message and the file that came with it. Raises Closed, OSError."""
    head, descriptors, _, _ = socket.recv_fds(channel, _LENGTH.size, 1)
    head += _receive_all(channel, _LENGTH.size - len(head)) if head else b""
    if not head:
        raise Closed
    message: Message = json.loads(_receive_all(channel, _LENGTH.unpack(head)[0]))
    return message, descriptors[0] if descriptors else None


def _receive_all(channel: socket.socket, size: int) -> bytes:
    body = bytearray()
    while len(body) < size:
        part = channel.recv(min(size - len(body), 1 << 20))
        if not part:
            raise Closed
        body += part
    return bytes(body)
