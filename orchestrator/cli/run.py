"""`probeplan run`: run a plan within its limits; JSON lines for programs, rows and a summary for
people."""

import argparse
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.cli.messages import print_error, print_message, print_note
from orchestrator.cli.named_plan import NamedPlan, load_named_plan, read_named, recall_named_plan
from orchestrator.cli.options import policy_contents
from orchestrator.cli.run_options import add_run_options, choose_rows, plan_overrides
from orchestrator.cli.tracefs import mount_tracefs
from orchestrator.cli.unattended.options import add_unattended_options, check_unattended_options
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.output.result import ResultDirectoryError
from orchestrator.output.run_output import DiscardingSink
from orchestrator.output.safe_open import is_fifo, open_for_append
from orchestrator.output.sink import Sink
from orchestrator.output.terminal.human_units import describe_ending
from orchestrator.output.terminal.progress import Progress, hidden_at_end
from orchestrator.output.unblocked import make_log_sink, unblocked_text
from orchestrator.plan.findings import HostError, PlanError, of_command_line
from orchestrator.plan.model import Plan
from orchestrator.run.choice import Prepared
from orchestrator.run.options import Bar, RunOptions
from orchestrator.run.runner import run_prepared
from orchestrator.run.safety.privileges import require_privileges
from orchestrator.run.warm.identity import Request
from orchestrator.run.warm.kept import WarmStart
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.cli.report.of_run import RunReport
    from orchestrator.output.rows.view import RowView
    from orchestrator.policy.model import Policy
    from orchestrator.run.report.result import RunResult

EPILOG = """\
examples:
  probeplan run plans/fs/opens.yaml --duration 10s
  probeplan run opens --target comm=nginx         a shipped plan by its name
  probeplan run opens --out result -- make test   trace a command and its descendants
  probeplan run opens --log opens.jsonl           rows on the terminal, all records in the file
  probeplan run slow-io --set threshold=5ms --limit events=100 | jq -c '.data // empty'
  probeplan run slow-io --report slow.html        a page with tables and charts, for a browser
  probeplan run slow-io --live                    watch the metrics while it runs
  probeplan run slow-io.ppb --set threshold=5ms   from a bundle, on a host without a compiler
  probeplan run opens --unattended --shard 5%      in a rollout, on the first 5 % of all hosts

PLAN may be a bundle (`probeplan bundle`): its programs are looked up, filled with this host's
numbers and loaded, and no compiler is looked for. Where it has no program for this host, tracefs is
tried, unless --backend says otherwise.

When it ends: after its duration, at its limit on events, when the plan's stop_when holds, when
COMMAND ends, or with Ctrl-C. It always detaches. If COMMAND is still running then, it is waited
for.

Output: a terminal gets rows, a line for each record: local time, process and the plan's fields,
durations and sizes with units, what is long last and cut with an ellipsis, `?` for what could not
be read. At first 500 rows may come at once, then 50 a second (--rows); a line such as `+1,204 more`
says how many records of a second are missing. None is missing in --log and --out. Everything else
than a terminal gets JSON lines on standard output, but rows with --rows N, and so does a terminal
with --json. While JSON lines go to standard output, what COMMAND prints there goes to standard
error. A FIFO as the log needs no reader: the run goes on without one, and what was not read is
counted (`unread_lines` in run.finished). Rows and tables use the width of the terminal or COLUMNS;
NO_COLOR turns colours off.

exit codes:
  0  done, also after stop_when and if metrics warn; --unattended: or skipped
  2  invalid plan or usage
  3  this host cannot run the plan; --unattended: or it has expired
  4  data was lost, or limits.events or limits.output ended the run before its time (0 with
     `limits.incomplete: allow`); limits.cpu ended it, or writing the output failed
  5  COMMAND failed
  6  internal or cleanup failure
  130 Ctrl-C, 143 SIGTERM
"""

#: The exit code where the output of a run that went well could not be written.
_UNWRITTEN = 4
_LIVE_PERIOD_NS = 1_000_000_000  # rows above the live view, which is drawn again after them
#: StateDirectories.quarantine, whose module a run that is watched does not import.
_QUARANTINE = "/var/lib/probeplan/quarantine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    parser.usage = "probeplan run PLAN [options] [-- COMMAND [ARG ...]]"
    parser.epilog = EPILOG
    output = add_run_options(parser, takes_bundles=True)
    output.add_argument(
        "--live", action="store_true", help="show the metrics on the terminal, once a second"
    )
    output.add_argument(
        "--report", metavar="FILE", help="write an HTML page about the run to FILE at its end"
    )
    add_unattended_options(parser)


def main(args: argparse.Namespace) -> int:
    """Run the plan; returns the exit code."""
    check_unattended_options(args)
    if args.live:
        _require_terminal()
    if args.unattended:
        from orchestrator.cli.unattended.flow import run_unattended  # most runs are watched

        return run_unattended(args, _make_ready, _execute, _open_log)
    return _execute(_make_ready(args, lambda _plan: RunOptions(out=args.out)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadyRun:
    """A run that is ready to be made. `options` are those that it begins with; `is_warm`: it was
    prepared earlier."""

    args: argparse.Namespace
    named: NamedPlan
    prepared: Prepared
    options: RunOptions
    warm: WarmStart
    is_warm: bool


def _make_ready(
    args: argparse.Namespace,
    admit: Callable[[Plan], RunOptions],
    given: tuple[bytes, str] | None = None,
) -> _ReadyRun:
    """The run that is asked for; `admit` gets its plan before it is prepared. `given`: the bytes
    of the plan's file and its name, where they were read already."""
    facts = live_facts()
    require_privileges(facts)
    request = _read_request(args, given or read_named(args.plan))
    warm = WarmStart(request, facts)
    kept = warm.recall()
    if kept is not None:
        options = admit(kept.plan)
        named, prepared = recall_named_plan(request.content, request.file, kept)
    else:
        policies, named = _load_plan(request, facts)
        options = admit(named.plan)
        prepared = _prepare_anew(named, policies, request, facts)
        warm.look()
    return _ReadyRun(
        args=args,
        named=named,
        prepared=prepared,
        options=options,
        warm=warm,
        is_warm=kept is not None,
    )


def _execute(ready: _ReadyRun) -> int:
    """Make the run; returns the exit code."""
    args, named, prepared = ready.args, ready.named, ready.prepared
    _note_absent(named.plan)
    _note_unused(named, prepared)
    if not args.unattended:
        _warn_of_quarantine(named.plan)
    for doubt in prepared.program.doubts:
        print_error(str(doubt))
    with ExitStack() as stack:
        stacks = None if args.folded is None else _open_emptied(args.folded, stack)
        report = None if args.report is None else _open_report(ready, args.report, stack)
        progress = _make_progress(prepared.plan, args, stack)
        view = _open_view(args, progress)
        discards = view is not None and args.log is None
        options = replace(
            ready.options,
            command=tuple(args.workload),
            log=DiscardingSink(view.sink) if discards and view else _open_log(args, stack),
            view=view,
            folded=stacks,
            keeper=report.keeper if report else None,
            progress=progress,
            notify=print_message,
            keep_privileges=args.keep_privileges,
            canary=args.canary,
            alone=True,
            label=args.label,
            describe_bundle=lambda: named.describe_bundle(prepared.choice.artifact),
        )
        try:
            result = run_prepared(prepared, options)
        except ResultDirectoryError as error:
            raise PlanError([of_command_line(str(error))]) from None
        except HostError:
            if ready.is_warm:
                ready.warm.forget()  # the next start looks at everything again
            raise
        unwritten = report.write() if report else ""
    if options.log is not None and (unread := options.log.unread):
        print_note(f"{unread:,} lines were lost: no process read them from {args.log}")
    _sum_up(result, args, prepared, [*_origin_lines(named, prepared), *_describe_rows(args, view)])
    if unwritten:
        print_message(f"the report {args.report!r} could not be written: {unwritten}")
    if not ready.is_warm:
        ready.warm.keep(prepared)
    return result.exit_code or (_UNWRITTEN if unwritten else 0)


def _open_report(ready: _ReadyRun, path: str, stack: ExitStack) -> "RunReport":
    from orchestrator.cli.report.of_run import RunReport  # few runs have one

    return stack.enter_context(RunReport(path, ready.options.out))


def _read_request(args: argparse.Namespace, given: tuple[bytes, str]) -> Request:
    """What is asked for; every file is read once, since it may be a pipe. Raises PlanError, and
    HostError where the host's policy cannot be read."""
    content, file = given
    return Request(
        content=content,
        file=file,
        overrides=plan_overrides(args),
        backend=args.backend,
        follow_children=bool(args.workload),
        policies=policy_contents(args),
    )


def _load_plan(request: Request, facts: KernelFacts) -> "tuple[tuple[Policy, ...], NamedPlan]":
    from orchestrator.policy.file import parse_contents  # a run that is warm has its policies

    policies = parse_contents(request.policies)
    return policies, load_named_plan(
        request.content, request.file, policies, facts.arch, request.overrides
    )


def _prepare_anew(
    named: NamedPlan, policies: "tuple[Policy, ...]", request: Request, facts: KernelFacts
) -> Prepared:
    from orchestrator.run.prepare import prepare  # a run that is warm has been prepared

    mount_tracefs()
    return prepare(
        named.plan,
        facts,
        policies,
        backend=request.backend,
        follow_children=request.follow_children,
        backends=named.backends,
        acceptances=named.acceptances,
    )


def _note_unused(named: NamedPlan, prepared: Prepared) -> None:
    """Why the programs of a bundle are not used, since they are what it is for."""
    for name, findings in prepared.choice.refused.items() if named.bundle else ():
        used = prepared.choice.artifact.backend
        reasons = "; ".join(finding.message for finding in findings)
        print_note(f"this run is on {used}, and not on {name}: {reasons}")


def _origin_lines(named: NamedPlan, prepared: Prepared) -> Iterator[str]:
    """Which program of a bundle ran, or which backend instead, for the summary."""
    used = named.describe_bundle(prepared.choice.artifact)
    if used is None:
        return
    if used["key"] is None:
        yield f"programs: none of {used['file']}; run on {prepared.choice.artifact.backend}"
    else:
        yield f"program: {used['key']} of {used['file']}, by probeplan {used['builder']}"


def _warn_of_quarantine(plan: Plan) -> None:
    """A person may run what unattended runs refuse. Where there is no such file, which is nearly
    always, looking for it is all that this costs."""
    if not os.path.lexists(f"{_QUARANTINE}/{plan.sha256}.json"):
        return
    from orchestrator.cli.unattended.quarantined import describe_entry, find_entries

    try:
        for entry in find_entries(plan.sha256):
            text = "\n".join(describe_entry(entry))
            print_message(f"warning: this plan is in quarantine for unattended runs\n  {text}")
    except HostError as error:  # of a directory that is not trusted: it keeps no one from running
        print_error(str(error))


def _note_absent(plan: Plan) -> None:
    """A pid that no task has is probably a mistake, and the run would see nothing."""
    for number in (*plan.target.pid, *plan.target.tid):
        if not Path(f"/proc/{number}").exists():
            print_note(f"there is no process {number}, which `target` names")


def _open_log(args: argparse.Namespace, stack: ExitStack) -> Sink | None:
    """Where the JSON lines go; None: standard output."""
    if args.log is None or args.log == "-":
        _require_stdout()
        return None
    if is_fifo(args.log):
        return _open_fifo(args.log, stack)
    return make_log_sink(
        stack.enter_context(os.fdopen(open_for_append(args.log), "wb", buffering=0)), owned=True
    )


def _open_fifo(path: str, stack: ExitStack) -> Sink:
    from orchestrator.output.fifo_sink import FifoSink  # few logs are FIFOs

    sink = FifoSink(path)
    stack.callback(sink.close)
    if not sink.has_reader:
        print_note(f"no process reads {path}: until one does, lines are lost, and counted")
    return sink


def _open_view(args: argparse.Namespace, progress: Bar | None) -> "RowView | None":
    """Rows on standard output, where that is a terminal, or --rows asks for them."""
    rows = None if args.unattended else choose_rows(args)
    if rows is None:
        return None
    from orchestrator.output.rows.style import wants_colours  # runs that programs read need no rows
    from orchestrator.output.rows.view import RowView

    return RowView(
        make_log_sink(sys.stdout.buffer),
        sys.stdout,
        colours=sys.stdout.isatty() and wants_colours(),
        before=progress.hide if progress else lambda: None,
        per_second=rows,
        hold_ns=_LIVE_PERIOD_NS if args.live else 0,
        has_summary=_prints_summary(args),
        shows_windows=not args.live,
    )


def _describe_rows(args: argparse.Namespace, view: "RowView | None") -> Iterator[str]:
    """How many records were not shown, and where they are, for the summary."""
    if view is not None and view.omitted:
        of = f"rows: {view.shown:,} of {view.shown + view.omitted:,} records were shown"
        kept = args.log or args.out
        yield (
            f"{of}; all are in {kept}"
            if kept
            else f"{of}; --log FILE keeps all, --rows N shows more"
        )


def _require_stdout() -> None:
    if sys.stdout is None:  # Python's sign that descriptor 1 was closed
        message = "standard output is closed, so the JSON lines would be lost"
        raise PlanError([of_command_line(message, "give the log a file: --log FILE")])


def _open_emptied(path: str, stack: ExitStack) -> BinaryIO:
    """A file to overwrite, opened before anything is attached, since opening it can fail."""
    file = stack.enter_context(os.fdopen(open_for_append(path), "wb", buffering=0))
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        os.ftruncate(file.fileno(), 0)
    return file


def _require_terminal() -> None:
    dumb = os.environ.get("TERM", "") in ("dumb", "unknown")
    if sys.stderr is None or not sys.stderr.isatty() or dumb:
        what = "cannot move its cursor" if dumb else "is not a terminal"
        message = f"--live draws on standard error, which {what}"
        hint = "leave out --live: with `every: 1s` in the plan, the log contains the same numbers"
        raise PlanError([of_command_line(message, hint)])


def _make_progress(plan: Plan, args: argparse.Namespace, stack: ExitStack) -> Bar | None:
    duration_ns = plan.limits.duration_ns
    duration_s = None if duration_ns is None else duration_ns / 1e9
    if args.live:
        from orchestrator.output.terminal.live_view import (
            LiveView,  # rich: 40 ms, with --live only
        )

        return stack.enter_context(hidden_at_end(LiveView(duration_s, unblocked_text(sys.stderr))))
    if args.no_progress or sys.stderr is None:
        return None
    return stack.enter_context(hidden_at_end(Progress(duration_s, unblocked_text(sys.stderr))))


# ---------------------------------------------------------------- for people


def _sum_up(
    result: "RunResult", args: argparse.Namespace, prepared: Prepared, origin: Iterable[str]
) -> None:
    if result.output_error:
        print_message(
            f"writing the output failed: {result.output_error}; the run is over, and everything is "
            "detached"
        )
    if _prints_summary(args):
        from orchestrator.output.terminal.addresses import list_address_keys
        from orchestrator.output.terminal.summary import (
            print_summary,  # rich: 23 ms, at the very end
        )

        print_summary(
            result.finished,
            result.metrics,
            result.limits,
            figures=result.figures,
            warnings=result.warnings,
            outstanding=result.outstanding,
            stopped=result.stopped,
            places=[*origin, *_output_files(args)],
            addresses=list_address_keys(prepared.program),
            file=sys.stderr,
        )
    elif not result.output_error and (text := _describe_result(result)):
        print_message(text)


def _prints_summary(args: argparse.Namespace) -> bool:
    if sys.stderr is None or args.summary == "never":
        return False
    return args.summary == "always" or sys.stderr.isatty()


def _output_files(args: argparse.Namespace) -> Iterator[str]:
    """Where the output of the run is, apart from the terminal."""
    if args.log not in (None, "-"):
        yield f"log: {args.log}"
    if args.folded is not None:
        yield f"stacks: {args.folded}"
    if args.report is not None:
        yield f"report: {args.report}"
    if args.out is not None:
        yield f"files: {args.out}: plan.yaml, the program, events.jsonl, result.json"


def _describe_result(result: "RunResult") -> str:
    """What has to be said where no summary is printed; "" of a run that saw and wrote all."""
    if result.exit_code or result.complete is False:
        return "; ".join(_reasons(result))
    from orchestrator.output.terminal.verdict_text import (  # once the run is over
        describe_counts,
        describe_held_back,
    )

    if held_back := list(describe_held_back(result.finished)):
        return "; ".join([describe_counts(result.finished), *held_back])
    return ""


def _reasons(result: "RunResult") -> list[str]:
    """Why the exit code is not 0 or the data is incomplete, where no summary is printed."""
    finished = result.finished
    reasons = [
        finished["error"],
        *finished["incomplete_because"],
        finished["held_back_because"],
        finished["nothing_seen_because"],
    ]
    by = f"ended by {describe_ending(result.outcome)}"
    known = [reason for reason in reasons if reason] or [by]
    return [by, *known] if result.outcome == "interrupted" and known != [by] else known
