"""The way through the house in one function: a plan, run on this host."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.backends.protocol import Backend
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.compile.redact import salted
from orchestrator.kernel.facts import KernelFacts
from orchestrator.output.result import ResultDirectory
from orchestrator.output.sink import Sink
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.model import LimitSource, Plan
from orchestrator.policy.ceilings import governed
from orchestrator.policy.file import in_force
from orchestrator.policy.model import Policy
from orchestrator.policy.rules import (
    check_artifact,
    check_digest,
    check_program,
    forbidden_backends,
    of_ceilings,
)
from orchestrator.run.choice import Choice, choose
from orchestrator.run.lifecycle import Order, Run
from orchestrator.run.loop import Bar
from orchestrator.run.report.result import RunResult
from orchestrator.run.safety.journal import DIRECTORIES
from orchestrator.run.signals import Signals

__all__ = ["permitted", "program_of", "run_plan"]


def run_plan(  # noqa: PLR0913  # the face of the package: one keyword a choice of the user
    plan: Plan,
    facts: KernelFacts,
    *,
    backend: str = "auto",
    command: Sequence[str] = (),
    duration_ns: int | None = None,
    out: str | os.PathLike[str] | None = None,
    log: Sink | None = None,
    progress: Bar | None = None,
    tell: Callable[[str], None] = lambda _text: None,
    backends: Mapping[str, Backend[Any]] | None = None,
    journals: tuple[Path, ...] = DIRECTORIES,
    policies: Sequence[str | Path] = (),
    keep_privileges: bool = True,
    canary: bool = False,
) -> RunResult:
    """Run `plan` on this host and return when it is over and everything is detached.

    `command`: what to start; it and its descendants become the target, and its end ends the run.
    `duration_ns`: instead of the plan's. `out`: a directory that keeps the results. `log`: where
    the JSON lines go (None: standard output; then `command` writes to standard error, so that the
    lines stay whole). `progress` is told how it goes, and `tell` what people should know at once.
    A command that still runs when the run is over is waited for, not ended. `policies`: files that
    hold beside the host's policy. `keep_privileges` False: once all is attached, this process gives
    up for good what capabilities the rest of the run does not need. `canary`: where attach points
    are hot, count for a second first, and refuse what would break limits.cpu.

    Raises PlanError (the plan does not fit this kernel; the command cannot be started), HostError
    (this host cannot run it), ResultDirectoryError; after detaching, whatever else went wrong.
    """
    if duration_ns is not None:
        limits_from: Mapping[str, LimitSource] = {**plan.limits_from, "duration": "command line"}
        limits = replace(plan.limits, duration_ns=duration_ns)
        plan = replace(plan, limits=limits, limits_from=limits_from)
    rules = in_force(policies)
    plan = governed(plan, rules)
    choice = permitted(plan, facts, rules, backend, followed=bool(command), backends=backends)
    with ExitStack() as stack:
        directory = None if out is None else stack.enter_context(ResultDirectory(out))
        order = Order(
            plan=plan,
            facts=facts,
            choice=choice,
            command=tuple(command),
            directory=directory,
            log=log,
            bar=progress,
            journals=journals,
            tell=tell,
            signals=stack.enter_context(Signals()),
            policies=rules,
            keep_privileges=keep_privileges,
            canary=canary,
        )
        return Run(order).execute()


def permitted(  # noqa: PLR0913  # what a choice depends on
    plan: Plan,
    facts: KernelFacts,
    policies: Sequence[Policy],
    backend: str = "auto",
    *,
    followed: bool = False,
    backends: Mapping[str, Backend[Any]] | None = None,
) -> Choice:
    """What `plan`, governed already, would attach. Raises PlanError, and HostError also for what
    `policies` forbid."""
    check_digest(plan, policies)
    try:
        program = salted(program_of(plan, facts, followed=followed))
        check_program(program, facts, policies)
        choice = choose(program, facts, backend, backends, forbidden_backends(policies))
    except (PlanError, HostError) as error:
        raise of_ceilings(error, plan, policies) from None
    check_artifact(choice.artifact, policies)
    return choice


def program_of(plan: Plan, facts: KernelFacts, *, followed: bool = False) -> Program:
    """The program of a plan on a kernel; `followed`: a command's descendants are the target too.
    Raises PlanError and HostError."""
    program = compile_plan(plan, facts)
    if not followed:
        return program
    return replace(program, target=replace(program.target, children=True))
