"""Folded stacks: a line for each call path and what was counted on it, as flame graph tools read
them: `comm;main;read;vfs_read_[k] 42`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.output.log import LogRecord
from orchestrator.plan.expression.names import find_stack

__all__ = ["fold_stacks"]

#: By kind of metric that adds up: the field of a cell that holds its number.
_NUMBER_FIELDS = {"count": "value", "sum": "value", "avg": "sum", "histogram": "count"}
#: SYMBOL+OFFSET or an address, then [MODULE] or (FILE) where that is known.
_FRAME = re.compile(r"(?P<name>.*?)(?:\+0x[0-9a-f]+)?(?: \[[^\]]*\]| \((?P<file>.*)\))?", re.DOTALL)
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def fold_stacks(metrics: Iterable[LogRecord]) -> Iterator[str]:
    """Lines for the total `metric.reported` records that have stacks in their keys: the other parts
    of the key, the user's frames from the outermost inwards, then the kernel's. Paths that differ
    only in offsets are merged. Lines begin with the metric's name where there are several; minima
    and maxima, which do not add up, are left out."""
    with_stacks = [(metric, stacks) for metric in metrics if (stacks := _find_stacks(metric))]
    numbers: dict[str, int] = {}
    for metric, stacks in with_stacks:
        name = [f"{metric['probe']}.{metric['metric']}"] if len(with_stacks) > 1 else []
        for cell in metric["cells"]:
            path = ";".join(map(_replace_separators, [*name, *_list_path(cell, stacks)]))
            numbers[path] = numbers.get(path, 0) + cell[_NUMBER_FIELDS[metric["kind"]]]
    return (f"{path} {number}" for path, number in numbers.items())


def _find_stacks(metric: LogRecord) -> dict[str, bool]:
    """The names of the stacks in a metric's key, each with whether it is the kernel's; the user's
    first, since the kernel was called from there."""
    if metric["kind"] not in _NUMBER_FIELDS:
        return {}
    is_kernel: dict[str, bool] = {}
    for cell in metric["cells"]:
        for name, value in cell["key"].items():
            if isinstance(value, list):
                is_kernel[name] = is_kernel.get(name, True) and _is_kernel_stack(name, value)
    return dict(sorted(is_kernel.items(), key=lambda item: item[1]))


def _is_kernel_stack(name: str, frames: Sequence[str]) -> bool:
    """Decided by its name in the plan, or else by its frames: those of user space name their
    file."""
    if stack := find_stack(name):
        return stack == "kstack"
    return not any(frame.endswith(")") for frame in frames)


def _list_path(cell: LogRecord, stacks: Mapping[str, bool]) -> Iterator[str]:
    if cell["other"]:
        yield "(other)"
        return
    yield from (str(value) for name, value in cell["key"].items() if name not in stacks)
    for name, of_kernel in stacks.items():
        yield from _list_frames(cell["key"][name], "_[k]" if of_kernel else "")


def _list_frames(names: Sequence[str] | None, mark: str) -> Iterator[str]:
    if names is None:
        yield "[lost]"
        return
    yield from (f"{_function_name(frame)}{mark}" for frame in reversed(names))


def _function_name(frame: str) -> str:
    """The function; the file for an address without one."""
    match = _FRAME.fullmatch(frame)
    assert match is not None, "every text is a name without the rest"
    if _ADDRESS.fullmatch(match["name"]):
        return f"[{match['file'] or 'unknown'}]"
    return match["name"]


def _replace_separators(frame: str) -> str:
    """The text without characters that would end a frame or a line."""
    return "".join(char if char.isprintable() else " " for char in frame.replace(";", ":"))
