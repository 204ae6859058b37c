"""A plan made ready for one kernel under policies, before anything is attached.

`run`, `explain` and `doctor` all go through here, so that they apply the same policies in the same
order and cannot disagree. Reads facts about the kernel and the plan's signature, and changes
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.backends.protocol import Backend
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.compile.redact import draw_salts
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import NOWHERE, Finding, HostError, PlanError, Position
from orchestrator.plan.model import Plan
from orchestrator.policy.ceilings import apply_ceilings
from orchestrator.policy.model import Policy
from orchestrator.policy.rules import (
    attribute_to_ceilings,
    check_artifact,
    check_origin,
    check_program,
    check_unsafe_returns,
    forbidden_backends,
)
from orchestrator.policy.signed_files import Acceptance, check_signatures
from orchestrator.run.choice import Prepared, Resolved, choose_backend
from orchestrator.run.shipped import is_shipped

__all__ = ["prepare", "resolve", "select_backend"]


def prepare(  # noqa: PLR0913  # a keyword for each input
    plan: Plan,
    facts: KernelFacts,
    policies: Sequence[Policy] = (),
    *,
    backend: str = "auto",
    follow_children: bool = False,
    backends: Mapping[str, Backend[Any]] | None = None,
    acceptances: tuple[Acceptance, ...] | None = None,
) -> Prepared:
    """The plan ready to be attached on the kernel that `facts` describe.

    `follow_children`: descendants of the target processes are the target too, as for a command.
    `backend` is a name from `backends` (None: all there are), or `auto`. `acceptances`: by what the
    policies accept the file that the plan was in, which the caller has checked (None: the plan's
    own signature is checked). Raises PlanError for a plan that does not fit this kernel, and
    HostError where this host cannot run it or `policies` forbid it.
    """
    resolved = resolve(
        plan, facts, policies, follow_children=follow_children, acceptances=acceptances
    )
    return select_backend(resolved, backend, backends)


def resolve(
    plan: Plan,
    facts: KernelFacts,
    policies: Sequence[Policy] = (),
    *,
    follow_children: bool = False,
    acceptances: tuple[Acceptance, ...] | None = None,
) -> Resolved:
    """The plan under `policies` and its program on this kernel, for any backend; `acceptances` as
    for `prepare`. Raises PlanError and HostError as `prepare` does."""
    policies = tuple(policies)
    plan = apply_ceilings(plan, policies)
    check_origin(plan, policies)
    if acceptances is None:
        acceptances = check_signatures(plan.source, plan.file, policies, is_shipped)
    check_unsafe_returns(plan, policies)
    try:
        program = draw_salts(_compile_for(plan, facts, follow_children=follow_children))
        check_program(program, facts, policies)
    except (PlanError, HostError) as error:
        raise attribute_to_ceilings(error, plan, policies) from None
    return Resolved(
        plan=plan, facts=facts, policies=policies, program=program, acceptances=acceptances
    )


def select_backend(
    resolved: Resolved, backend: str = "auto", backends: Mapping[str, Backend[Any]] | None = None
) -> Prepared:
    """The resolved plan with the backend that runs it. Raises HostError as `prepare` does."""
    plan, facts, policies = resolved.plan, resolved.facts, resolved.policies
    try:
        choice = choose_backend(
            resolved.program, facts, backend, backends, forbidden_backends(policies)
        )
    except HostError as error:
        raise attribute_to_ceilings(_place_findings(error, plan), plan, policies) from None
    check_artifact(choice.artifact, policies)
    return Prepared(
        plan=plan,
        facts=facts,
        policies=policies,
        program=resolved.program,
        acceptances=resolved.acceptances,
        choice=choice,
    )


def _place_findings(error: HostError, plan: Plan) -> HostError:
    """The same error, whose findings about the whole plan are at the key that is nearest."""
    return HostError(
        replace(finding, position=_find_nearest_key(finding, plan))
        if not finding.position.line and finding.position.file in (NOWHERE.file, plan.file)
        else finding
        for finding in error.findings
    )


def _find_nearest_key(finding: Finding, plan: Plan) -> Position:
    is_of_target = "target." in finding.message and plan.target.position.line > 0
    return plan.target.position if is_of_target else plan.probes[0].position


def _compile_for(plan: Plan, facts: KernelFacts, *, follow_children: bool) -> Program:
    program = compile_plan(plan, facts)
    if not follow_children:
        return program
    return replace(program, target=replace(program.target, children=True))
