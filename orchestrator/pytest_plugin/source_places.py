"""Where in a test file a mark or a block is written."""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType

from orchestrator.values import dataclass

__all__ = ["SourcePlace", "find_mark", "place_of_caller"]

MARK = "probeplan"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlace:
    """A place in a file; lines and columns count from 1, 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def to_message(self) -> dict[str, str | int]:
        """As plan.findings.Position has it."""
        return {"file": self.file, "line": self.line, "column": self.column}


def place_of_caller(frame: FrameType | None) -> SourcePlace:
    """The line that a frame is at."""
    if frame is None:
        return SourcePlace(file="<tests>")
    return SourcePlace(file=frame.f_code.co_filename, line=frame.f_lineno, column=1)


def find_mark(file: str, line: int, text: str) -> SourcePlace:
    """Where `text` is in a mark of the test that begins in `line` of a file (with its first
    decorator), or in one of its class or module. The test itself where it cannot be found."""
    calls = [call for call in _list_marks(file) if _constant_of(call, text) is not None]
    below = [call for call in calls if call.lineno >= line]
    above = [call for call in calls if call.lineno < line]
    ordered = below if below and _is_of_test(file, line, below[0]) else [*reversed(above), *below]
    for call in ordered:
        constant = _constant_of(call, text)
        if constant is not None:
            return SourcePlace(file=file, line=constant.lineno, column=constant.col_offset + 2)
    return SourcePlace(file=file, line=line, column=1)


def _is_of_test(file: str, line: int, call: ast.Call) -> bool:
    """Whether a call is among the decorators of the function whose first decorator is at `line`."""
    tree = _read_tree(file, _stamp_of(file))
    return any(
        decorated.decorator_list[0].lineno == line and call in decorated.decorator_list
        for decorated in ast.walk(tree)
        if isinstance(decorated, ast.FunctionDef | ast.AsyncFunctionDef)
        and decorated.decorator_list
    )


def _list_marks(file: str) -> list[ast.Call]:
    tree = _read_tree(file, _stamp_of(file))
    return sorted(_calls_of_mark(tree), key=lambda call: call.lineno)


def _calls_of_mark(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name == MARK:
                yield node


def _constant_of(call: ast.Call, text: str) -> ast.Constant | None:
    constants = (argument for argument in call.args if isinstance(argument, ast.Constant))
    return next((constant for constant in constants if constant.value == text), None)


def _stamp_of(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=16)
def _read_tree(file: str, _stamp: int) -> ast.Module:
    """The file as it is now; empty where it cannot be read."""
    try:
        return ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])
