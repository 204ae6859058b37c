"""Folded stacks: a line for each path of calls and what was counted on it, as flame graph tools
read them: `comm;main;read;vfs_read_[k] 42`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["folded"]

Record = Mapping[str, Any]

#: What adds up, by kind of metric: where the number of a cell is.
_NUMBERS = {"count": "value", "sum": "value", "avg": "sum", "histogram": "count"}
#: SYMBOL+OFFSET or an address, then [MODULE] or (FILE) where that is known.
_FRAME = re.compile(r"(?P<name>.*?)(?:\+0x[0-9a-f]+)?(?: \[[^\]]*\]| \((?P<file>.*)\))?", re.DOTALL)
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def folded(metrics: Iterable[Record]) -> Iterator[str]:
    """The total `metric` records that have stacks in their keys, as lines: the other parts of the
    key, the user's frames from the outermost inwards, then the kernel's. Paths that differ in
    offsets only are one. Metrics are told apart by name where there are several; minima and
    maxima, which do not add up, are left out."""
    found = [(one, stacks) for one in metrics if (stacks := _stacks_of(one))]
    told: dict[str, int] = {}
    for metric, stacks in found:
        name = [f"{metric['probe']}.{metric['metric']}"] if len(found) > 1 else []
        for cell in metric["cells"]:
            path = ";".join(map(_clean, [*name, *_path(cell, stacks)]))
            told[path] = told.get(path, 0) + cell[_NUMBERS[metric["kind"]]]
    return (f"{path} {number}" for path, number in told.items())


def _stacks_of(metric: Record) -> dict[str, bool]:
    """The stacks of a key by name, the user's first, as the kernel was called from there; and
    whether each is the kernel's."""
    if metric["kind"] not in _NUMBERS:
        return {}
    found: dict[str, bool] = {}
    for cell in metric["cells"]:
        for name, value in cell["key"].items():
            if isinstance(value, list):
                found[name] = found.get(name, True) and _of_kernel(name, value)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _of_kernel(name: str, frames: Sequence[str]) -> bool:
    """By its name in the plan, or else by its frames: those of users say which file they are in."""
    last = name.rpartition(".")[2]
    if last in ("ustack", "kstack"):
        return last == "kstack"
    return not any(frame.endswith(")") for frame in frames)


def _path(cell: Record, stacks: Mapping[str, bool]) -> Iterator[str]:
    if cell["other"]:
        yield "(other)"
        return
    yield from (str(value) for name, value in cell["key"].items() if name not in stacks)
    for name, of_kernel in stacks.items():
        yield from _frames(cell["key"][name], "_[k]" if of_kernel else "")


def _frames(names: Sequence[str] | None, mark: str) -> Iterator[str]:
    if names is None:
        yield "[lost]"
        return
    yield from (f"{_name(frame)}{mark}" for frame in reversed(names))


def _name(frame: str) -> str:
    """The function; of an address without one, the file that it is in."""
    match = _FRAME.fullmatch(frame)
    assert match is not None, "every text is a name without the rest"
    if _ADDRESS.fullmatch(match["name"]):
        return f"[{match['file'] or 'unknown'}]"
    return match["name"]


def _clean(frame: str) -> str:
    """Without what would end a frame or a line."""
    return "".join(char if char.isprintable() else " " for char in frame.replace(";", ":"))
