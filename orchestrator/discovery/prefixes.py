"""Attach points that begin like a word, for shells: kinds, then categories, then names."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.compile.globs import list_tracepoints
from orchestrator.discovery.query import PointQuery
from orchestrator.discovery.search import find_by_query
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach import is_path
from orchestrator.plan.attach_kinds import ATTACH_KINDS, KINDS, AttachKind

__all__ = ["complete_point"]

#: More are no help, and a part of them would mislead.
_MOST = 2000


def complete_point(word: str, facts: KernelFacts) -> tuple[str, ...]:
    """What `word`, the beginning of KIND:TARGET, may become, part by part: () where that is too
    much to choose from. Where only one part fits, what follows it is offered."""
    offered = tuple(sorted(text for text in _complete(word, facts) if text.startswith(word)))
    if len(offered) > _MOST:
        return ()
    if len(offered) == 1 and offered[0].endswith((":", "/")) and offered[0] != word:
        return complete_point(offered[0], facts) or offered
    return offered


def _complete(word: str, facts: KernelFacts) -> Iterator[str]:
    name, colon, rest = word.partition(":")
    kind = next((known for known in ATTACH_KINDS if known == name), None)
    if not colon:
        yield from (f"{known}:" for known in ATTACH_KINDS)
    elif kind is None or any(char in rest for char in "*?["):
        return
    elif kind == "tracepoint":
        yield from (f"{kind}:{part}" for part in _complete_parts(rest, list_tracepoints(facts)))
    elif KINDS[kind].site == "user code" and ":" not in rest:
        yield from (f"{kind}:{path}" for path in _complete_path(rest))
    else:
        yield from (f"{kind}:{target}" for target in _complete_names(kind, rest, facts))


def _complete_path(start: str) -> Iterator[str]:
    """Directories with a slash, files with the colon that comes next."""
    folder, _, name = start.rpartition("/")
    if not start.startswith("/"):
        return
    with suppress(OSError):
        for entry in Path(f"{folder}/").iterdir():
            if entry.name.startswith(name) and is_path(str(entry)):
                yield f"{entry}/" if entry.is_dir() else f"{entry}:"


def _complete_names(kind: AttachKind, rest: str, facts: KernelFacts) -> Iterator[str]:
    """Names of the kernel, or those in the file that is named already."""
    file, _, pattern = rest.partition(":") if KINDS[kind].site == "user code" else ("", "", rest)
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
