"""What may stand in the C and in the tracefs lines that are made of a plan, written down again
without a look at the code that makes them."""

import re
import shlex

from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.design.writes import (
    Write,
    attach_writes,
    list_as_shell,
    names_from_run_id,
)

_C_TOKEN = re.compile(
    r"/\*(?P<comment>(?:[^*]|\*(?!/))*)\*/"
    r'|"[A-Za-z0-9_./%:, ()=-]*"'
    r"|[A-Za-z_][A-Za-z0-9_]*|0x[0-9a-f]+[UuLl]*|[0-9]+[UuLl]*"
    r"|[-+*/%&|^~!<>=?:;,.(){}\[\]#]|\\\n|[ \t\n]"
)
_FIELD = r"[A-Za-z_][A-Za-z0-9_]*"
_LITERAL = r'"[A-Za-z0-9_+./:=,@% \[\]*-]*"'
_FILTER_TOKEN = re.compile(
    rf"\(|\)|&&|\|\||==|!=|<=|>=|[!<>&~]|-?[0-9]+|{_FIELD}(?:\.[A-Za-z_]+)?|{_LITERAL}| "
)
_PLACE = r"[^\s#;\\(),]+(?:\(0x[0-9a-f]+\))?"
_FETCH = rf"{_FIELD}=[-+@$%A-Za-z0-9_:().,/\[\]]+"
_DEFINITION = re.compile(
    rf"(?:p|r[0-9]*|e):(?:[a-z0-9_]+/)[a-z0-9_]+ {_PLACE}(?: {_FETCH})*(?: if (?P<filter>.*))?"
)
_TRIGGER = re.compile(
    rf"!?hist:keys={_FIELD}(?:,{_FIELD})*(?::vals={_FIELD})?:size=[0-9]+(?::[a-z]+)?"
    r"(?: if (?P<filter>.*))?"
)
_NUMBERS = re.compile(r"[0-9A-Z ]*|mono")
_PATH = re.compile(r"[\w./+-]+", re.ASCII)
_LONGEST = 4095  # bytes of a definition that the kernel reads as one


def check_c(text: str) -> None:
    """C of known tokens, printable ASCII in its comments, brackets closed."""
    at, open_ = 0, []
    while at < len(text):
        token = _C_TOKEN.match(text, at)
        assert token is not None, f"no C at {text[max(0, at - 60) : at + 60]!r}"
        inside = token["comment"] or ""
        assert inside.isascii(), inside
        assert "\\" not in inside, inside
        assert "??" not in inside, inside
        if token[0] in ("(", "{", "["):
            open_.append(token[0])
        elif token[0] in (")", "}", "]"):
            assert open_, f"closed and never opened at {text[at - 60 : at]!r}"
            assert open_.pop() + token[0] in ("()", "{}", "[]")
        at = token.end()
    assert not open_


def check_filter(text: str) -> None:
    """A filter of known tokens with its brackets closed."""
    at = depth = 0
    while at < len(text):
        token = _FILTER_TOKEN.match(text, at)
        assert token is not None, f"no filter at {text[at : at + 40]!r} of {text!r}"
        depth += (token[0] == "(") - (token[0] == ")")
        assert depth >= 0, text
        at = token.end()
    assert depth == 0, text


def check_definition(text: str) -> None:
    """One line that the kernel takes for one definition, and for the one that was meant."""
    match = _DEFINITION.fullmatch(text)
    assert match is not None, f"not a definition: {text!r}"
    assert text.isprintable()
    assert len(text.encode()) <= _LONGEST
    if match["filter"] is not None:
        check_filter(match["filter"])


def check_writes(layout: EventLayout) -> None:
    """Every write of a layout, and the shell text that `explain` shows for it."""
    for write in attach_writes(layout, names_from_run_id("r1"), pids=["PID"], own=["SELF"]):
        assert _PATH.fullmatch(write.path), write.path
        assert ".." not in write.path
        _check_text(write)
        check_listing(write)


def check_listing(write: Write) -> None:
    """A shell reads the listing of a write as that write."""
    (line,) = [list_as_shell([write])]
    words = shlex.split(line)
    if write.action == "mkdir":
        assert words == ["mkdir", write.path]
    else:
        arrow = ">" if write.action == "write" else ">>"
        assert words == ["echo", write.text, arrow, write.path], line


def _check_text(write: Write) -> None:
    if write.action == "define":
        check_definition(write.text)
    elif write.path.endswith("/filter"):
        check_filter(write.text)
    elif write.path.endswith("/trigger"):
        match = _TRIGGER.fullmatch(write.text)
        assert match is not None, f"not a trigger: {write.text!r}"
        check_filter(match["filter"] or "")
    else:
        assert _NUMBERS.fullmatch(write.text), write.text
