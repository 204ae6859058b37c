"""What an unattended run leaves for the next one, in case it harms this host: a marker while it is
armed, and a quarantine of its plan once it did harm."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.protocol import ProgramRefused
from orchestrator.output.sink import OutputLost
from orchestrator.plan.findings import HostError
from orchestrator.plan.model import Plan
from orchestrator.run.report.outcome import Outcome
from orchestrator.run.safety.journal import read_boot_id
from orchestrator.run.unattended.boot_marker import BootMarker, place_marker, take_stale_markers
from orchestrator.run.unattended.state import StateDirectories, StateError

if TYPE_CHECKING:
    from orchestrator.run.unattended.quarantine import QuarantineCause, QuarantineEntry

__all__ = ["HarmWatch", "quarantine_stale"]

_CANARY = "PP095"


class HarmWatch:
    """The watch over the run `run_id` of `plan`, as `RunOptions.watch` has it. All is on the disk
    when a method returns. They raise OutputLost where the disk is full, and StateError."""

    def __init__(self, state: StateDirectories, plan: Plan, run_id: str) -> None:
        self._state, self._plan, self._run_id = state, plan, run_id
        self._marker: BootMarker | None = None

    @property
    def marker(self) -> Path:
        """Where the marker is, from `begin` to `end`."""
        return self._state.running / f"{self._run_id}.json"

    def begin(self) -> None:
        """Place the marker: should the host go down from now on, the next boot finds it."""
        try:
            self._marker = place_marker(
                self._state.running,
                plan_digest=self._plan.sha256,
                plan_name=self._plan.metadata.name,
                run_id=self._run_id,
                boot_id=read_boot_id(),
            )
        except OSError as error:
            raise _state_error(error) from None

    def judge(self, outcome: Outcome, errors: Sequence[BaseException]) -> None:
        """Put the plan into quarantine if `outcome` or one of `errors` says that it did harm."""
        harm = _find_harm(outcome, errors)
        if harm is None:
            return
        assert self._marker is not None, "what was not begun does no harm"
        try:
            _quarantine_plan(self._state, self._marker, *harm)
        except OSError as error:
            raise _state_error(error) from None

    def end(self) -> None:
        """Remove the marker, if there is one: everything is detached."""
        if self._marker is None:
            return
        try:
            self._marker.remove()
        except OSError as error:
            raise _state_error(error) from None


def quarantine_stale(state: StateDirectories) -> "tuple[QuarantineEntry, ...]":
    """Put the plans into quarantine that were armed when this host went down; returns what is
    added. Raises StateError."""
    entries = []
    try:
        for marker in take_stale_markers(state.running, read_boot_id()):
            why = "the host went down while it ran"
            entries.append(_quarantine_plan(state, marker, "host went down", why))
            marker.remove()
    except OSError as error:
        raise StateError(error) from None
    return tuple(entries)


def _find_harm(
    outcome: Outcome, errors: Iterable[BaseException]
) -> "tuple[QuarantineCause, str] | None":
    if outcome == "cost":
        return "governor", "limits.cpu ended its run"
    for error in errors:
        if isinstance(error, ProgramRefused):
            return "verifier", error.findings[0].message
        if isinstance(error, HostError) and error.findings[0].code == _CANARY:
            return "canary", error.findings[0].message
    return None


def _quarantine_plan(
    state: StateDirectories, marker: BootMarker, cause: "QuarantineCause", detail: str
) -> "QuarantineEntry":
    """Put the plan whose run placed the marker into quarantine from now on. Raises OSError."""
    from orchestrator.run.unattended.quarantine import (  # where there was harm
        QUARANTINE_NS,
        Quarantine,
        QuarantineEntry,
    )

    now_ns = time.time_ns()
    entry = QuarantineEntry(
        plan_digest=marker.plan_digest,
        plan_name=marker.plan_name,
        cause=cause,
        detail=detail,
        since_ns=now_ns,
        until_ns=now_ns + QUARANTINE_NS,
        boot_id=marker.boot_id,
        run_id=marker.run_id,
    )
    Quarantine(state.quarantine).add(entry)
    return entry


def _state_error(error: OSError) -> OutputLost | StateError:
    found = StateError(error)
    return OutputLost(error.errno or 0, 0) if found.is_full else found
