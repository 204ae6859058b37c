"""The end of a run: detach, close the journal, dismiss the watchdog, wait for the command. Each
step is tried even when one before it failed."""

import time
from collections.abc import Callable

from orchestrator.backends.protocol import Session
from orchestrator.run.groundwork import Groundwork
from orchestrator.run.options import RunWatch
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.outcome import CommandResult
from orchestrator.run.safety.guard import Guard
from orchestrator.run.safety.journal import Journal
from orchestrator.run.safety.leftovers import clean_up_own
from orchestrator.run.safety.undo import MARKER
from orchestrator.run.signals import Signals

__all__ = ["detach_all", "finish_command"]


def detach_all(
    groundwork: Groundwork | None,
    session: Session | None,
    faults: Faults,
    watch: RunWatch | None = None,
) -> float | None:
    """Undo what a run has set up in the kernel, as far as it came, and return how long detaching
    took in ms (None: nothing was attached). What stays behind is noted in `faults`. `watch`: what
    watches over the run."""
    detach_ms = None if session is None else _detach(session, faults)
    if groundwork is not None and watch is not None:
        _try(lambda: _end_watch(groundwork.journal, watch), faults)
    if groundwork is not None:
        _try(lambda: _close_journal(groundwork.journal, groundwork.tracefs.path, faults), faults)
        _try(groundwork.tracefs.close, faults)
        _try(lambda: _dismiss(groundwork.guard, faults), faults)
    return detach_ms


def finish_command(
    groundwork: Groundwork | None, faults: Faults, signals: Signals, notify: Callable[[str], None]
) -> CommandResult | None:
    """Wait for the run's command, if it has one, and return how it ended."""
    command = groundwork.command if groundwork is not None else None
    if command is None:
        return None
    if command.was_released and not command.has_ended():
        notify(f"everything is detached; the command (pid {command.pid}) is still running")
    result = faults.attempt(lambda: command.wait_for_result(signals), None)
    command.close()
    return result


def _try(step: Callable[[], None], faults: Faults) -> None:
    try:
        step()
    except Exception as error:  # noted, and the next step is done all the same
        faults.left_behind.append(f"cleaning up failed: {error}")


def _detach(session: Session, faults: Faults) -> float:
    began = time.monotonic_ns()
    _try(session.detach, faults)
    return (time.monotonic_ns() - began) / 1e6


def _end_watch(journal: Journal, watch: RunWatch) -> None:
    watch.end()
    journal.done(MARKER, str(watch.marker))


def _close_journal(journal: Journal, tracefs: str, faults: Faults) -> None:
    """What the backend left is tried once more; if it stays, so does the journal."""
    failed = clean_up_own(journal, tracefs) if journal.entries else ()
    journal.close()
    for (kind, name), why in failed:
        faults.left_behind.append(
            f"the {kind} {name} is left behind: {why}; `probeplan cleanup` removes it"
        )


def _dismiss(guard: Guard, faults: Faults) -> None:
    """The watchdog goes last: until then a kill leaves nothing behind."""
    guard.dismiss()
    if guard.trouble:
        faults.notes.append(
            f"{guard.trouble}: had this run been killed, `probeplan cleanup` or the next run would "
            "have cleaned up"
        )
