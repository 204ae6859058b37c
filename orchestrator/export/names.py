"""Names of families and labels, as Prometheus's guidelines and node_exporter have them: snake case,
base units, the prefix `probeplan_`."""

import re
from collections.abc import Mapping
from itertools import chain, count
from typing import Any, NamedTuple

from orchestrator.export.snapshot import SeriesLabels

__all__ = ["OTHER", "PREFIX", "FamilyName", "check_name", "check_plan_name", "join_labels"]
__all__ += ["label_keys", "name_family"]

PREFIX = "probeplan_"
#: The label of the cell for everything that has no other.
OTHER = ("other", "true")

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")
_PLAN_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,251}")
#: Label names that have a meaning already, ours or that of Prometheus.
_RESERVED = frozenset(
    ("plan", "probe", "other", "le", "quantile", "job", "instance", "exported_job")
)
#: Base units by those of the log, with how many of the log's are one.
_UNITS: Mapping[str, tuple[str, int]] = {"ns": ("seconds", 10**9), "bytes": ("bytes", 1)}
#: What a name may end with that its family's unit says, too.
_REPEATED: Mapping[str, tuple[str, ...]] = {
    "seconds": ("seconds", "ns", "us", "ms"),
    "bytes": ("bytes",),
}
_MOST_LABEL_CHARACTERS = 1024
_MOST_KEY_CHARACTERS = 128
_CUT = "…"


class FamilyName(NamedTuple):
    """`name` ends with `unit`, if it has one; values are in the log's unit, of which `per_unit` are
    one."""

    name: str
    unit: str
    per_unit: int


def check_name(text: Any) -> str:
    """A name of a probe, a metric or a key, as plans have them. Raises ValueError."""
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"{text!r:.60} is no name")
    return text


def check_plan_name(text: Any) -> str:
    """The name of a plan. Raises ValueError."""
    if not isinstance(text, str) or not _PLAN_NAME.fullmatch(text):
        raise ValueError(f"{text!r:.60} is no name of a plan")
    return text


def name_family(
    metric: str, unit: str = "", *, part: str = "", has_unit: bool = True
) -> FamilyName:
    """The family of a plan's metric. `unit`: as in the log; `part`: what of it the family has, e.g.
    `min`; `has_unit`: whether that has the unit, and is no count. The unit is not repeated: `bytes`
    in bytes is `probeplan_bytes`, `wait_ns` in ns is `probeplan_wait_seconds`."""
    base, per_unit = _UNITS.get(unit, ("", 1))
    words = [word for word in metric.lower().split("_") if word]
    if words and words[-1] in (*_REPEATED.get(base, ()), "total"):
        words.pop()
    if not has_unit:
        base, per_unit = "", 1
    name = "_".join((*words, *filter(None, (part, base))))
    return FamilyName(PREFIX + (name or "value"), base, per_unit)


def label_keys(key: Mapping[str, Any]) -> SeriesLabels:
    """A cell's key as labels, of which no two have one name. Raises ValueError for what is no
    key."""
    labels: dict[str, str] = {}
    for text, value in key.items():
        labels[_find_free_name(_label_name(text), labels)] = _label_value(value)
    return tuple(labels.items())


def _find_free_name(name: str, taken: Mapping[str, str]) -> str:
    """`name`, with a number where another label has it: of `a // 2` and `a % 2`."""
    numbered = (f"{name}_{number}" for number in count(2))
    return next(free for free in chain((name,), numbered) if free not in taken)


def join_labels(*parts: SeriesLabels) -> SeriesLabels:
    """All labels, sorted by name."""
    return tuple(sorted(label for part in parts for label in part))


def _label_name(text: Any) -> str:
    """The name of a label for a key that may be written as an expression: `args.count // 4096` is
    `args_count_4096`."""
    if not isinstance(text, str) or len(text) > _MOST_KEY_CHARACTERS:
        raise ValueError(f"{text!r:.60} is no name of a key")
    name = check_name(text if _NAME.fullmatch(text) else _name_from_expression(text))
    return f"key_{name}" if name in _RESERVED or name.startswith(("__", "key_")) else name


def _name_from_expression(text: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_]+", "_", text).strip("_")
    return f"_{name}" if name[:1].isdigit() else name or "expression"


def _label_value(value: Any) -> str:
    """As the log shows it; a stack's frames from the innermost outwards, between semicolons. No
    value is `null`."""
    match value:
        case str():
            text = value
        case bool() | None:
            text = {True: "true", False: "false", None: "null"}[value]
        case int() | float():
            text = str(value)
        case list():
            text = ";".join(map(str, value))
        case _:
            raise ValueError(f"{value!r:.60} is no value of a key")
    return (
        text if len(text) <= _MOST_LABEL_CHARACTERS else text[: _MOST_LABEL_CHARACTERS - 1] + _CUT
    )
