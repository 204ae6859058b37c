"""What to answer where a name is no plan's: which plans may be meant, by their questions."""

from collections.abc import Sequence

from orchestrator.catalog.entry import CatalogEntry
from orchestrator.catalog.search import answers_tool, find_plans, suggest_plans
from orchestrator.plan.nearest import find_nearest

__all__ = ["hint_at_plans"]

_MOST = 3
_SEE_ALL = "`probeplan plans` lists all plans, `probeplan plans WORD` those for a word"


def hint_at_plans(name: str, entries: Sequence[CatalogEntry]) -> str:
    """A hint for a `name` that is no shipped plan: the plans that answer the question of the tool
    of that name, those that its words find, or one of a close name; else how to list all."""
    equivalents = [entry for entry in entries if answers_tool(name, entry)]
    if equivalents:
        return _list_entries(f"the tool {name} answers the same question as", equivalents)
    words = [name.replace("-", " ").replace("_", " ")]
    meant = find_plans(words, entries) or _find_close(name, entries)
    meant = meant or suggest_plans(words, entries, _MOST)
    return _list_entries("did you mean", meant) if meant else _SEE_ALL


def _find_close(name: str, entries: Sequence[CatalogEntry]) -> list[CatalogEntry]:
    close = find_nearest(name, [entry.name for entry in entries])
    return [entry for entry in entries if entry.name in close]


def _list_entries(head: str, entries: Sequence[CatalogEntry]) -> str:
    """The head and one plan a line, or all in one line where there is one."""
    shown = [f"{entry.name!r}: {entry.question}" for entry in entries[:_MOST]]
    if len(entries) > _MOST:
        shown.append(f"and {len(entries) - _MOST} more: `probeplan plans WORD` lists them")
    return f"{head} {shown[0]}" if len(shown) == 1 else "\n".join([f"{head}", *shown])
