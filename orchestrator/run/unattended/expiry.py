"""Until when a plan may run unattended."""

from datetime import UTC, datetime

from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.values import dataclass

__all__ = ["Expiry", "check_expiry", "read_expiry"]

_DATE_LENGTH = len("2026-12-31")
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """A moment from which on nothing runs: `text` as it was given, `unix_s` in seconds since
    1970."""

    text: str
    unix_s: float


def read_expiry(text: str) -> Expiry:
    """The moment of an ISO 8601 date, which lasts until its end in UTC, or of a date and time with
    a zone. Raises ValueError, whose text says what is wrong."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no date: write 2026-12-31, or 2026-12-31T18:00:00Z with a zone"
        ) from None
    if len(text) <= _DATE_LENGTH:  # no time: fromisoformat takes it for midnight
        return Expiry(text=text, unix_s=moment.replace(tzinfo=UTC).timestamp() + _DAY_S)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone: hosts differ in theirs; write {text}Z for UTC")
    return Expiry(text=text, unix_s=moment.timestamp())


def check_expiry(expiry: Expiry, now_s: float) -> None:
    """Raises HostError where `now_s`, seconds since 1970, is not before the expiry."""
    if now_s < expiry.unix_s:
        return
    now = datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    finding = Finding(
        code="PP260",
        message=f"the plan was to run until {expiry.text} (--expires), and it is {now} now",
        position=Position(file="this host"),
        hint="roll it out again with a later date, or set the clock if that is wrong",
    )
    raise HostError([finding])
