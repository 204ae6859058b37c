"""tracefs for the commands that need it: mounted where it is not, and that is reported."""

from orchestrator.cli.messages import print_note
from orchestrator.kernel.abi.mounts import MountError, ensure_tracefs

__all__ = ["mount_tracefs"]


def mount_tracefs() -> None:
    """Mount tracefs if it is nowhere. Some plans run without it; what needs it is refused later,
    with a reason."""
    try:
        where, outcome = ensure_tracefs()
    except MountError as error:
        print_note(str(error.strerror))
    else:
        if outcome == "mounted":
            print_note(f"tracefs was not mounted; it is now, at {where}")
