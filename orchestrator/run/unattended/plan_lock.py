"""One run of a plan at a time on a host: of two rollouts at once, the second one is not made."""

import fcntl
import os
from pathlib import Path

__all__ = ["PlanLock"]


class PlanLock:
    """The lock on the plan with this name, in the directory for locks. It is the kernel's
    (flock(2)): it ends with the process that holds it, however that ends. Programs that are started
    from here do not inherit it. The file stays: a process that has opened it would otherwise lock
    one that no later run finds."""

    def __init__(self, directory: Path, plan: str) -> None:
        self._path = directory / f"{plan}.lock"

    def take(self) -> bool:
        """Take the lock, and keep it until the end of this process; False if another run has
        it. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return True
