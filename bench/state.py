"""The state of unattended runs, apart from this host's."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.setting import NotPossible

__all__ = ["own_state"]

_STATE = Path("/var/lib/probeplan")
_DISK = "/var/tmp"  # noqa: S108  # on a disk, as the state is: runs wait until it has their files
_HOLD = f'set -e; mount --make-rprivate /; mount --bind "$0" {_STATE}; echo held; exec cat'


@contextmanager
def own_state() -> Iterator[tuple[str, ...]]:
    """Words before a command that let it have a /var/lib/probeplan which is empty at first, in a
    mount namespace that ends with the context. Raises NotPossible."""
    missing = not _STATE.exists()
    _STATE.mkdir(mode=0o700, exist_ok=True)  # a directory to mount on
    try:
        with tempfile.TemporaryDirectory(prefix="probeplan-bench-", dir=_DISK) as directory:
            yield from _hold(directory)
    finally:
        if missing:
            _STATE.rmdir()


def _hold(directory: str) -> Iterator[tuple[str, ...]]:
    argv = ["unshare", "--mount", "sh", "-c", _HOLD, directory]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != b"held\n":
                raise NotPossible(f"no mount namespace with another {_STATE} could be made")
            yield ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt")
        finally:
            holder.stdin.close()  # its end
