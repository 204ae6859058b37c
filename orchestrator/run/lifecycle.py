"""The life of one run: attach, loop, account, detach, report; each step is tried on its own.

What the loop and the end need is imported once the probes are armed: numpy takes 40 ms, and the
rest together 20.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestrator.backends.descriptors import descriptor_of
from orchestrator.backends.protocol import Session
from orchestrator.output.result import ResultDirectory
from orchestrator.output.run_output import RunOutput, TeeSink
from orchestrator.output.sink import OutputLost
from orchestrator.output.unblocked import make_log_sink
from orchestrator.run.arming import Armed, arm
from orchestrator.run.choice import Prepared
from orchestrator.run.cost.canary_choice import why_no_canary
from orchestrator.run.delivery import deliver_rest
from orchestrator.run.groundwork import Groundwork, draw_run_id, lay_groundwork
from orchestrator.run.options import RunOptions
from orchestrator.run.report.account import make_empty_account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.outcome import CommandResult, Outcome
from orchestrator.run.safety.journal import socket_path
from orchestrator.run.safety.leftovers import CleanedRun, clean_up_dead_runs
from orchestrator.run.safety.privileges import (
    capabilities_for_files,
    capabilities_for_names,
    drop_privileges,
)
from orchestrator.run.signals import Signals
from orchestrator.run.startup import (
    end_startup,
    import_structlog_alone,
    measure_startup_ms,
    numpy_without_threads,
)
from orchestrator.run.teardown import detach_all, finish_command
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.run.live import Live
    from orchestrator.run.report.finish import Ending
    from orchestrator.run.report.result import RunResult

__all__ = ["Run"]

#: Of the common fields, those that every event line carries.
_ON_EVENTS = ("run_id", "plan", "host")
_AT_THE_END = (
    "orchestrator.output.folded",
    "orchestrator.run.report.finish",
    "orchestrator.run.report.host_identity",
    "orchestrator.run.report.kept_result",
    "orchestrator.run.report.result",
    "orchestrator.version",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Teardown:
    """What became of the command (None: there was none), and how long detaching took in ms (None:
    nothing was attached)."""

    command: CommandResult | None
    detach_ms: float | None


class Run:
    """One run. `directory`: keeps the results (None: nothing does); `signals`: those that end it,
    entered."""

    def __init__(
        self,
        prepared: Prepared,
        options: RunOptions,
        directory: ResultDirectory | None,
        signals: Signals,
    ) -> None:
        self._prepared, self._options = prepared, options
        self._directory, self._signals = directory, signals
        self._artifact = prepared.choice.artifact
        self._program = self._artifact.program
        self._run_id = draw_run_id()
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
        session, armed, live = None, None, None
        if groundwork is not None:
            session = attempt(lambda: self._attach(groundwork), None)
        if groundwork is not None and session is not None:
            armed = attempt(lambda: arm(session, self._program, groundwork.guard), None)
        attempt(self._record_started, None)
        end_startup()
        if groundwork and session and armed and not self._faults.errors:
            live = attempt(lambda: self._go_live(groundwork, session, armed), None)
        outcome: Outcome = "error"
        if live is not None:
            outcome = attempt(live.run, outcome)
            self._account = attempt(live.settle, self._account)
        detach_ms = detach_all(groundwork, session, self._faults)
        self._deliver(live)
        command = finish_command(groundwork, self._faults, self._signals, self._options.notify)
        teardown = _Teardown(command=command, detach_ms=detach_ms)
        result = self._conclude(live, outcome, teardown, cleaned)
        self._output.sink.close()
        if self._faults.errors:
            raise self._faults.errors[0]
        return result

    # ------------------------------------------------------------ attaching

    def _lay_groundwork(self) -> Groundwork:
        if self._directory is not None:
            self._directory.write_plan(self._prepared.plan.source)
            name = descriptor_of(self._artifact.backend).program_file
            self._directory.write_program(name, self._artifact.text)
        return lay_groundwork(self._run_id, self._prepared, self._options)

    def _attach(self, groundwork: Groundwork) -> Session:
        """Raises HostError also where the canary finds that the plan would break limits.cpu."""
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
            self._program,
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

        _import_ending()
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

    def _conclude(
        self,
        live: "Live | None",
        outcome: Outcome,
        teardown: _Teardown,
        cleaned: Sequence[CleanedRun],
    ) -> "RunResult":
        """Keep the result, then write run.finished. If one of them cannot be written, what is
        written later, the exit code and what is returned say so."""
        made = self._make_result(live, outcome, teardown, cleaned)
        self._keep_stacks(made)
        self._keep_result(made, live)
        if self._output.why_failed != made.output_error:
            made = self._make_result(live, outcome, teardown, cleaned)
        self._write_finished(made)
        if self._output.why_failed != made.output_error:
            made = self._make_result(live, outcome, teardown, cleaned)
            self._keep_result(made, live)
        return made

    def _write_finished(self, result: "RunResult") -> None:
        fields = {
            name: value for name, value in result.finished.items() if name not in self._constants
        }
        self._output.write_record("run.finished", result.level, **fields)
        self._output.flush()
        deliver_rest(self._output, self._signals, self._options.notify)

    def _make_result(
        self,
        live: "Live | None",
        outcome: Outcome,
        teardown: _Teardown,
        cleaned: Sequence[CleanedRun],
    ) -> "RunResult":
        from orchestrator.run.report.finish import finish_run
        from orchestrator.run.report.result import RunResult

        ending = self._ending(live, outcome, teardown)
        fields, verdict = finish_run(ending, self._program, self._faults)
        from orchestrator.run.metrics.reporter import Measured  # numpy, imported by now

        totals = live.totals if live else Measured()
        return RunResult(
            run_id=self._run_id,
            exit_code=fields["exit_code"],
            outcome=ending.outcome,
            complete=verdict.complete,
            level=fields.pop("level"),
            finished=self._constants | fields,
            metrics=totals.metrics,
            figures=totals.derived,
            warnings=totals.warnings,
            outstanding=totals.outstanding,
            stopped=totals.stop,
            limits=live.limits if live else (),
            startup_ms=self._startup_ms,
            command=ending.command,
            cleaned=cleaned,
            output_error=self._output.why_failed,
        )

    def _ending(self, live: "Live | None", outcome: Outcome, teardown: _Teardown) -> "Ending":
        if live is not None and live.trouble and live.trouble not in self._faults.notes:
            self._faults.notes.append(live.trouble)
        from orchestrator.run.report.finish import Ending

        return Ending(
            outcome=outcome,
            account=self._account,
            command=teardown.command,
            ended_by=self._signals.received,
            armed_at=live.started if live else None,
            armed_for_ns=live.armed_for_ns if live else 0,
            startup_ms=self._startup_ms,
            detach_ms=teardown.detach_ms,
            output_limited=live is not None and live.output_limited,
            capped=live is not None and live.capped,
            output_failed=self._output.why_failed,
            blind_because=live.blind_because if live else (),
            paused_ns=live.paused_ns if live else {},
            dropped=live.dropped if live else {},
        )

    def _keep_stacks(self, result: "RunResult") -> None:
        """Write metrics by stacks to the result directory and to the file that was asked for."""
        from orchestrator.output.folded import fold_stacks

        text = "".join(f"{line}\n" for line in fold_stacks(result.metrics))
        if self._directory is not None and text:
            self._try_output(partial(self._directory.write_folded, text))
        if self._options.folded is not None:
            if not text:
                self._options.notify(
                    "note: no metric with a stack in its key counted anything: no stacks are "
                    "written"
                )
            self._try_output(partial(self._write_folded, self._options.folded, text))

    def _write_folded(self, file: BinaryIO, text: str) -> None:
        sink = make_log_sink(file)
        sink.write(text.encode(errors="backslashreplace"), 1)
        deliver_rest(sink, self._signals, self._options.notify)
        sink.close()
        if sink.failed is not None:
            raise OutputLost(sink.failed, 0)

    def _keep_result(self, result: "RunResult", live: "Live | None") -> None:
        if self._directory is None:
            return
        from orchestrator.accounting.vocabulary import list_mechanisms
        from orchestrator.run.report.host_identity import describe_clock, describe_host
        from orchestrator.run.report.kept_result import RESULT_FORMAT, settings_fields
        from orchestrator.run.report.records import acceptance_fields
        from orchestrator.version import installed_version

        kept: dict[str, Any] = {
            "format": RESULT_FORMAT,
            "version": installed_version() or "0",
            **describe_host(self._prepared.facts),
            "clock": describe_clock(live.clock_steps if live else 0),
            "label": self._options.label,
            "backend": self._artifact.backend,
            "mechanisms": list_mechanisms(self._account.ledger),
            "settings": settings_fields(self._prepared.plan, self._program, self._options.command),
            "resampled": list(live.resampled) if live else [],
            "run": result.finished,
            "metrics": self._metrics_to_keep(live),
            "figures": result.figures,
            "warnings": list(result.warnings),
            "outstanding": live.totals.whole_outstanding if live else [],
            "stopped": result.stopped,
            "limits": list(result.limits),
            "startup_ms": result.startup_ms,
            "signatures": acceptance_fields(self._prepared.acceptances),
            "bundle": self._options.describe_bundle(),
        }
        self._try_output(partial(self._directory.write_result, kept))

    def _metrics_to_keep(self, live: "Live | None") -> list[dict[str, Any]]:
        if live is None or not live.totals.whole:
            return []
        from orchestrator.run.report.kept_result import metric_to_keep

        starts = {span.name: span.start for span in self._prepared.plan.spans}
        return [
            metric_to_keep(spec, record, live.resampled, starts.get(spec.probe, ()))
            for spec, record in zip(self._program.metrics, live.totals.whole, strict=True)
        ]

    def _try_output(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OutputLost as error:
            self._output.failed = self._output.failed or error


def _import_ending() -> None:
    """What only the end of a run needs, before it goes on for days: the files of the package may be
    replaced by those of another release meanwhile."""
    for name in _AT_THE_END:
        importlib.import_module(name)


def _open_output(
    options: RunOptions, directory: ResultDirectory | None, constants: dict[str, str]
) -> RunOutput:
    bar = options.progress
    sink = options.log or make_log_sink(sys.stdout.buffer)
    if directory is not None:
        sink = TeeSink(sink, directory.open_events())
    lines_hide_the_bar = bar is not None and options.log is None and sys.stdout.isatty()
    hide = bar.hide if bar and lines_hide_the_bar else lambda: None
    return RunOutput(sink, constants, hide)
