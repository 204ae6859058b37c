"""Files that lie in memory and have no name (memfd_create(2)): nothing is left behind, however this
process ends, and no other process can change them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["hold_in_memory"]


@contextmanager
def hold_in_memory(content: bytes, name: str = "probeplan") -> Iterator[int]:
    """A descriptor of such a file with this content, at its beginning. `name`: for /proc alone."""
    file = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        with os.fdopen(file, "wb", closefd=False) as writer:
            writer.write(content)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)
