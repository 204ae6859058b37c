"""Reads plain scalars: what YAML 1.1 would retype is a finding, never a guess."""

import re
from typing import Any

from orchestrator.plan.document.hidden_characters import HIDDEN, describe_character
from orchestrator.plan.findings import Finding, Position

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False}
_BOOLEANS["FALSE"] = False
#: YAML 1.1 has y and n too, but its readers do not follow it there.
_YES_NO = re.compile(r"(?i:yes|no|on|off)")
#: YAML 1.1 (yaml.org/type): octal, binary, underscores, sexagesimal, floats, timestamps.
_RETYPED = (
    (re.compile(r"[-+]?0[0-7_]+"), "an octal number"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number"),
    (re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|[0-9][0-9_]*)"), "a number"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "a number to the base 60"),
    (re.compile(r"[-+]?(?:[0-9][0-9_]*)?\.[0-9_]+(?:[eE][-+]?[0-9]+)?"), "a fraction"),
    (re.compile(r"[-+]?[0-9][0-9_]*\.?(?:[eE][-+]?[0-9]+)?"), "a fraction"),
    (re.compile(r"[-+]?\.(?i:inf|nan)"), "a fraction"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?"), "a date"),
)
_STR_TAG = "tag:yaml.org,2002:str"
MAX_DIGITS = 25


def resolve_scalar(
    event: Any, position: Position
) -> tuple[str | int | bool | None, Finding | None]:
    """The value of a scalar event, and a finding when YAML would read it as something else."""
    text: str = event.value
    if event.tag not in (None, "!", _STR_TAG):
        finding = _make_finding(
            "PP009", f"the tag {event.tag!r} is not allowed", position, "remove it"
        )
        return None, finding
    if match := HIDDEN.search(text):
        message = f"the text contains the {describe_character(match[0])}"
        return None, _make_finding("PP003", message, position, "remove it")
    if not event.implicit[0] or event.tag is not None:
        return text, None
    return _resolve_plain(text, position)


def _resolve_plain(text: str, position: Position) -> tuple[str | int | bool | None, Finding | None]:
    if text in ("", "~", "null", "Null", "NULL"):
        hint = 'give it one, or leave the key out; write "" for empty text'
        shown = f" but {text}" if text else ""
        return None, _make_finding("PP007", f"there is no value{shown} here", position, hint)
    if text in _BOOLEANS:
        return _BOOLEANS[text], None
    if _INTEGER.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text, 0), None
    if _YES_NO.fullmatch(text):
        hint = f'write true or false, or quote it: "{text}"'
        return text, _make_finding("PP008", f"YAML reads {text!r} as a boolean", position, hint)
    for pattern, shown in _RETYPED:
        if pattern.fullmatch(text):
            message = f"YAML reads {text[:40]!r} as {shown}"
            return text, _make_finding("PP008", message, position, f'quote it: "{text[:40]}"')
    return text, None


def _make_finding(code: str, message: str, position: Position, hint: str) -> Finding:
    return Finding(code=code, message=message, position=position, hint=hint)


# ---------------------------------------------------------------- expressions split by a comma


def _count_open(text: str) -> int:
    return text.count("(") - text.count(")")


def opens_split(event: Any) -> bool:
    """True for a plain scalar that opens a bracket and does not close it: `(a` of `(a, b)`."""
    return (
        getattr(event, "value", None) is not None
        and event.implicit[0]
        and event.value.lstrip()[:1] not in ("'", '"')
        and _count_open(event.value) > 0
    )


def closes_split(text: str) -> bool:
    """True when the pieces put together close all their brackets."""
    return _count_open(text) <= 0
