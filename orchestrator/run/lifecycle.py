"""The life of one run: attach, loop, account, detach, tell; each step tried on its own.

Nothing heavy is imported before the probes are attached (numpy 55 ms, structlog 75 ms): what the
loop needs comes with orchestrator.run.live.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.backends.descriptors import descriptor_of
from orchestrator.backends.protocol import AttachOptions, Session
from orchestrator.kernel.facts import KernelFacts
from orchestrator.output.folded import fold_stacks
from orchestrator.output.result import ResultDirectory
from orchestrator.output.run_output import RunOutput, TeeSink
from orchestrator.output.sink import OutputLost, Sink
from orchestrator.plan.model import Plan
from orchestrator.policy.model import Policy
from orchestrator.run.arming import arm
from orchestrator.run.choice import Choice
from orchestrator.run.command import Command, park
from orchestrator.run.cost.canary_choice import why_not
from orchestrator.run.loop import Bar, Watched
from orchestrator.run.report.account import make_empty_account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.finish import Ending, finished
from orchestrator.run.report.outcome import CommandResult, Outcome
from orchestrator.run.report.records import (
    attached_fields,
    skipped_fields,
    skipped_hook_fields,
    started_fields,
)
from orchestrator.run.report.result import RunResult
from orchestrator.run.safety.admission import admit
from orchestrator.run.safety.guard import Guard
from orchestrator.run.safety.journal import Journal, socket_of
from orchestrator.run.safety.leftovers import Cleaned, clean_leftovers, clean_own, mounted_at
from orchestrator.run.safety.privileges import drop_after_attach, needed_for_names
from orchestrator.run.signals import Signals
from orchestrator.run.startup import since_process_start_ms

if TYPE_CHECKING:
    from orchestrator.run.live import Live

__all__ = ["Order", "Run"]

_STDERR = 2
#: Of the common fields, those that every event line carries.
_ON_EVENTS = ("run_id", "plan", "host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for, and what was chosen. `log` None: standard output; `tell` takes what
    people should know at once. Privileges are given up only by a process that is ours alone."""

    plan: Plan
    facts: KernelFacts
    choice: Choice
    command: tuple[str, ...]
    directory: ResultDirectory | None
    log: Sink | None
    bar: Bar | None
    journals: tuple[Path, ...]
    signals: Signals
    tell: Callable[[str], None] = lambda _text: None
    policies: tuple[Policy, ...] = ()
    keep_privileges: bool = True
    canary: bool = False


class Run:
    """One run."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._artifact = order.choice.artifact
        self._program = self._artifact.program
        self._run_id = f"{int(time.time()):08x}{os.urandom(3).hex()}"
        self._constants = {
            "run_id": self._run_id,
            "plan": self._program.name,
            "plan_sha256": self._program.sha256,
            "host": os.uname().nodename or "unknown",
            "kernel": order.facts.release,
        }
        self._faults = Faults()
        self._session: Session | None = None
        self._command: Command | None = None
        self._journal: Journal | None = None
        self._guard: Guard | None = None
        self._startup_ms: float | None = None
        self._detach_ms: float | None = None
        self._canary: dict[str, Any] = {"skipped": "the run was not asked for one"}
        self._output = self._open_output()

    def execute(self) -> RunResult:
        """Do it all. Raises what went wrong, once everything is undone and told."""
        cleaned = clean_leftovers(directories=self._order.journals)
        for one in cleaned:
            self._order.tell(str(one))
        live = self._faults.attempt(self._attach, None)
        outcome: Outcome = "error"
        account = make_empty_account(self._program)
        if live is not None:
            outcome = self._faults.attempt(live.run, outcome)
            account = self._faults.attempt(live.settle, account)
        command = self._undo()
        if live is not None and live.trouble:
            self._faults.notes.append(live.trouble)
        ending = Ending(
            outcome=outcome,
            account=account,
            command=command,
            ended_by=self._order.signals.received,
            armed_at=live.started if live else None,
            armed_for_ns=live.armed_for_ns if live else 0,
            startup_ms=self._startup_ms,
            detach_ms=self._detach_ms,
            output_limited=live is not None and live.output_limited,
            output_failed=self._output.why_failed,
            paused_ns=live.paused_ns if live else {},
        )
        result = self._tell(ending, live, cleaned)
        if self._faults.errors:
            raise self._faults.errors[0]
        return result

    # ------------------------------------------------------------ there

    def _open_output(self) -> RunOutput:
        order = self._order
        sink = order.log or Sink(sys.stdout.buffer)
        if order.directory is not None:
            sink = TeeSink(sink, order.directory.open_events())
        lines_hide_the_bar = order.bar is not None and order.log is None and sys.stdout.isatty()
        hide = order.bar.hide if order.bar and lines_hide_the_bar else lambda: None
        return RunOutput(sink, self._constants, hide)

    def _attach(self) -> "Live":
        try:
            self._prepare()
            self._send_canary()
            session = self._session = self._order.choice.backend.attach(
                self._artifact, self._order.facts, self._options()
            )
            self._startup_ms = since_process_start_ms()
            armed = arm(session, self._program, self._guard)
        finally:
            fields = started_fields(
                self._order.plan, self._artifact, self._order.command, self._order.policies
            )
            self._output.write_record("run.started", **fields, canary=self._canary)
        assert self._journal is not None
        self._tell_attached(session)
        self._drop_privileges()
        from orchestrator.run.live import Live  # numpy, which nothing before this needs

        return Live(
            plan=self._order.plan,
            session=session,
            artifact=self._artifact,
            output=self._output,
            armed=armed,
            watched=Watched(signals=self._order.signals, command=self._command, guard=self._guard),
            constants={name: self._constants[name] for name in _ON_EVENTS},
            bar=self._order.bar,
            socket=socket_of(self._journal.path),
        )

    def _drop_privileges(self) -> None:
        """Before numpy starts threads, which would keep theirs. COMMAND and the watchdog do."""
        order = self._order
        if order.keep_privileges:
            return
        directory = order.directory is not None and not order.directory.is_ours
        names = needed_for_names(self._program)
        why = drop_after_attach(
            command=bool(order.command),
            directory=directory,
            programs=descriptor_of(self._artifact.backend).has_bpf_programs,
            names=names,
        )
        if why:
            self._faults.notes.append(why)

    def _prepare(self) -> None:
        """What is there before the first probe: the plan under --out, journal, parked command."""
        order = self._order
        if order.directory is not None:
            order.directory.write_plan(order.plan.source)
            name = descriptor_of(self._artifact.backend).program_file
            order.directory.write_program(name, self._artifact.text)
        self._journal = self._open_journal()
        admit(order.policies, order.journals, self._run_id)
        self._guard = Guard(self._journal, mounted_at())
        if order.command:
            self._command = park(order.command, stdout=_STDERR if order.log is None else None)

    def _send_canary(self) -> None:
        """Raises HostError where the plan would break limits.cpu by itself."""
        if not self._order.canary:
            return
        signals = self._order.signals
        if why := why_not(self._program, command=bool(self._order.command)):
            self._canary = {"skipped": why}
            return
        from orchestrator.run.cost.canary import canary  # once a second is spent anyway

        self._canary = {"skipped": "it did not come back"}
        self._canary = canary(
            self._program,
            self._order.choice.backend,
            self._order.facts,
            replace(self._options(), stop=lambda _path, _text: None),
            lambda: signals.received is not None,
        )

    def _options(self) -> AttachOptions:
        assert self._journal is not None
        assert self._guard is not None
        return AttachOptions(
            run_id=self._run_id,
            root_pid=self._command.pid if self._command else None,
            journal=self._guard.add,
            unjournal=self._journal.done,
            stop=self._guard.stop,
        )

    def _open_journal(self) -> Journal:
        journal = Journal(
            self._run_id,
            plan=self._program.name,
            backend=self._artifact.backend,
            probes=len(self._program.probes),
            directories=self._order.journals,
        )
        first = self._order.journals[0]
        if journal.directory != first:
            told = f"the journal is kept in {journal.directory}: {first} cannot be written to"
            self._order.tell(told)
        return journal

    def _tell_attached(self, session: Session) -> None:
        skipped = [skipped_hook_fields(self._program, one) for one in session.skipped]
        for fields in (*skipped_fields(self._program), *skipped):
            self._output.write_record("probe.skipped", "warning", **fields)
        for attached in session.attached:
            self._output.write_record("probe.attached", **attached_fields(self._program, attached))

    # ------------------------------------------------------------ and back

    def _undo(self) -> CommandResult | None:
        """Detach, close the journal, wait for the command. What stays behind is told in faults."""
        if self._session is not None:
            began = time.monotonic_ns()
            self._leaving(self._session.detach)
            self._detach_ms = (time.monotonic_ns() - began) / 1e6
        if self._journal is not None:
            self._leaving(self._close_journal)
        if self._guard is not None:
            self._leaving(self._dismiss)
        if self._command is None:
            return None
        if not self._command.ended():
            self._order.tell(
                f"everything is detached; the command (pid {self._command.pid}) runs on"
            )
        finish = self._command.finish
        command = self._faults.attempt(lambda: finish(self._order.signals), None)
        self._command.close()
        return command

    def _leaving(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # told, and the next step is done all the same
            self._faults.left_behind.append(f"cleaning up failed: {error}")

    def _close_journal(self) -> None:
        """What the backend left is tried once more; if it stays, so does the journal."""
        assert self._journal is not None
        failed = clean_own(self._journal) if self._journal.entries else ()
        self._journal.close()
        for (kind, what), why in failed:
            self._faults.left_behind.append(
                f"the {kind} {what} is left behind: {why}; `probeplan cleanup` removes it"
            )

    def _dismiss(self) -> None:
        """The watchdog goes last: until then a kill leaves nothing behind."""
        assert self._guard is not None
        self._guard.end()
        if self._guard.trouble:
            self._faults.notes.append(
                f"{self._guard.trouble}: had this run been killed, `probeplan cleanup` or the next "
                "run would have cleaned up"
            )

    def _tell(self, ending: Ending, live: "Live | None", cleaned: Sequence[Cleaned]) -> RunResult:
        fields, verdict = finished(ending, self._program, self._faults)
        self._output.write_record("run.finished", fields.pop("level"), **fields)
        self._output.flush()
        from orchestrator.run.metrics.run_metrics import (
            Measured,  # numpy, which the run has needed already
        )

        totals = live.totals if live else Measured()
        result = RunResult(
            run_id=self._run_id,
            exit_code=fields["exit_code"],
            outcome=ending.outcome,
            complete=verdict.complete,
            finished=self._constants | fields,
            metrics=totals.metrics,
            derived=totals.derived,
            warnings=totals.warnings,
            outstanding=totals.outstanding,
            stopped=totals.stop,
            limits=live.limits if live else (),
            startup_ms=self._startup_ms,
            command=ending.command,
            cleaned=cleaned,
            output_error=self._output.why_failed,
        )
        self._keep(result)
        return result

    def _keep(self, result: RunResult) -> None:
        """Under --out: stacks.folded, if there are stacks, and result.json."""
        if self._order.directory is None:
            return
        kept: dict[str, Any] = {
            "run": result.finished,
            "metrics": list(result.metrics),
            "derived": result.derived,
            "warnings": list(result.warnings),
            "outstanding": list(result.outstanding),
            "stopped": result.stopped,
            "limits": list(result.limits),
            "startup_ms": result.startup_ms,
        }
        try:
            if lines := [f"{line}\n" for line in fold_stacks(result.metrics)]:
                self._order.directory.write_folded("".join(lines))
            self._order.directory.write_result(kept)
        except OutputLost as error:
            self._output.failed = self._output.failed or error
