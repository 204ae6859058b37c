"""What can go wrong in the lab, apart from the job itself."""

TAIL_LINES = 25


class LabError(Exception):
    """The lab cannot do what was asked; the text says why and what to do."""


class GuestLost(LabError):
    """The machine died, hung or never started, so the job's outcome is unknown.

    Never raised for a job that ran and failed: that is a GuestResult with its exit code.
    `console` holds everything the machine printed; the message ends with its last lines.
    """

    def __init__(self, reason: str, console: str) -> None:
        self.reason = reason
        self.console = console
        super().__init__(f"guest lost: {reason}\n--- end of its console ---\n{tail(console)}")


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last `lines` lines of `text`, or a note that there were none."""
    return "\n".join(text.splitlines()[-lines:]) or "(nothing was printed)"
