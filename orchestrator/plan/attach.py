"""`KIND:TARGET`: the grammar of each kind, strict enough that nothing else can hide in a target.

What passes here may stand in a tracefs line or in generated C: identifiers, numbers, and paths
without white space, quotes or shell characters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.plan.model import ATTACH_KINDS, AttachKind
from orchestrator.plan.nearest import suggestion

_SYMBOL = r"[A-Za-z_.$*?][\w.$*?]{0,254}"
_EXACT = r"[A-Za-z_.$][\w.$]{0,254}"
_OFFSET = r"(?:\+(?:0x[0-9a-fA-F]{1,8}|[0-9]{1,9}))?"
_PATH = r"[\w./+,@%=~^-]{1,400}"
_WORD = r"[A-Za-z_*?][\w*?]{0,63}"
_SYSTEM = r"[A-Za-z_*?][\w*?-]{0,63}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """How a kind's target is written: `pattern` for programs, `form` and `example` for people."""

    pattern: str
    form: str
    example: str


def _grammar(pattern: str, form: str, example: str) -> Grammar:
    return Grammar(pattern=pattern, form=form, example=example)


_FUNCTION = (_SYMBOL, "SYMBOL", "vfs_read")
_KPROBE = (rf"{_SYMBOL}|{_EXACT}{_OFFSET}", "SYMBOL or SYMBOL+OFFSET", "vfs_read+0x10")
_USER = (rf"{_PATH}:(?:{_SYMBOL})", "PATH:SYMBOL", "libc.so.6:malloc")
_UPROBE = (
    rf"{_PATH}:(?:{_SYMBOL}|{_EXACT}{_OFFSET})",
    "PATH:SYMBOL or PATH:SYMBOL+OFFSET",
    "libc.so.6:malloc",
)

GRAMMARS: Mapping[AttachKind, Grammar] = {
    "function": _grammar(*_FUNCTION),
    "entry": _grammar(*_FUNCTION),
    "kprobe": _grammar(*_KPROBE),
    "kretprobe": _grammar(*_FUNCTION),
    "fentry": _grammar(*_FUNCTION),
    "fexit": _grammar(*_FUNCTION),
    "syscall": _grammar(_WORD, "NAME", "openat"),
    "tracepoint": _grammar(rf"{_SYSTEM}:{_WORD}", "CATEGORY:EVENT", "sched:sched_switch"),
    "rawtracepoint": _grammar(_WORD, "EVENT", "sched_switch"),
    "ufunction": _grammar(*_USER),
    "uprobe": _grammar(*_UPROBE),
    "uretprobe": _grammar(*_USER),
    "usdt": _grammar(
        rf"{_PATH}:{_WORD}:[A-Za-z_*?][\w*?-]{{0,127}}",
        "PATH:PROVIDER:NAME",
        "/usr/bin/python3:python:gc__start",
    ),
    "profile": _grammar(r"[1-9][0-9]{0,3}hz", "FREQUENCY in hz, 1hz to 9999hz", "99hz"),
}


class AttachError(ValueError):
    """A text that is no attach point; `offset` counts characters to the bad part."""

    def __init__(self, code: str, message: str, hint: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.code, self.hint, self.offset = code, hint, offset


def parse_attach(text: str) -> tuple[AttachKind, str]:
    """`KIND:TARGET` → kind and target; AttachError PP051 (kind), PP052 (target)."""
    name, colon, target = text.partition(":")
    kind = next((known for known in ATTACH_KINDS if known == name), None)
    if not colon or kind is None:
        shown = text if len(text) <= 60 else text[:57] + "…"
        message = f"{shown!r} is not KIND:TARGET" if not colon else f"no attach kind {name[:40]!r}"
        known = f"kinds: {', '.join(ATTACH_KINDS)}"
        raise AttachError("PP051", message, suggestion(name, ATTACH_KINDS, known))
    if not re.fullmatch(GRAMMARS[kind].pattern, target, re.ASCII):
        raise _bad_target(kind, target, len(name) + 1)
    return kind, target


_PLAUSIBLE = re.compile(r"[\w.$*?:+/,@%=~^-]", re.ASCII)


def _bad_target(kind: AttachKind, target: str, offset: int) -> AttachError:
    grammar = GRAMMARS[kind]
    hint = f"write {kind}:{grammar.form}, e.g. {kind}:{grammar.example}"
    for index, char in enumerate(target):
        if not _PLAUSIBLE.match(char):
            message = f"the character {char!r} is not allowed in {target[:60]!r}"
            return AttachError("PP052", message, hint, offset + index)
    shown = repr(target[:60]) if target else "nothing"
    return AttachError("PP052", f"{shown} is not {grammar.form}", hint, offset)


def is_symbol(text: str) -> bool:
    """True for the name of a kernel or user symbol, globs and an offset included."""
    return re.fullmatch(_KPROBE[0], text, re.ASCII) is not None


def is_path(text: str) -> bool:
    """True for a path or library name that may stand in an attach point."""
    return re.fullmatch(_PATH, text, re.ASCII) is not None
