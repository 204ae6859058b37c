"""The end of a run: the result is kept, and run.finished is written.

A run imports this once its probes are armed, with everything that it needs: it may go on for days,
and the files of the package may be replaced by those of another release meanwhile.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestrator.accounting.vocabulary import list_mechanisms
from orchestrator.compile.program import Program
from orchestrator.output.folded import fold_stacks
from orchestrator.output.log import Level
from orchestrator.output.run_output import RunOutput
from orchestrator.output.sink import OutputLost
from orchestrator.output.unblocked import make_log_sink
from orchestrator.run.choice import Prepared
from orchestrator.run.delivery import deliver_rest
from orchestrator.run.metrics.reporter import Measured
from orchestrator.run.options import RunOptions
from orchestrator.run.report.account import Account, make_empty_account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.finish import Ending, finish_run
from orchestrator.run.report.host_identity import describe_clock, describe_host
from orchestrator.run.report.kept_result import RESULT_FORMAT, metric_to_keep, settings_fields
from orchestrator.run.report.last_record import describe_failed_report
from orchestrator.run.report.outcome import CommandResult, Outcome
from orchestrator.run.report.records import acceptance_fields
from orchestrator.run.report.result import RunResult
from orchestrator.run.report.result_keeper import ResultKeeper
from orchestrator.run.safety.leftovers import CleanedRun
from orchestrator.run.signals import Signals
from orchestrator.values import dataclass
from orchestrator.version import installed_version

if TYPE_CHECKING:
    from orchestrator.run.live import Live

__all__ = ["RunEnd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """A run whose probes are detached. `constants`: the common fields of its records; `live`: what
    it was while armed (None: it never was); `command`: what became of it (None: there was none);
    `detach_ms`: how long detaching took (None: nothing was attached)."""

    prepared: Prepared
    options: RunOptions
    directory: ResultKeeper | None
    signals: Signals
    output: RunOutput
    constants: dict[str, str]
    faults: Faults
    live: "Live | None"
    outcome: Outcome
    account: Account
    startup_ms: float | None
    command: CommandResult | None
    detach_ms: float | None
    cleaned: Sequence[CleanedRun]

    @property
    def _program(self) -> Program:
        return self.prepared.choice.artifact.program

    def report(self) -> RunResult | None:
        """Keep the result, then write run.finished. If one of them cannot be written, what is
        written later, the exit code and what is returned say so. Whatever else goes wrong is in
        `faults`, and run.finished is written all the same: with the counts that there are, or else
        with none. None: what the result says could not be made."""
        result = self.faults.attempt(self._report, None)
        for account in (self.account, make_empty_account(self._program)):
            if not self.output.is_ended:
                self.faults.attempt(partial(self._write_bare, account), None)
        return result

    def _report(self) -> RunResult:
        made = self._make_result()
        faults = len(self.faults.errors)
        self.faults.attempt(lambda: self._keep_stacks(made), None)
        self.faults.attempt(lambda: self._keep_result(made), None)
        if self.output.why_failed != made.output_error or len(self.faults.errors) > faults:
            made = self._make_result()
        self._write_finished(made)
        if self.output.why_failed != made.output_error:
            made = self._make_result()
            self._keep_result(made)
        return made

    def _write_finished(self, result: RunResult) -> None:
        fields = {
            name: value for name, value in result.finished.items() if name not in self.constants
        }
        self._write_last(fields, result.level)

    def _write_bare(self, account: Account) -> None:
        """Write run.finished where making it failed."""
        live = self.live
        armed_at, armed_for_ns = (live.started, live.armed_for_ns) if live else (None, 0)
        fields = describe_failed_report(self.faults, account, armed_at, armed_for_ns)
        times = {"startup_ms": self.startup_ms, "detach_ms": self.detach_ms}
        self._write_last(fields | times, "error")

    def _write_last(self, fields: dict[str, Any], level: Level) -> None:
        where = self.directory and self.directory.result_path
        fields["result"] = str(where) if where else None
        self.output.write_record("run.finished", level, **fields)
        self.output.flush()
        self.output.is_ended = True
        deliver_rest(self.output, self.signals, self.options.notify)

    def _make_result(self) -> RunResult:
        live, ending = self.live, self._describe_ending()
        fields, verdict = finish_run(ending, self._program, self.faults)
        totals = live.totals if live else Measured()
        return RunResult(
            run_id=self.constants["run_id"],
            exit_code=fields["exit_code"],
            outcome=ending.outcome,
            complete=verdict.complete,
            level=fields.pop("level"),
            finished=self.constants | fields,
            metrics=totals.metrics,
            figures=totals.derived,
            warnings=totals.warnings,
            outstanding=totals.outstanding,
            stopped=totals.stop,
            limits=live.limits if live else (),
            startup_ms=self.startup_ms,
            command=ending.command,
            cleaned=self.cleaned,
            output_error=self.output.why_failed,
        )

    def _describe_ending(self) -> Ending:
        live = self.live
        if live is not None and live.trouble and live.trouble not in self.faults.notes:
            self.faults.notes.append(live.trouble)
        return Ending(
            outcome=self.outcome,
            account=self.account,
            command=self.command,
            ended_by=self.signals.received,
            armed_at=live.started if live else None,
            armed_for_ns=live.armed_for_ns if live else 0,
            startup_ms=self.startup_ms,
            detach_ms=self.detach_ms,
            output_limited=live is not None and live.output_limited,
            capped=live is not None and live.capped,
            output_failed=self.output.why_failed,
            unread_lines=self.output.sink.unread,
            unknown_cgroups=live.unknown_cgroups if live else None,
            blind_because=live.blind_because if live else (),
            paused_ns=live.paused_ns if live else {},
            dropped=live.dropped if live else {},
        )

    def _keep_stacks(self, result: RunResult) -> None:
        """Write metrics by stacks to the result directory and to the file that was asked for."""
        text = "".join(f"{line}\n" for line in fold_stacks(result.metrics))
        if self.directory is not None and text:
            self._try_output(partial(self.directory.write_folded, text))
        if self.options.folded is not None:
            if not text:
                self.options.notify(
                    "note: no metric with a stack in its key counted anything: no stacks are "
                    "written"
                )
            self._try_output(partial(self._write_folded, self.options.folded, text))

    def _write_folded(self, file: BinaryIO, text: str) -> None:
        sink = make_log_sink(file)
        sink.write(text.encode(errors="backslashreplace"), 1)
        deliver_rest(sink, self.signals, self.options.notify)
        sink.close()
        if sink.failed is not None:
            raise OutputLost(sink.failed, 0)

    def _keep_result(self, result: RunResult) -> None:
        if self.directory is None:
            return
        live = self.live
        kept: dict[str, Any] = {
            "format": RESULT_FORMAT,
            "version": installed_version() or "0",
            **describe_host(self.prepared.facts),
            "clock": describe_clock(live.clock_steps if live else 0),
            "label": self.options.label,
            "backend": self.prepared.choice.artifact.backend,
            "mechanisms": list_mechanisms(self.account.ledger),
            "settings": settings_fields(self.prepared.plan, self._program, self.options.command),
            "resampled": list(live.resampled) if live else [],
            "run": result.finished,
            "metrics": self._metrics_to_keep(),
            "figures": result.figures,
            "warnings": list(result.warnings),
            "outstanding": live.totals.whole_outstanding if live else [],
            "stopped": result.stopped,
            "limits": list(result.limits),
            "startup_ms": result.startup_ms,
            "signatures": acceptance_fields(self.prepared.acceptances),
            "bundle": self.options.describe_bundle(),
        }
        self._try_output(partial(self.directory.write_result, kept))

    def _metrics_to_keep(self) -> list[dict[str, Any]]:
        live = self.live
        if live is None or not live.totals.whole:
            return []
        starts = {span.name: span.start for span in self.prepared.plan.spans}
        return [
            metric_to_keep(spec, record, live.resampled, starts.get(spec.probe, ()))
            for spec, record in zip(self._program.metrics, live.totals.whole, strict=True)
        ]

    def _try_output(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OutputLost as error:
            self.output.failed = self.output.failed or error
