"""Messages between a launcher and its process: JSON with its length before it."""

import json
import socket
from typing import Any

__all__ = ["receive_message", "send_message"]

_LENGTH_BYTES = 8


def send_message(channel: socket.socket, message: Any) -> None:
    """Send a message. Raises OSError where the other side is gone."""
    body = json.dumps(message).encode()
    channel.sendall(len(body).to_bytes(_LENGTH_BYTES, "little") + body)


def receive_message(channel: socket.socket) -> Any:
    """Wait for the next message. Raises EOFError where the other side is gone."""
    length = int.from_bytes(_receive(channel, _LENGTH_BYTES), "little")
    return json.loads(_receive(channel, length))


def _receive(channel: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = channel.recv(size - len(parts))
        except ConnectionError:
            part = b""
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
