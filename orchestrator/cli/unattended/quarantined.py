"""The quarantine of this host for commands that show it, as text and as JSON values."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.output.log import format_timestamp
from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.run.unattended.boot_marker import list_damaged_markers
from orchestrator.run.unattended.quarantine import Quarantine, QuarantineEntry
from orchestrator.run.unattended.state import ROOT, StateDirectories
from orchestrator.values import dataclass

__all__ = ["QuarantineState", "describe_entry", "describe_state", "entry_fields", "find_entries"]
__all__ += ["indent_entry", "name_entry", "quarantine_error", "quarantine_of_host"]
__all__ += ["read_entries", "read_state_of_host", "state_fields"]

_SHOWN_DIGITS = 12  # of a digest; as many as `lift` needs
_HOUR_NS = 3600 * 1_000_000_000
_MINUTE_NS = 60 * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineState:
    """What is in quarantine on this host, and files that may have been markers of runs and cannot
    be read, each with the reason."""

    entries: tuple[QuarantineEntry, ...]
    damaged: tuple[tuple[Path, str], ...]


def quarantine_of_host() -> Quarantine:
    """The plans that are kept from this host."""
    return Quarantine(StateDirectories(root=ROOT).quarantine)


def read_entries() -> tuple[QuarantineEntry, ...]:
    """What is in quarantine on this host now, the oldest first. Raises HostError."""
    try:
        return quarantine_of_host().entries(time.time_ns())
    except OSError as error:
        raise quarantine_error("read", error) from None


def read_state_of_host() -> QuarantineState | None:
    """None where this user may not look. Raises HostError where root cannot read it."""
    try:
        damaged = list_damaged_markers(StateDirectories(root=ROOT).running)
        return QuarantineState(entries=read_entries(), damaged=damaged)
    except (OSError, HostError) as error:
        if os.geteuid() != 0:
            return None
        raise quarantine_error("read", error) if isinstance(error, OSError) else error from None


def find_entries(digest: str) -> tuple[QuarantineEntry, ...]:
    """What keeps the plan with this digest from this host now: one entry or none; none where this
    user may not look. Raises HostError."""
    state = read_state_of_host()
    return tuple(entry for entry in state.entries if entry.plan_digest == digest) if state else ()


def quarantine_error(verb: str, error: OSError) -> HostError:
    """Why the quarantine of this host cannot be read or changed."""
    place = error.filename or ROOT
    finding = Finding(
        code="PP262",
        message=f"the quarantine of this host cannot be {verb}: {place}: {error.strerror}",
        position=Position(file="this host"),
        hint=f"look at {place}" if os.geteuid() == 0 else "run as root",
    )
    return HostError([finding])


# ---------------------------------------------------------------- for programs


def state_fields(state: QuarantineState | None) -> dict[str, Any]:
    """As JSON has it; None: not known."""
    if state is None:
        return {"quarantined": None, "damaged_markers": None}
    return {
        "quarantined": [entry_fields(entry) for entry in state.entries],
        "damaged_markers": [{"file": str(file), "why": why} for file, why in state.damaged],
    }


def entry_fields(entry: QuarantineEntry) -> dict[str, str | None]:
    """As JSON has it; None: the file is damaged and does not say."""
    return {
        "plan": entry.plan_name or None,
        "plan_sha256": entry.plan_digest,
        "cause": entry.cause,
        "detail": entry.detail,
        "since": format_timestamp(entry.since_ns),
        "until": format_timestamp(entry.until_ns),
        "run_id": entry.run_id or None,
        "boot_id": entry.boot_id or None,
    }


# ---------------------------------------------------------------- for people


def describe_state(state: QuarantineState | None) -> Iterator[str]:
    """What needs attention; nothing where nothing does."""
    for number, entry in enumerate(state.entries if state else ()):
        if number == 0:
            yield "in quarantine for unattended runs (`probeplan quarantine lift PLAN` ends it):"
        yield from indent_entry(entry)
    for file, why in state.damaged if state else ():
        yield f"damaged: {file} ({why}): an unattended run may have been going on when the host"
        yield "went down, and it is not known of which plan; remove the file once you have looked"


def indent_entry(entry: QuarantineEntry) -> Iterator[str]:
    """As `describe_entry`, below a heading."""
    return (f"  {line}" for line in describe_entry(entry))


def name_entry(entry: QuarantineEntry) -> str:
    """The plan's name and the beginning of its digest, by either of which it can be lifted."""
    digits = entry.plan_digest[:_SHOWN_DIGITS]
    return f"{entry.plan_name} ({digits})" if entry.plan_name else digits


def describe_entry(entry: QuarantineEntry) -> Iterator[str]:
    """The plan with the end of its quarantine, then the cause; a line each."""
    until = format_timestamp(entry.until_ns)[:19] + "Z"
    yield f"{name_entry(entry)}: until {until} (for {_format_rest(entry.until_ns)})"
    run = f", run {entry.run_id}" if entry.run_id else ""
    cause = "" if entry.cause == "unknown" else f"{entry.cause}: "
    yield f"  {cause}{entry.detail}{run}"


def _format_rest(until_ns: int) -> str:
    """How long it goes on: more than 24 h where it was written by a clock that was set back."""
    rest_ns = until_ns - time.time_ns()
    hours, minutes = rest_ns // _HOUR_NS, rest_ns % _HOUR_NS // _MINUTE_NS
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
