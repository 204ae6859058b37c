"""Messages arrive whole, with the file that goes with them."""

import os
import socket
import threading

import pytest

from orchestrator.pytest_plugin.wire import (
    Closed,
    receive_message,
    receive_with_descriptor,
    send_message,
)


def test_a_message_of_any_size_arrives_whole() -> None:
    """Larger than the buffer of a socket, so that it comes in parts."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sent = {"text": "ö" * 3_000_000, "number": 2**70}
        sender = threading.Thread(target=send_message, args=(ours, sent))
        sender.start()
        assert receive_message(theirs) == sent
        sender.join()


def test_a_file_comes_with_its_message() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs:
        send_message(ours, {"n": 1}, write)
        send_message(ours, {"n": 2})
        message, descriptor = receive_with_descriptor(theirs)
        assert (message, receive_with_descriptor(theirs)) == ({"n": 1}, ({"n": 2}, None))
        assert descriptor is not None
        os.close(write)
        os.write(descriptor, b"x")
        assert os.read(read, 2) == b"x"
        os.close(descriptor)
    os.close(read)


def test_the_end_of_the_other_side_is_reported() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(b"\0\0")
        ours.close()
        with pytest.raises(Closed):
            receive_message(theirs)
