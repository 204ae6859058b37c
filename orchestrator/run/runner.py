"""Running a plan on this host, from the plan to the result, in one function."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.backends.protocol import Backend
from orchestrator.kernel.facts import KernelFacts
from orchestrator.output.result import ResultDirectory
from orchestrator.output.sink import Sink
from orchestrator.plan.model import LimitSource, Plan, PlanOverride
from orchestrator.policy.model import Policy
from orchestrator.run.choice import Prepared
from orchestrator.run.lifecycle import Run
from orchestrator.run.options import Bar, RunOptions
from orchestrator.run.report.result_keeper import ResultKeeper
from orchestrator.run.safety.journal import DIRECTORIES
from orchestrator.run.signals import Signals

if TYPE_CHECKING:
    from orchestrator.run.report.result import RunResult

__all__ = ["run_plan", "run_prepared"]


def run_plan(  # noqa: PLR0913  # the face of the package: one keyword a choice of the user
    plan: Plan,
    facts: KernelFacts,
    *,
    backend: str = "auto",
    command: Sequence[str] = (),
    duration_ns: int | None = None,
    policies: Sequence[Policy] | None = None,
    backends: Mapping[str, Backend[Any]] | None = None,
    out: str | os.PathLike[str] | None = None,
    log: Sink | None = None,
    progress: Bar | None = None,
    notify: Callable[[str], None] = lambda _text: None,
    journals: tuple[Path, ...] = DIRECTORIES,
    keep_privileges: bool = True,
    canary: bool = False,
    label: str | None = None,
) -> "RunResult":
    """Run `plan` on this host and return when it is over and everything is detached.

    `command`: a program to start, with its arguments. It and its descendants become the target,
    and its end ends the run. If the run ends first, the command is waited for, not ended.
    `duration_ns` replaces the plan's duration. The log and the result carry `label`, a text.
    `policies`: those that apply (None: the host's policy, read from its file). `read_policies`
    reads the host's together with further files.
    `out`: a directory that keeps the results.
    `log`: where the JSON lines go; `make_log_sink` makes one that never waits for a slow reader.
    None: standard output; `command` then writes to standard error, so that the lines stay whole.
    `progress` follows the run, and `notify` gets messages that people should see at once.
    `keep_privileges` False: once all is attached, this process gives up for good the capabilities
    that the rest of the run does not need.
    `canary`: where attach points may be hot, count for a second first, and refuse a plan that would
    break limits.cpu.

    Raises PlanError (the plan does not fit this kernel; the command cannot be started), HostError
    (this host cannot run it, or a policy forbids it), ResultDirectoryError; after detaching,
    whatever else went wrong.
    """
    from orchestrator.run.prepare import prepare  # run_prepared needs none of it

    prepared = prepare(
        plan if duration_ns is None else _with_duration(plan, duration_ns),
        facts,
        _host_policies() if policies is None else policies,
        backend=backend,
        follow_children=bool(command),
        backends=backends,
    )
    options = RunOptions(
        command=tuple(command),
        out=out,
        log=log,
        progress=progress,
        notify=notify,
        journals=journals,
        keep_privileges=keep_privileges,
        canary=canary,
        label=label,
    )
    return run_prepared(prepared, options)


def run_prepared(prepared: Prepared, options: RunOptions) -> "RunResult":
    """Run a plan that is ready. It has to be prepared with `follow_children` exactly when `options`
    have a command. Raises what `run_plan` does."""
    with ExitStack() as stack:
        out = options.out
        directory: ResultKeeper | None = options.keeper
        if out is not None:
            directory = stack.enter_context(ResultDirectory(out, synced=options.watch is not None))
        signals = stack.enter_context(Signals())
        return Run(prepared, options, directory, signals).execute()


def _host_policies() -> tuple[Policy, ...]:
    from orchestrator.policy.file import read_policies  # the command line reads them itself

    return read_policies()


def _with_duration(plan: Plan, duration_ns: int) -> Plan:
    sources: Mapping[str, LimitSource] = {**plan.limits_from, "duration": "command line"}
    limits = replace(plan.limits, duration_ns=duration_ns)
    changed = (*plan.overridden, PlanOverride(option="limit", name="duration"))
    return replace(plan, limits=limits, limits_from=sources, overridden=changed)
