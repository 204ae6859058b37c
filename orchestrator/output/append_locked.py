"""Appending to a file as other processes do: one after the other, whole or not at all."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable

from orchestrator.output.safe_open import open_public

__all__ = ["append_locked"]

#: Of a file that is read before something is appended.
_MOST_BYTES = 256 << 20


def append_locked(path: str | os.PathLike[str], make: Callable[[bytes], bytes]) -> None:
    """Append what `make` returns for what the file holds at that time; nothing where that is empty.

    Raises OSError, after which the file is as it was; and what `make` raises.
    """
    file = open_public(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        content = _read_whole(file)
        _append_whole(file, make(content), len(content))
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(file)


def _read_whole(file: int) -> bytes:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if status.st_size > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {_MOST_BYTES >> 20} MiB")
    with os.fdopen(os.dup(file), "rb") as source:
        return source.read()


def _append_whole(file: int, text: bytes, before: int) -> None:
    """One write; what it leaves out, on a full disk, is taken back."""
    if text and os.write(file, text) != len(text):
        os.ftruncate(file, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
