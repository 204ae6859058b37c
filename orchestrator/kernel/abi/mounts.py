"""Mounts tracefs where it is missing: the only code in this package that changes the system."""

import ctypes
import os
from pathlib import Path
from typing import Literal

from orchestrator.kernel.tree import NO_SYSFS, LiveTree, lacks_sysfs, tracing_path

TRACEFS = Path("/sys/kernel/tracing")

MountOutcome = Literal["was mounted", "mounted"]


class MountError(OSError):
    """tracefs is missing and could not be mounted; the text says what to do."""


def ensure_tracefs() -> tuple[Path, MountOutcome]:
    """Where tracefs is, mounted at /sys/kernel/tracing if it was nowhere; and what was done.

    A mount under debugfs (/sys/kernel/debug/tracing) counts. It is left mounted, as systemd
    would have it. Raises MountError: no permission, or a kernel without tracefs.
    """
    mounted = tracing_path(LiveTree(Path("/")))
    if mounted is not None:
        return Path("/") / mounted, "was mounted"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"nodev", os.fsencode(TRACEFS), b"tracefs", 0, None) != 0:
        raise MountError(
            ctypes.get_errno(), f"cannot mount tracefs: {_explain_error(ctypes.get_errno())}"
        )
    return TRACEFS, "mounted"


def _explain_error(code: int) -> str:
    text = os.strerror(code)
    if code in (1, 13):  # EPERM, EACCES
        return f"{text}: run as root, in the host's own mount namespace"
    if lacks_sysfs(LiveTree(Path("/"))):
        return f"{text}: {NO_SYSFS}"
    if code in (2, 19):  # ENOENT, ENODEV
        return f"{text}: the kernel needs CONFIG_TRACING=y"
    return text
