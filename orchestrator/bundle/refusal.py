"""The finding that a bundle has no program for a host: what is wanted, in what the nearest program
there differs, and what to do."""

from typing import Any

from orchestrator.backends.protocol import Artifact
from orchestrator.bundle.model import Bundle, shorten_key
from orchestrator.bundle.shape import describe_shape, find_nearest
from orchestrator.compile.program import Program
from orchestrator.plan.findings import Finding, Position
from orchestrator.version import installed_version

__all__ = ["refuse_program"]

_MOST_DIFFERENCES = 8


def refuse_program(
    artifact: Artifact[Any], key: str, bundle: Bundle, position: Position
) -> Finding:
    """The finding at `position` that `bundle` has no program called `key`, the artifact's."""
    wanted = describe_shape(artifact)
    lines = [
        f"the bundle has no program of the shape that this host wants (key {shorten_key(key)}; "
        f"{_describe_wanted(wanted)})",
        *_compare(wanted, bundle),
    ]
    return Finding(
        code="PP244",
        message="\n".join(lines),
        position=position,
        hint=_describe_cure(artifact.program, bundle),
    )


def _describe_wanted(wanted: dict[str, str]) -> str:
    """The aspects that say most to people: attach points, mechanisms, atomics."""
    shown = [
        f"{name.removeprefix('probe ').removesuffix(', mechanism')} by {words}"
        for name, words in wanted.items()
        if name.endswith(", mechanism")
    ]
    return ", ".join([*shown[:_MOST_DIFFERENCES], f"fetching atomics {wanted['fetching atomics']}"])


def _compare(wanted: dict[str, str], bundle: Bundle) -> list[str]:
    """In what the nearest program differs, a line each."""
    release = _compare_releases(bundle)
    nearest = find_nearest(wanted, bundle.programs)
    if nearest is None:
        return ["it has no programs", *release]
    name = f"the nearest one there ({shorten_key(nearest.key)})"
    if not nearest.differences:
        return [f"{name} has this shape: another build of probeplan wrote its text", *release]
    shown = nearest.differences[:_MOST_DIFFERENCES]
    omitted = len(nearest.differences) - len(shown)
    more = [f"- and {omitted} more"] if omitted else []
    return [f"{name} differs in:", *(f"- {line}" for line in shown), *more, *release]


def _compare_releases(bundle: Bundle) -> list[str]:
    """The release writes the text, so that another one may write another."""
    own = installed_version()
    if own is None or own == bundle.builder:
        return []
    return [f"it was made by probeplan {bundle.builder}, and this is {own}"]


def _describe_cure(program: Program, bundle: Bundle) -> str:
    cure = (
        "record this host (probeplan facts > HOST.facts.xz) and add it to the build (probeplan "
        "bundle PLAN --kernel HOST.facts.xz …), with the --set and --target that are given here"
    )
    if program.target.children and not any(settings.command for settings in bundle.settings):
        cure = f"build it for runs with a command (--with-command); or {cure}"
    return cure
