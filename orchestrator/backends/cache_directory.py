"""The directory for what is measured or compiled once: instructions and prices."""

import os
import stat
from pathlib import Path

__all__ = ["cache_directory", "check_own"]

SYSTEM_DIRECTORY = Path("/var/cache/probeplan")


def cache_directory() -> Path | None:
    """The directory, which need not exist; None when PROBEPLAN_CACHE=off or there is no place."""
    if os.environ.get("PROBEPLAN_CACHE") == "off":
        return None
    if os.geteuid() == 0:
        return SYSTEM_DIRECTORY
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "probeplan" if base.startswith("/") else None


def check_own(directory: Path) -> Path:
    """Return `directory`. Raises PermissionError when another user owns it or may write to it."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{directory} is not a directory that only this user may write to")
    return directory
