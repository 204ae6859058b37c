"""What someone asks for: `tracepoint:tcp:*`, `tcp_connect`, `/usr/bin/bash:read*`."""

import re
from typing import get_args

from orchestrator.plan.attach import is_path
from orchestrator.plan.attach_kinds import ATTACH_KINDS, KINDS, AttachKind
from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.plan.nearest import suggest_name
from orchestrator.values import dataclass

__all__ = ["ANYWHERE", "IN_FILES", "PointQuery", "parse_query"]

#: The kinds that are searched where none is named: one for each sort of name. Other kinds attach to
#: the same functions.
ANYWHERE: tuple[AttachKind, ...] = ("tracepoint", "rawtracepoint", "syscall", "function")
#: The same within a file.
IN_FILES: tuple[AttachKind, ...] = ("usdt", "ufunction")
_PATTERN = re.compile(r"[\w.$*?:+/,@%=~^-]{1,800}", re.ASCII)
_LIBRARY = re.compile(r"\.so(?:\.|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PointQuery:
    """`text` as it was asked. `kinds`: where to look; `file`: in which file, for kinds of user
    code; `pattern`: the rest of a target, a name or a glob. `named`: whether the kind was given."""

    text: str
    kinds: tuple[AttachKind, ...]
    pattern: str = "*"
    file: str = ""
    named: bool = False


def parse_query(text: str) -> PointQuery:
    """Read KIND:TARGET, either of them alone, or FILE:NAME; globs anywhere but in KIND and FILE.
    Raises PlanError PP001 for a text that is none of these."""
    if not _PATTERN.fullmatch(text):
        hint = "write KIND:TARGET or a name, with * and ? for what is not known: '*reset*'"
        raise PlanError([of_command_line(f"{text[:80]!r} is no attach point", hint)])
    first, colon, rest = text.partition(":")
    kind = next((known for known in get_args(AttachKind) if known == first), None)
    if kind is None:
        return _parse_without_kind(text, first, rest)
    if KINDS[kind].site == "user code":
        if not colon:
            hint = f"write {kind}:FILE, e.g. {kind}:{KINDS[kind].example.partition(':')[0]}"
            raise PlanError([of_command_line(f"{kind} needs a file to look into", hint)])
        file, _, pattern = rest.partition(":")
        return _in_file(text, (kind,), file, pattern, named=True)
    return PointQuery(text=text, kinds=(kind,), pattern=rest or "*", named=True)


def _parse_without_kind(text: str, first: str, rest: str) -> PointQuery:
    if "/" in first or _LIBRARY.search(first):
        return _in_file(text, IN_FILES, first, rest, named=False)
    if not rest:
        return PointQuery(text=text, kinds=ANYWHERE, pattern=first)
    return PointQuery(text=text, kinds=("tracepoint",), pattern=text)


def _in_file(
    text: str, kinds: tuple[AttachKind, ...], file: str, pattern: str, *, named: bool
) -> PointQuery:
    if not is_path(file):
        hint = "a path has letters, digits and ./+,@%=~^-_, and no * or ?"
        raise PlanError([of_command_line(f"{file[:80]!r} is no path", hint)])
    return PointQuery(text=text, kinds=kinds, pattern=pattern or "*", file=file, named=named)


def suggest_kind(query: PointQuery) -> str:
    """A hint for what looks like a misspelt kind, or ""."""
    first, colon, _ = query.text.partition(":")
    return suggest_name(first, ATTACH_KINDS) if colon and not query.named else ""
