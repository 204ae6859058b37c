"""FILE.sig: where the signature of a file is, and reading it, bounded."""

import errno
import os
import stat

from orchestrator.plan.printable import make_printable
from orchestrator.signatures.model import SignatureRefused

__all__ = ["read_detached", "signature_path"]

_CANNOT_EXIST = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_MOST_BYTES = 64 << 10  # RSA-16384 with a certificate of 256 principals is below that


def signature_path(file: str) -> str:
    """Where the signature of `file` is."""
    return f"{file}.sig"


def read_detached(path: str) -> bytes | None:
    """The signature in the file `path`, or None where there is no such file.

    Raises SignatureRefused for what cannot be read, is no regular file, or is larger than 64 KiB: a
    signature that is there must not count as absent.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise SignatureRefused(_describe(path, "is not a regular file"))
            content = source.read(_MOST_BYTES + 1)
    except ValueError:  # a NUL in the name
        return None
    except OSError as error:
        if error.errno in _CANNOT_EXIST:
            return None
        raise SignatureRefused(_describe(path, f"cannot be read: {error.strerror}")) from None
    if len(content) > _MOST_BYTES:
        raise SignatureRefused(_describe(path, f"is larger than {_MOST_BYTES >> 10} KiB"))
    return content


def _open_at_once(path: str, flags: int) -> int:
    """A descriptor; a pipe is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _describe(path: str, what: str) -> str:
    return f"{make_printable(path)} {what}"
