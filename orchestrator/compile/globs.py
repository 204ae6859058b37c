"""Globs in attach points: the names that they match, within the plan's bound on probes."""

import re
from collections.abc import Iterable
from fnmatch import translate

from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import plan_error
from orchestrator.plan.model import AttachItem
from orchestrator.plan.nearest import find_nearest

__all__ = ["is_glob", "list_tracepoints", "match_names", "select_names", "select_probeable"]

#: How categories of the dynamic events begin that runs, perhaps this one, define for themselves.
_EVENTS_OF_RUNS = "probeplan_"
_WILD = re.compile(r"[*?]+")


def is_glob(text: str) -> bool:
    """Whether a target is a pattern (`*`, `?`) and not a name."""
    return any(char in text for char in "*?[")


def select_names(pattern: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that a pattern, or a name, matches; sorted, once each."""
    matches = re.compile(translate(pattern)).match
    return sorted(set(filter(matches, names)))


def select_probeable(facts: KernelFacts, functions: Iterable[str]) -> tuple[str, ...]:
    """Those of a kernel's functions that can be probed, as far as is known: one function each,
    which neither the kernel nor the list of dangerous functions refuses."""
    from orchestrator.compile.denied import find_denied_names

    functions = tuple(functions)
    denied = find_denied_names(facts, functions)
    return facts.symbols.select_probeable(name for name in functions if name not in denied)


def list_tracepoints(facts: KernelFacts) -> tuple[str, ...]:
    """All tracepoints as CATEGORY:EVENT, sorted, but for the events of runs."""
    pairs = facts.tracepoint_names()
    return tuple(":".join(pair) for pair in pairs if not pair[0].startswith(_EVENTS_OF_RUNS))


def match_names(
    item: AttachItem, names: Iterable[str], limit: int, what: str, pattern: str = ""
) -> tuple[str, ...]:
    """Those of `names` (of `what`, in the plural) that `pattern`, else the item's target, matches;
    sorted. Raises PlanError PP080 where there are none, PP094 where there are more than `limit`."""
    known = tuple(names)
    found = select_names(pattern or item.target, known)
    if not found:
        message = f"none of the {what} that can be probed matches {item.target!r}"
        raise plan_error("PP080", message, item.position, _suggest(item, known, pattern))
    if len(found) > limit:
        raise plan_error(
            "PP094",
            f"{item.target!r} matches {len(found)} {what}; at most {limit} probes are allowed",
            item.position,
            f"narrow the glob, or raise limits.probes: --limit probes={len(found)} "
            f"(first: {', '.join(found[:3])})",
        )
    return tuple(found)


def _suggest(item: AttachItem, known: Iterable[str], pattern: str) -> str:
    """Names like what is spelled out of the pattern, and how to see what there is."""
    near = find_nearest(_WILD.sub("", pattern or item.target), known, 3)
    words = f"there is {', '.join(near)}; " if near else ""
    path = item.target.removesuffix(pattern) if pattern else ""
    return f"{words}see what there is: probeplan list '{item.kind}:{path}*'"
