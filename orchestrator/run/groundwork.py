"""What a run has in place before its first probe: journal, watchdog and parked command."""

import os
import time
from typing import Any

from orchestrator.backends.protocol import Artifact, AttachOptions
from orchestrator.run.choice import Prepared
from orchestrator.run.command import Command, park_command
from orchestrator.run.options import Bar, RunOptions
from orchestrator.run.safety.admission import admit_run
from orchestrator.run.safety.guard import Guard
from orchestrator.run.safety.host_limits import require_host
from orchestrator.run.safety.journal import Journal
from orchestrator.run.safety.leftovers import find_tracefs
from orchestrator.run.safety.pin import TracefsPin
from orchestrator.values import dataclass

__all__ = ["Groundwork", "draw_run_id", "lay_groundwork"]

_STDERR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Groundwork:
    """The open journal of the run, the guard that starts its watchdog, tracefs, held so that it can
    be cleaned up, and the command, parked before exec (None: it has none). `root_pid`: the process
    whose descendants are the target (None: there is none). `progress`: where waiting is shown."""

    run_id: str
    journal: Journal
    guard: Guard
    tracefs: TracefsPin
    command: Command | None
    root_pid: int | None = None
    progress: Bar | None = None

    def attach_options(self) -> AttachOptions:
        """What a backend needs to attach for this run."""
        return AttachOptions(
            run_id=self.run_id,
            root_pid=self.root_pid,
            journal=self.guard.add,
            unjournal=self.journal.done,
            stop=self.guard.write_at_deadline,
            compiling=self._announce_compiler,
        )

    def _announce_compiler(self) -> None:
        if self.progress is not None:
            self.progress.announce("compiling (first time)")


def draw_run_id() -> str:
    """The identity of a run: when it began, and a random part."""
    return f"{int(time.time()):08x}{os.urandom(3).hex()}"


def lay_groundwork(
    run_id: str, prepared: Prepared, options: RunOptions, *, root_pid: int | None = None
) -> Groundwork:
    """Open the journal, ask the policies whether one more run may be live, park the command.
    `root_pid`: a process whose descendants are the target, where there is no command.

    Raises HostError (too little memory; no journal can be kept; too many runs are live) and
    PlanError (there is no such command); nothing is left open then.
    """
    require_host(prepared.choice.artifact.program)
    journal = _open_journal(run_id, prepared.choice.artifact, options)
    tracefs = TracefsPin(find_tracefs())
    try:
        admit_run(prepared.policies, options.journals, run_id)
        guard = Guard(journal, find_tracefs())
        command = _park_command(options)
    except BaseException:
        tracefs.close()
        journal.close()
        raise
    return Groundwork(
        run_id=run_id,
        journal=journal,
        guard=guard,
        tracefs=tracefs,
        command=command,
        root_pid=root_pid if command is None else command.pid,
        progress=options.progress,
    )


def _open_journal(run_id: str, artifact: Artifact[Any], options: RunOptions) -> Journal:
    journal = Journal(
        run_id,
        plan=artifact.program.name,
        backend=artifact.backend,
        probes=len(artifact.program.probes),
        directories=options.journals,
    )
    first = options.journals[0]
    if journal.directory != first:
        options.notify(f"the journal is kept in {journal.directory}: {first} is not writable")
    return journal


def _park_command(options: RunOptions) -> Command | None:
    """JSON lines on standard output stay whole: the command then writes to standard error."""
    if not options.command:
        return None
    return park_command(options.command, stdout=_STDERR if options.log is None else None)
