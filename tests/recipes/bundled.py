"""Bundles of the recipes' plans for a kernel that none of their programs were made for."""

from collections.abc import Mapping

from orchestrator.bundle.build import BuildOptions, draw_blueprint
from orchestrator.bundle.matrix import RecordedKernel, plan_rows
from orchestrator.bundle.model import Settings
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.load import load_plan
from tests.support.bundled_runs import build_rows
from tests.support.left_out import REFUSED
from tests.support.recorded import recorded


class Refused(Exception):
    """None of the other kernels gives the program that this one looks for."""


def bundle_of_others(plan: str, settings: Mapping[str, str], facts: KernelFacts) -> bytes:
    """The file of a bundle of the plan at this path, for runs with a command, made from all
    recorded kernels but those of the series that `facts` are of. To save time, of its programs only
    those are compiled that a host with these facts looks for: with trampolines, and where they are
    refused. Raises Refused."""
    others = [
        RecordedKernel(name=name, facts=recorded(name))
        for name in REFUSED
        if series(recorded(name)) != series(facts)
    ]
    params = {name: [value] for name, value in settings.items()}
    options = BuildOptions(params=params, with_command=True)
    drawn = draw_blueprint(plan, others, options)
    here = RecordedKernel(name="here", facts=facts)
    resolved = load_plan(plan, settings=settings)
    rows = [made.row for made in plan_rows(resolved, Settings(command=True), [here])]
    fetching = rows[0].fetching
    wanted = {row.key for row in rows if row.fetching == fetching}
    if rows[0].key not in drawn.artifacts:
        raise Refused(f"{plan} on {facts.release}")
    return build_rows(drawn, [row for row in drawn.bundle.matrix if row.key in wanted])


def series(facts: KernelFacts) -> list[str]:
    """A kernel's release without what updates change: 6.1 of 6.1.0-40-amd64."""
    return facts.release.split(".")[:2]
