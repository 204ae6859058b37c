"""Attach points that begin like a word, for shells: kinds, then categories, then names."""

from collections.abc import Iterable, Iterator

from orchestrator.compile.globs import list_tracepoints
from orchestrator.discovery.query import PointQuery
from orchestrator.discovery.search import find_by_query
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import ATTACH_KINDS, KINDS, AttachKind

__all__ = ["complete_point"]

#: More are no help: a shell would ask whether to show them.
_MOST = 2000


def complete_point(word: str, facts: KernelFacts) -> tuple[str, ...]:
    """What `word`, the beginning of KIND:TARGET, may become, part by part; at most a few
    thousand."""
    name, colon, rest = word.partition(":")
    if not colon:
        return tuple(f"{kind}:" for kind in ATTACH_KINDS if kind.startswith(name))
    kind = next((known for known in ATTACH_KINDS if known == name), None)
    if kind is None or any(char in rest for char in "*?["):
        return ()
    if kind == "tracepoint":
        targets = _complete_parts(rest, list_tracepoints(facts))
    else:
        targets = _complete_names(kind, rest, facts)
    offered = [f"{kind}:{target}" for target in targets]
    return tuple(text for text in offered if text.startswith(word))[:_MOST]


def _complete_names(kind: AttachKind, rest: str, facts: KernelFacts) -> Iterator[str]:
    """Names of the kernel, or those in the file that is named already."""
    file, colon, pattern = rest.rpartition(":")
    if KINDS[kind].site == "user code":
        file, colon, pattern = rest.partition(":")
        if not colon:
            return
    query = PointQuery(text=rest, kinds=(kind,), pattern=f"{pattern}*", file=file, named=True)
    for point in find_by_query(query, facts).points:
        if not point.refused:
            yield point.target


def _complete_parts(rest: str, names: Iterable[str]) -> Iterator[str]:
    """Categories first, with their colon; names once a category is there."""
    if ":" in rest:
        return (name for name in names if name.startswith(rest))
    categories = dict.fromkeys(f"{name.partition(':')[0]}:" for name in names)
    return (name for name in categories if name.startswith(rest))
