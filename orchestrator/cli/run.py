"""`probeplan run`: run a plan under its limits; JSON lines out, a summary for people."""

import argparse
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.cli.options import add_plan_options, overrides, policies
from orchestrator.kernel.abi.mounts import MountError, ensure_tracefs
from orchestrator.kernel.facts import live_facts
from orchestrator.output.result import ResultDirectoryError
from orchestrator.output.safe_open import open_for_append
from orchestrator.output.sink import OutputLost, Sink
from orchestrator.output.terminal.human_units import describe_ending
from orchestrator.output.terminal.progress import Progress, hidden_at_end
from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from orchestrator.policy.ceilings import governed
from orchestrator.run.loop import Bar
from orchestrator.run.report.result import RunResult
from orchestrator.run.runner import run_plan
from orchestrator.run.safety.privileges import require_privileges
from orchestrator.run.shipped import find_plan

EPILOG = """\
examples:
  probeplan run plans/fs/opens.yaml --duration 10s
  probeplan run opens --target comm=nginx         a shipped plan, by its name
  probeplan run opens --out result -- make test   watch a command and its descendants
  probeplan run slow-io --set threshold=5ms --limit events=100 | jq -c '.data // empty'
  probeplan run slow-io --live                    look at the metrics while it runs

The run ends at its duration, at its cap on events, when the plan's stop_when holds, when COMMAND
ends, or with Ctrl-C, and always detaches. A COMMAND that still runs then is waited for. JSON lines
go to standard output, and what COMMAND prints there goes to standard error; with --log it keeps
standard output. With --live on a terminal they are written only to --log and --out. Tables follow
the terminal's width or COLUMNS; NO_COLOR takes their colours away.

Exit code: 0 done, also after stop_when and when metrics warn; 2 invalid plan or usage; 3 this host
cannot run it; 4 data was lost (0 under `limits.incomplete: allow`), or the output took no more;
5 COMMAND failed; 6 internal or cleanup failure; 130 Ctrl-C, 143 SIGTERM.
"""


class _Parser(argparse.ArgumentParser):
    """Takes what stands after `--` as COMMAND before argparse sees it: a positional that may be
    empty is filled, empty, before the first option that follows PLAN."""

    def parse_known_args(  # type: ignore[override]  # the overloads of typeshed
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        words = list(args or ())
        at = words.index("--") if "--" in words else len(words)
        if at == len(words) - 1:  # an empty variable would watch the whole host instead
            self.error("no command follows `--`: name one, or leave `--` out")
        found, rest = super().parse_known_args(words[:at], namespace)
        found.workload = words[at + 1 :]
        return found, rest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    parser.__class__ = _Parser
    parser.usage = "probeplan run PLAN [options] [-- COMMAND [ARG ...]]"
    parser.epilog = EPILOG
    add_plan_options(parser)
    parser.add_argument("--duration", metavar="TIME", help="same as --limit duration=TIME")
    parser.add_argument("--out", metavar="DIR", help="keep plan, program, events and result there")
    parser.add_argument("--log", metavar="FILE", help="append the JSON lines to FILE")
    parser.add_argument(
        "--folded", metavar="FILE", help="write metrics by stacks there, for flame graphs"
    )
    parser.add_argument(
        "--keep-privileges", action="store_true", help="give up no capabilities after attaching"
    )
    parser.add_argument(
        "--live", action="store_true", help="show the metrics while it runs, redrawn each second"
    )
    parser.add_argument(
        "--summary",
        choices=("auto", "always", "never"),
        default="auto",
        help="tables on standard error at the end; auto, the default: on a terminal only",
    )
    parser.add_argument(
        "--no-canary",
        dest="canary",
        action="store_false",
        help="do not count for a second first where the plan attaches to hot places",
    )
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")


def main(args: argparse.Namespace) -> int:
    """Run the plan; returns the exit code."""
    if args.live:
        _require_terminal()
    facts = live_facts()
    require_privileges(facts)
    plan = governed(load_plan(find_plan(args.plan), **_overrides(args)), policies(args))
    _mount_tracefs()
    _note_absent(plan)
    with ExitStack() as stack:
        stacks = None if args.folded is None else _emptied(args.folded, stack)
        try:
            result = run_plan(
                plan,
                facts,
                backend=args.backend,
                command=args.workload,
                out=args.out,
                log=_log(args, stack),
                policies=args.policy,
                keep_privileges=args.keep_privileges,
                canary=args.canary,
                tell=_say,
                progress=_progress(plan, args, stack),
            )
        except ResultDirectoryError as error:
            raise PlanError([of_command_line(str(error))]) from None
        if stacks is not None:
            _fold(result, stacks)
    _sum_up(result, args)
    return result.exit_code


def _overrides(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    given = overrides(args)
    if args.duration is not None:
        given["limits"]["duration"] = args.duration
    return given


def _mount_tracefs() -> None:
    """Without tracefs some plans still run; those that need it are refused with their reasons."""
    try:
        where, outcome = ensure_tracefs()
    except MountError as error:
        _say(f"note: {error.strerror}")
    else:
        if outcome == "mounted":
            _say(f"note: tracefs was not mounted; it is now, at {where}")


def _note_absent(plan: Plan) -> None:
    """A number that no task has is likely a slip, and the run would see nothing to its end."""
    for number in (*plan.target.pid, *plan.target.tid):
        if not Path(f"/proc/{number}").exists():
            _say(f"note: nobody has the pid {number} that `target` names")


def _log(args: argparse.Namespace, stack: ExitStack) -> Sink | None:
    """Where the JSON lines go; None: standard output."""
    if _unwritten(args):
        nowhere = os.fdopen(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), "wb", buffering=0)
        return Sink(stack.enter_context(nowhere), owned=True)
    if args.log is None or args.log == "-":
        _require_stdout()
        return None
    return Sink(
        stack.enter_context(os.fdopen(open_for_append(args.log), "wb", buffering=0)), owned=True
    )


def _unwritten(args: argparse.Namespace) -> bool:
    """Whether the JSON lines are left out, as they would run through the live view."""
    return bool(args.live and args.log is None and sys.stdout is not None and sys.stdout.isatty())


def _emptied(path: str, stack: ExitStack) -> BinaryIO:
    """A file to write anew, opened before anything is attached: it may be refused."""
    file = stack.enter_context(os.fdopen(open_for_append(path), "wb", buffering=0))
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        os.ftruncate(file.fileno(), 0)
    return file


def _fold(result: RunResult, file: BinaryIO) -> None:
    from orchestrator.output.folded import fold_stacks  # for who wants flame graphs

    text = "".join(f"{line}\n" for line in fold_stacks(result.metrics))
    if not text:
        _say("note: no metric that counted anything has a stack in its key: nothing is folded")
    try:
        Sink(file).write(text.encode(errors="backslashreplace"), 1)
    except OutputLost as error:
        _say(f"the stacks could not be written: {os.strerror(error.errno)}")


def _require_terminal() -> None:
    dumb = os.environ.get("TERM", "") in ("dumb", "unknown")
    if sys.stderr is None or not sys.stderr.isatty() or dumb:
        what = "cannot move its cursor" if dumb else "is not a terminal"
        message = f"--live draws on standard error, which {what}"
        hint = "leave --live out: with `every: 1s` in the plan the log has what it would show"
        raise PlanError([of_command_line(message, hint)])


def _require_stdout() -> None:
    if sys.stdout is None:  # how Python tells that descriptor 1 was closed
        message = "standard output is closed, so that nobody would see what is logged"
        raise PlanError([of_command_line(message, "give the log a file: --log FILE")])


def _progress(plan: Plan, args: argparse.Namespace, stack: ExitStack) -> Bar | None:
    duration_ns = plan.limits.duration_ns
    duration_s = None if duration_ns is None else duration_ns / 1e9
    if args.live:
        from orchestrator.output.terminal.live_view import (
            LiveView,  # rich: 40 ms, for who wants to look
        )

        return stack.enter_context(hidden_at_end(LiveView(duration_s, sys.stderr)))
    if args.no_progress or sys.stderr is None:
        return None
    return stack.enter_context(hidden_at_end(Progress(duration_s, sys.stderr)))


# ---------------------------------------------------------------- for people


def _sum_up(result: RunResult, args: argparse.Namespace) -> None:
    if result.output_error:
        _say(
            f"the output took no more ({result.output_error}): the run was ended, and everything "
            "is detached"
        )
    if _summarised(args):
        from orchestrator.output.terminal.summary import (
            print_summary,  # rich: 23 ms, at the very end
        )

        print_summary(
            result.finished,
            result.metrics,
            result.limits,
            derived=result.derived,
            warnings=result.warnings,
            outstanding=result.outstanding,
            stopped=result.stopped,
            places=list(_places(args)),
            file=sys.stderr,
        )
    elif (result.exit_code or result.complete is False) and not result.output_error:
        _say("; ".join(_reasons(result)))


def _summarised(args: argparse.Namespace) -> bool:
    if sys.stderr is None or args.summary == "never":
        return False
    return args.summary == "always" or sys.stderr.isatty()


def _places(args: argparse.Namespace) -> Iterator[str]:
    """Where the output of a run went that is not seen on the terminal."""
    if args.log not in (None, "-"):
        yield f"log: {args.log}"
    elif _unwritten(args):
        yield "log: not kept; --log FILE keeps it"
    if args.folded is not None:
        yield f"stacks: {args.folded}"
    if args.out is not None:
        yield f"files: {args.out}: plan.yaml, the program, events.jsonl, result.json"


def _reasons(result: RunResult) -> list[str]:
    """Why the exit code is not 0 or the data not complete, where no summary says so."""
    finished = result.finished
    reasons = [finished["error"], *finished["incomplete_because"], finished["nothing_seen_because"]]
    by = f"ended by {describe_ending(result.outcome)}"
    told = [reason for reason in reasons if reason] or [by]
    return [by, *told] if result.outcome == "interrupted" and told != [by] else told


def _say(text: str) -> None:
    if sys.stderr is None:  # closed; print would take standard output instead
        return
    try:
        print(f"probeplan: {text}", file=sys.stderr)
    except OSError:
        return  # nobody reads standard error any more
