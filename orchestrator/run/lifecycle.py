"""The life of one run: attach, loop, account, detach, report; each step is tried on its own.

What the loop and the end need is imported once the probes are armed.
"""

import contextlib
import importlib
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.backends.descriptors import descriptor_of
from orchestrator.backends.protocol import Session
from orchestrator.output.run_output import RunOutput, TeeSink
from orchestrator.output.unblocked import make_log_sink
from orchestrator.plan.findings import HostError
from orchestrator.run.arming import Armed, arm
from orchestrator.run.choice import Prepared
from orchestrator.run.cost.canary_choice import why_no_canary
from orchestrator.run.ending.teardown import detach_all, finish_command
from orchestrator.run.groundwork import Groundwork, draw_run_id, lay_groundwork
from orchestrator.run.options import RunNotBegun, RunOptions
from orchestrator.run.report.account import make_empty_account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.outcome import Outcome
from orchestrator.run.report.result_keeper import ResultKeeper
from orchestrator.run.safety.journal import socket_path
from orchestrator.run.safety.leftovers import clean_up_dead_runs
from orchestrator.run.safety.privileges import (
    capabilities_for_files,
    capabilities_for_names,
    drop_privileges,
)
from orchestrator.run.safety.undo import MARKER
from orchestrator.run.signals import Signals
from orchestrator.run.startup import (
    end_startup,
    import_structlog_alone,
    measure_startup_ms,
    numpy_without_threads,
)

if TYPE_CHECKING:
    from orchestrator.run.live import Live
    from orchestrator.run.report.result import RunResult

__all__ = ["Run"]

#: Of the common fields, those that every event line carries.
_ON_EVENTS = ("run_id", "plan", "host")


class Run:
    """One run. `directory`: keeps the results (None: nothing does); `signals`: those that end it,
    entered."""

    def __init__(
        self,
        prepared: Prepared,
        options: RunOptions,
        directory: ResultKeeper | None,
        signals: Signals,
    ) -> None:
        self._prepared, self._options = prepared, options
        self._directory, self._signals = directory, signals
        self._artifact = prepared.choice.artifact
        self._program = self._artifact.program
        self._run_id = options.run_id or draw_run_id()
        self._constants = {
            "run_id": self._run_id,
            "plan": self._program.name,
            "plan_sha256": self._program.sha256,
            "host": os.uname().nodename or "unknown",
            "kernel": prepared.facts.release,
        }
        self._faults = Faults()
        self._startup_ms: float | None = None
        self._canary: dict[str, Any] = {"skipped": "the run was not asked for one"}
        self._account = make_empty_account(self._program)
        self._output = _open_output(options, directory, self._constants)

    def execute(self) -> "RunResult":
        """Do all of it. Raises what went wrong, once everything is undone and reported."""
        cleaned = clean_up_dead_runs(directories=self._options.journals)
        for leftovers in cleaned:
            self._options.notify(str(leftovers))
        attempt = self._faults.attempt
        groundwork = attempt(self._lay_groundwork, None)
        if groundwork is None and self._options.watch is not None:
            self._leave_unmade()
        session, armed, live = None, None, None
        if groundwork is not None:
            session = attempt(lambda: self._attach(groundwork), None)
        if groundwork is not None and session is not None:
            armed = attempt(lambda: arm(session, self._program, groundwork.guard), None)
        outcome: Outcome = "error"
        if groundwork is not None and self._options.watch is not None:
            attempt(
                groundwork.guard.start, None
            )  # or the marker would outlive a run that is killed
        self._judge(outcome)
        attempt(self._record_started, None)
        end_startup()
        if groundwork and session and armed and not self._faults.errors:
            live = attempt(lambda: self._go_live(groundwork, session, armed), None)
        if live is not None:
            outcome = attempt(live.run, outcome)
            self._judge(outcome)
            self._account = attempt(live.settle, self._account)
        detach_ms = detach_all(groundwork, session, self._faults, self._options.watch)
        self._deliver(live)
        command = attempt(
            lambda: finish_command(groundwork, self._faults, self._signals, self._options.notify),
            None,
        )
        from orchestrator.run.ending.run_end import RunEnd  # what was armed has imported it

        result = RunEnd(
            prepared=self._prepared,
            options=self._options,
            directory=self._directory,
            signals=self._signals,
            output=self._output,
            constants=self._constants,
            faults=self._faults,
            live=live,
            outcome=outcome,
            account=self._account,
            startup_ms=self._startup_ms,
            command=command,
            detach_ms=detach_ms,
            cleaned=cleaned,
        ).report()
        attempt(self._output.close, None)
        if self._faults.errors:
            raise self._faults.errors[0]
        assert result is not None, "what could not be made is an error"
        return result

    def _judge(self, outcome: Outcome) -> None:
        """Have the run judged by what ended it, and by what went wrong so far."""
        if (watch := self._options.watch) is not None:
            self._faults.attempt(lambda: watch.judge(outcome, self._faults.errors), None)

    def _leave_unmade(self) -> None:
        """Raises RunNotBegun where it is this host that cannot begin the run."""
        for error in self._faults.errors:
            if isinstance(error, HostError):
                self._output.close()
                raise RunNotBegun(error) from None

    # ------------------------------------------------------------ attaching

    def _lay_groundwork(self) -> Groundwork:
        if self._directory is not None:
            self._directory.write_plan(self._prepared.plan.source)
            name = descriptor_of(self._artifact.backend).program_file
            self._directory.write_program(name, self._artifact.text)
        return lay_groundwork(self._run_id, self._prepared, self._options)

    def _attach(self, groundwork: Groundwork) -> Session:
        """Raises HostError also where the canary finds that the plan would break limits.cpu."""
        if (watch := self._options.watch) is not None:
            groundwork.journal.add(MARKER, str(watch.marker))
            watch.begin()
        if self._options.canary:
            self._send_canary(groundwork)
        session = self._prepared.choice.backend.attach(
            self._artifact, self._prepared.facts, groundwork.attach_options()
        )
        self._startup_ms = measure_startup_ms()
        return session

    def _send_canary(self, groundwork: Groundwork) -> None:
        if why := why_no_canary(self._program, command=bool(self._options.command)):
            self._canary = {"skipped": why}
            return
        from orchestrator.run.cost.canary import run_canary  # once a second is spent anyway

        self._canary = {"skipped": "it did not come back"}
        self._canary = run_canary(
            self._artifact,
            self._prepared.choice.backend,
            self._prepared.facts,
            replace(groundwork.attach_options(), stop=lambda _path, _text: None),
            lambda: self._signals.received is not None,
        )

    def _record_started(self) -> None:
        from orchestrator.run.report.records import refused_fields, started_fields

        fields = started_fields(
            self._prepared.plan,
            self._artifact,
            self._options.command,
            self._prepared.policies,
            self._prepared.acceptances,
        )
        self._output.write_record(
            "run.started",
            **fields,
            refused_backends=refused_fields(self._prepared.choice.refused),
            bundle=self._options.describe_bundle(),
            canary=self._canary,
            label=self._options.label,
        )

    def _go_live(self, groundwork: Groundwork, session: Session, armed: Armed) -> "Live":
        self._record_attached(session)
        self._drop_privileges()
        if self._options.alone:
            import_structlog_alone()
        with numpy_without_threads() if self._options.alone else contextlib.nullcontext():
            from orchestrator.run.live import Live  # numpy, which nothing before this needs
        from orchestrator.run.loop import Supervision

        for module in ("orchestrator.run.ending.run_end", *self._options.needed_at_end):
            importlib.import_module(module)  # of this release
        return Live(
            plan=self._prepared.plan,
            session=session,
            artifact=self._artifact,
            output=self._output,
            armed=armed,
            supervision=Supervision(
                signals=self._signals, command=groundwork.command, guard=groundwork.guard
            ),
            constants={name: self._constants[name] for name in _ON_EVENTS},
            bar=self._options.progress,
            socket=socket_path(groundwork.journal.path),
            keep_whole=self._directory is not None,
        )

    def _record_attached(self, session: Session) -> None:
        from orchestrator.run.report.records import (
            attached_fields,
            skipped_fields,
            skipped_hook_fields,
        )

        skipped = [skipped_hook_fields(self._program, hook) for hook in session.skipped]
        for fields in (*skipped_fields(self._program), *skipped):
            self._output.write_record("probe.skipped", "warning", **fields)
        for attached in session.attached:
            self._output.write_record("probe.attached", **attached_fields(self._program, attached))

    def _drop_privileges(self) -> None:
        """Before numpy starts threads, which would keep theirs. COMMAND and the watchdog do."""
        if self._options.keep_privileges:
            return
        why = drop_privileges(
            command=bool(self._options.command),
            directory=self._directory is not None and not self._directory.is_ours,
            programs=descriptor_of(self._artifact.backend).has_bpf_programs,
            names=(
                *capabilities_for_names(self._program),
                *capabilities_for_files(self._program),
            ),
        )
        if why:
            self._faults.notes.append(why)

    # ------------------------------------------------------------ ending

    def _deliver(self, live: "Live | None") -> None:
        if live is not None:
            self._account = self._faults.attempt(
                lambda: live.deliver(self._account, self._options.notify), self._account
            )


def _open_output(
    options: RunOptions, directory: ResultKeeper | None, constants: dict[str, str]
) -> RunOutput:
    bar = options.progress
    sink = options.log or make_log_sink(sys.stdout.buffer)
    if directory is not None:
        # The accounts are those of the first: of what loses nothing.
        sinks = (sink, directory.open_events())
        keeps_more = sink.is_lossy and directory.keeps_records
        sink = TeeSink(*(sinks[::-1] if keeps_more else sinks))
    lines_hide_the_bar = bar is not None and options.log is None and sys.stdout.isatty()
    hide = bar.hide if bar and lines_hide_the_bar else lambda: None
    return RunOutput(sink, constants, hide, options.view)
