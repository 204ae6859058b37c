"""Globs in attach points: the names that they match, within the plan's bound on probes."""

import re
from collections.abc import Iterable
from fnmatch import translate

from orchestrator.plan.findings import plan_error
from orchestrator.plan.model import AttachItem

__all__ = ["is_glob", "match_names"]


def is_glob(text: str) -> bool:
    """Whether a target is a pattern (`*`, `?`) and not a name."""
    return any(char in text for char in "*?[")


def match_names(
    item: AttachItem, names: Iterable[str], limit: int, what: str, pattern: str = ""
) -> tuple[str, ...]:
    """Those of `names` (of `what`, in the plural) that `pattern`, else the item's target, matches;
    sorted. Raises PlanError PP080 where there are none, PP094 where there are more than `limit`."""
    matches = re.compile(translate(pattern or item.target)).match
    found = sorted(set(filter(matches, names)))
    if not found:
        raise plan_error(
            "PP080", f"none of the {what} that can be probed matches {item.target!r}", item.position
        )
    if len(found) > limit:
        raise plan_error(
            "PP094",
            f"{item.target!r} matches {len(found)} {what}; at most {limit} probes are allowed",
            item.position,
            f"narrow the glob, or raise limits.probes (first: {', '.join(found[:3])})",
        )
    return tuple(found)
