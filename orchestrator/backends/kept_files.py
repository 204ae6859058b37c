"""Files in the cache directory, each with a digest of its content.

A file is used only if its digest matches and its directory is our own: what is in it decides what
is loaded into the kernel.
"""

import contextlib
import hashlib
import os
import time
from pathlib import Path

from orchestrator.backends.cache_directory import cache_directory, check_own

__all__ = ["LARGE", "forget_kept", "read_kept", "write_kept"]

KEPT_FILES = 2_000  # of instructions about 13 KB each
LARGE = "prepared-"  # begins the names of prepared plans, which have 10 to 250 KB
KEPT_LARGE = 200
NEW = ".new-"
TORN_SECONDS = 60  # no write takes that long


def read_kept(name: str) -> bytes | None:
    """What is kept by that name, or None where there is nothing that can be trusted."""
    directory = cache_directory()
    if directory is None:
        return None
    try:
        file = check_own(directory) / name
        digest, _, body = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    with contextlib.suppress(OSError):  # a read-only file system does no harm
        os.utime(file)  # files in use are kept longest
    return body


def write_kept(name: str, body: bytes) -> None:
    """Keep `body`, atomically. An unwritable directory is not an error: it is made again."""
    import tempfile  # 4 ms, with what it imports, that reading need not pay

    directory = cache_directory()
    if directory is None:
        return
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=check_own(directory), prefix=NEW)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            Path(new).replace(directory / name)
            _prune_files(directory)
        except OSError:
            Path(new).unlink()


def forget_kept(name: str) -> None:
    """Keep nothing by that name any more."""
    directory = cache_directory()
    if directory is not None:
        with contextlib.suppress(OSError):
            (check_own(directory) / name).unlink()


def _prune_files(directory: Path) -> None:
    """Delete the oldest files beyond KEPT_FILES and KEPT_LARGE, and what a killed writer left."""
    files = sorted(directory.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    torn = [file for file in files if file.name.startswith(NEW) and _age_s(file) > TORN_SECONDS]
    large = [file for file in files if file.name.startswith(LARGE)]
    others = [file for file in files if not file.name.startswith(LARGE)]
    for file in (*others[:-KEPT_FILES], *large[:-KEPT_LARGE], *torn):
        file.unlink(missing_ok=True)


def _age_s(file: Path) -> float:
    return time.time() - file.stat().st_mtime
