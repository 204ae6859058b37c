"""The moments of a bundle: when it was made, and when it expires."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.plan.findings import PlanError, of_command_line

__all__ = ["format_moment", "read_created", "read_expires"]

_EPOCH = "SOURCE_DATE_EPOCH"
_LATEST = 253402300799  # 9999-12-31T23:59:59Z


def read_created(environment: Mapping[str, str]) -> int:
    """Now, or what SOURCE_DATE_EPOCH says, in seconds since the epoch. Raises PlanError for text
    there that is no number."""
    text = environment.get(_EPOCH)
    if text is None:
        return int(time.time())
    if not (text.isascii() and text.isdigit() and int(text[:13]) <= _LATEST):
        message = f"{_EPOCH} is {text!r}, and no number of seconds since 1970"
        raise PlanError([of_command_line(message, "e.g. SOURCE_DATE_EPOCH=$(date +%s)")])
    return int(text)


def read_expires(text: str, created: int) -> int:
    """Seconds since the epoch for a date, or a date and time; in UTC where no zone is given. Raises
    PlanError for other text, and for what is not after `created`."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        message = f"--expires {text!r} is no date"
        hint = "e.g. --expires 2027-06-30, or 2027-06-30T12:00+02:00"
        raise PlanError([of_command_line(message, hint)]) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = int(moment.timestamp())
    if seconds <= created:
        made = format_moment(created)
        message = f"--expires {text!r} is not after the moment of building, {made}"
        raise PlanError([of_command_line(message, "give a date in the future")])
    return seconds


def format_moment(seconds: int) -> str:
    """Seconds since the epoch as a date and time in UTC, to the minute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%MZ}"
