"""Parses `KIND:TARGET` strictly by the grammar of its kind.

What passes may be written into a tracefs line or into generated C: identifiers, numbers, and paths
without white space, quotes or shell characters.
"""

import re

from orchestrator.plan.attach_kinds import ATTACH_KINDS, KINDS, PATH, SYMBOL_OR_OFFSET, AttachKind
from orchestrator.plan.nearest import suggest_name


class TargetError(ValueError):
    """A text that is not an attach point; `offset` is the index of its bad part."""

    def __init__(self, code: str, message: str, hint: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.code, self.hint, self.offset = code, hint, offset


def parse_attach_point(text: str) -> tuple[AttachKind, str]:
    """`KIND:TARGET` → kind and target; TargetError PP051 (kind), PP052 (target)."""
    name, colon, target = text.partition(":")
    kind = next((known for known in ATTACH_KINDS if known == name), None)
    if not colon or kind is None:
        shown = text if len(text) <= 60 else text[:57] + "…"
        message = f"{shown!r} is not KIND:TARGET" if not colon else f"no attach kind {name[:40]!r}"
        known = f"kinds: {', '.join(ATTACH_KINDS)}"
        raise TargetError("PP051", message, suggest_name(name, ATTACH_KINDS, known))
    if not re.fullmatch(KINDS[kind].pattern, target, re.ASCII):
        raise _bad_target(kind, target, len(name) + 1)
    return kind, target


_PLAUSIBLE = re.compile(r"[\w.$*?:+/,@%=~^-]", re.ASCII)


def _bad_target(kind: AttachKind, target: str, offset: int) -> TargetError:
    traits = KINDS[kind]
    hint = f"write {kind}:{traits.form}, e.g. {kind}:{traits.example}"
    for index, char in enumerate(target):
        if not _PLAUSIBLE.match(char):
            message = f"the character {char!r} is not allowed in {target[:60]!r}"
            return TargetError("PP052", message, hint, offset + index)
    shown = repr(target[:60]) if target else "nothing"
    return TargetError("PP052", f"{shown} is not {traits.form}", hint, offset)


def is_symbol(text: str) -> bool:
    """True for the name of a kernel or user symbol, globs and an offset included."""
    return re.fullmatch(SYMBOL_OR_OFFSET, text, re.ASCII) is not None


def is_path(text: str) -> bool:
    """True for a path or library name that an attach point may contain."""
    return re.fullmatch(PATH, text, re.ASCII) is not None
