"""Waiting for one of several descriptors."""

import select
from collections.abc import Iterable

__all__ = ["poll_descriptors"]


def poll_descriptors(descriptors: Iterable[int], timeout_s: float) -> list[int]:
    """Sleep until one of them can be read or its other end is closed, at most `timeout_s`, without
    waking up in between. Returns those of which this is true."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0, timeout_s * 1000))]
