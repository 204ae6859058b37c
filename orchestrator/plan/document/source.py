"""Files and standard input → the text of a plan, bounded and clean."""

import errno
import re
import sys
from functools import cache
from pathlib import Path

from orchestrator.plan.findings import Finding, PlanError, Position, plan_error

MAX_BYTES = 1 << 20
XZ_MAGIC = b"\xfd7zXZ\0"  # no text in UTF-8 begins so


@cache
def _refused_characters() -> re.Pattern[str]:
    """A carriage return is part of a line's end only before a line feed; alone it ends a line for
    YAML and for no reviewer. Compiled when a text is first decoded, which not every run does."""
    from orchestrator.plan.document.hidden_characters import HIDDEN

    return re.compile(rf"\r(?!\n)|(?!\r){HIDDEN.pattern}")


def read_source(path: str | Path, most: int = MAX_BYTES) -> tuple[bytes, str]:
    """The bytes of a plan file (`-`: standard input) and the name to report it by. Of a file that
    has more than `most` bytes, `most` and one are read.

    Raises PlanError PP001 (cannot be read) or PP002 (too large; it is not read to the end).
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    try:
        if name == "<stdin>":
            source = _read_standard_input(most)
        else:
            with Path(path).open("rb") as file:
                source = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise PlanError([_unreadable_finding(name, error)]) from None
    return source, name


def _read_standard_input(most: int) -> bytes:
    if sys.stdin is None:  # Python's sign that descriptor 0 was closed
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer.read(most + 1)


def _unreadable_finding(name: str, error: OSError | ValueError) -> Finding:
    reason = (error.strerror if isinstance(error, OSError) else str(error)) or str(error)
    hints: dict[type[Exception], str] = {
        IsADirectoryError: "name a plan file in it; `probeplan lint` takes directories",
        FileNotFoundError: "check the path",
        PermissionError: "check the file's permissions, or run as its owner",
    }
    return Finding(
        code="PP001",
        message=f"cannot read {name!r}: {reason}",
        position=Position(file=name),
        hint=hints.get(type(error), ""),
    )


def decode_source(source: bytes, file: str) -> str:
    """The text of a plan; raises PlanError PP002 (too large) or PP003 (not clean UTF-8)."""
    whole = Position(file=file)
    if len(source) > MAX_BYTES:
        raise plan_error(
            "PP002",
            f"the file is larger than {MAX_BYTES >> 20} MiB",
            whole,
            "a plan is a page or two of YAML; is this the right file?",
        )
    if source.startswith(XZ_MAGIC):
        message = "the file is packed by xz, as bundles and recorded kernels are, and no plan"
        hint = "`run`, `explain`, `lint` and `doctor` take bundles"
        raise plan_error("PP003", message, whole, hint)
    if source.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        hint = "save it as UTF-8 without a byte order mark"
        raise plan_error("PP003", "the file starts with a byte order mark", whole, hint)
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = source[error.start]
        place = _position_after(source[: error.start].decode("utf-8"), file)
        hint = "save the file as UTF-8"
        raise plan_error("PP003", f"byte 0x{bad:02x} is not valid UTF-8", place, hint) from None
    if match := _refused_characters().search(text):
        from orchestrator.plan.document.hidden_characters import describe_character

        place = _position_after(text[: match.start()], file)
        shown = describe_character(match[0])
        raise plan_error("PP003", f"the {shown} is not allowed", place, "remove it")
    return text


def _position_after(before: str, file: str) -> Position:
    lines = before.split("\n")
    return Position(file=file, line=len(lines), column=len(lines[-1]) + 1)
