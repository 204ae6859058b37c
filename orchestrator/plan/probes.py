"""Probes, their attach items and metrics, from a checked document."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from orchestrator.cells.buckets import Buckets
from orchestrator.plan import units
from orchestrator.plan.attach import TargetError, parse_attach_point
from orchestrator.plan.attach_kinds import (
    ATTACH_KINDS,
    ITERATORS_OF_TASKS,
    KINDS,
    AttachKind,
)
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Boolean, Expr
from orchestrator.plan.findings import Position
from orchestrator.plan.model import (
    METRIC_KINDS,
    AttachItem,
    Metric,
    MetricKind,
    Once,
    Probe,
    Redact,
)
from orchestrator.plan.naming.keys import computed_labels, read_key
from orchestrator.plan.nearest import suggest_name
from orchestrator.plan.params import Unset
from orchestrator.plan.reader import DocumentReader
from orchestrator.plan.units import UnitError

MAX_KEYS = 1_000_000
HISTOGRAM_KEYS = 256
MAX_BUCKETS = 10_000
MAX_STRING = 4096  # the longest that str() reads, its closing NUL included

Mode = Literal["one", "first", "all"]
_MODES: Mapping[str, Mode] = {"attach": "one", "attach_first": "first", "attach_all": "all"}


def build_probe(reader: DocumentReader, name: str) -> Probe:
    """The probe `name` of the plan."""
    path: DocumentPath = ("probes", name)
    data = reader.get(path)
    mode, items = _read_items(reader, path)
    probe = Probe(
        name=name,
        mode=mode,
        items=items,
        args=data.get("args", {}),
        returns=data.get("returns", ""),
        task=_read_task(reader, (*path, "task")) if "task" in data else _task_of_all(items),
        let=reader.expressions((*path, "let")),
        where=read_condition(reader, (*path, "where")),
        sample=_read_sample(reader, (*path, "sample")),
        events=reader.quantity((*path, "events"), units.parse_count, None),
        rate=reader.rate((*path, "rate")),
        once=_read_once(reader, (*path, "once")),
        optional=data.get("optional", False),
        unsafe_return=data.get("unsafe_return", False),
        redact=reader.quantity((*path, "redact"), parse_redact, None),
        emit=read_emit(reader, (*path, "emit")),
        metrics=read_metrics(reader, path),
        position=reader.collector.document.key_position(path),
    )
    _check_use(reader, path, data)
    return probe


def _read_once(reader: DocumentReader, path: DocumentPath) -> Once | None:
    if reader.get(path) is None:
        return None
    key = read_key(reader, (*path, "by"))
    if not key:
        return None  # reported where it was read, by the schema, or a param that is `none`
    return Once(
        by=tuple(key),
        computed=computed_labels(key),
        per_ns=reader.quantity((*path, "per"), units.parse_duration, None),
        keys=reader.quantity((*path, "keys"), units.parse_count, 1000),
        position=reader.collector.document.key_position(path),
    )


def _check_use(reader: DocumentReader, path: DocumentPath, data: Mapping[str, Any]) -> None:
    if "emit" in data or data.get("metrics") or reader.collector.has_refused(path):
        return
    if path[-1] not in find_used_probes(reader):
        hint = "add `emit: {}` for records, `metrics:`, or a span or a note that uses it"
        place = reader.collector.document.key_position(path)
        reader.collector.add("PP053", f"the probe {path[-1]!r} does nothing", place, hint)


#: By head of the document, the keys that name probes there.
ROLES: Mapping[str, tuple[str, ...]] = {
    "spans": ("start", "end", "via", "cancel"),
    "outstanding": ("open", "close"),
    "notes": ("set", "drop"),
}


def find_used_probes(reader: DocumentReader) -> set[str]:
    """The probes that spans, outstanding resources and notes use."""
    used: set[str] = set()
    for head, keys in ROLES.items():
        for name, body in reader.get((head,), {}).items():
            for key in keys:
                used.update(reader.names((head, name, key)))
            for added in body.get("add", {}):
                used.update(reader.names((head, name, "add", added, "from")))
    return used


# ---------------------------------------------------------------- attach points


def _read_items(reader: DocumentReader, path: DocumentPath) -> tuple[Mode, tuple[AttachItem, ...]]:
    data = reader.get(path)
    keys = [key for key in _MODES if key in data]
    if len(keys) != 1 and not any(reader.collector.has_refused((*path, key)) for key in _MODES):
        what = f"{' and '.join(keys)} together" if keys else "the probe attaches nowhere"
        place = reader.collector.document.key_position((*path, keys[1]) if keys else path)
        hint = "write exactly one of attach, attach_first, attach_all"
        reader.collector.add("PP050", what, place, hint)
    if not keys:
        return "one", ()
    key = keys[0]
    count = len(data[key]) if key != "attach" else 0
    paths: list[DocumentPath] = [(*path, key, index) for index in range(count)] or [(*path, key)]
    has_task = "task" in data
    items = [
        _read_item(reader, at, names_task=has_task) for at in paths if key == "attach" or count
    ]
    return _MODES[key], tuple(item for item in items if item is not None)


def _read_item(
    reader: DocumentReader, path: DocumentPath, *, names_task: bool
) -> AttachItem | None:
    """`names_task`: the probe says which task its events belong to."""
    raw = reader.get(path)
    data = raw if isinstance(raw, dict) else {}
    to: DocumentPath = (*path, "to") if isinstance(raw, dict) else path
    text = reader.get(to)
    if text is None:
        return None
    point = _read_attach_point(reader, to)
    if point is None:
        return None
    filled, kind, target, deferred = point
    return AttachItem(
        text=filled,
        kind=kind,
        target=target,
        tag=data.get("as", ""),
        optional=data.get("optional", False),
        let=reader.expressions((*path, "let")) if data else {},
        args=data.get("args", {}),
        returns=data.get("returns", ""),
        task=(
            _read_task(reader, (*path, "task"))
            if names_task or "task" in data
            else _task_of_point(kind, target, reader.place(to))
        ),
        deferred=deferred,
        position=reader.place(to),
    )


def _read_attach_point(
    reader: DocumentReader, path: DocumentPath
) -> tuple[str, AttachKind, str, str] | None:
    """Text, kind, target and the param without a value; None when refused (reported)."""
    text = str(reader.get(path))
    try:
        filled = reader.filled_text(path)
    except Unset as unset:
        head = text.partition(":")[0]
        known = next((kind for kind in ATTACH_KINDS if kind == head), None)
        if known is None and "$(" not in head:
            hint = suggest_name(head, ATTACH_KINDS, f"kinds: {', '.join(ATTACH_KINDS)}")
            reader.collector.add("PP051", f"no attach kind {head[:40]!r}", reader.place(path), hint)
            return None
        return text, known or "function", "", str(unset.args[0])
    if filled is None:
        return None
    try:
        kind, target = parse_attach_point(filled)
    except TargetError as error:
        place = reader.place(path)
        place = place.shifted(error.offset) if filled == text else place
        reader.collector.add(error.code, str(error), place, error.hint)
        return None
    return filled, kind, target, ""


# ---------------------------------------------------------------- parts of a probe


def _read_task(reader: DocumentReader, path: DocumentPath) -> Expr | Literal["none"] | None:
    raw = reader.get(path)
    if raw in (None, "current"):
        return None
    return "none" if raw == "none" else reader.expression(path)


def _task_of_point(
    kind: AttachKind, target: str, position: Position
) -> Expr | Literal["none"] | None:
    """Whose events are those of an attach point of which the plan does not say it."""
    if kind == "iter" and target in ITERATORS_OF_TASKS:
        return parse("args.task", position)
    return None if KINDS[kind].has_task else "none"


def _task_of_all(items: Sequence[AttachItem]) -> Literal["none"] | None:
    """The same of a probe, where all of its attach points agree."""
    return "none" if items and all(item.task == "none" for item in items) else None


def read_condition(reader: DocumentReader, path: DocumentPath) -> Expr | None:
    """The condition at `path`; None where every event is kept."""
    expr = reader.expression(path)
    return None if expr and isinstance(expr.root, Boolean) and expr.root.value else expr


def _read_sample(reader: DocumentReader, path: DocumentPath) -> int:
    raw = reader.get(path, "1/1")
    if not raw.startswith("params."):
        return reader.quantity(path, units.parse_ratio, 1)
    name = raw.removeprefix("params.")
    param = reader.params.get(name)
    if param is None or param.type != "ratio":
        if not reader.collector.has_refused(("params", name)):
            what = f"{raw!r} is of type {param.type}" if param else f"there is no param {name!r}"
            ratios = [key for key, value in reader.params.items() if value.type == "ratio"]
            hint = suggest_name(name, ratios, "define it under `params` with `type: ratio`")
            reader.collector.add("PP065", what, reader.place(path), hint)
        return 1
    return param.value if isinstance(param.value, int) else 1


def parse_redact(text: str) -> Redact:
    """`hash` or `truncate(16)`, which the schema has checked. Raises UnitError."""
    if text == "hash":
        return Redact(kind="hash")
    size = int(text.removeprefix("truncate(").removesuffix(")"))
    if not 1 <= size < MAX_STRING:
        hint = f"from truncate(1) to truncate({MAX_STRING - 1}), or hash"
        raise UnitError(f"{text!r} is out of range", hint, absurd=True)
    return Redact(kind="truncate", size=size)


def read_emit(reader: DocumentReader, path: DocumentPath) -> dict[str, Expr] | None:
    """The fields of a record by name; None where there are no records."""
    raw = reader.get(path)
    if raw is None:
        return None
    if isinstance(raw, dict):
        return reader.expressions(path)
    parsed = {name.split(".")[-1]: reader.expression((*path, i)) for i, name in enumerate(raw)}
    if len(parsed) < len(raw):
        hint = "name the fields: `emit: {a: args.x, b: retval}`"
        reader.collector.add(
            "PP057", "two fields would have the same name", reader.place(path), hint
        )
    return {name: expr for name, expr in parsed.items() if expr is not None}


# ---------------------------------------------------------------- metrics


def read_metrics(reader: DocumentReader, path: DocumentPath) -> tuple[Metric, ...]:
    """The metrics of the probe or span at `path`."""
    heads = [(*path, "metrics", name) for name in reader.get((*path, "metrics"), {})]
    return tuple(_read_metric(reader, head) for head in heads)


def _read_metric(reader: DocumentReader, path: DocumentPath) -> Metric:
    data = reader.get(path)
    kinds: list[MetricKind] = [kind for kind in METRIC_KINDS if kind in data]
    place = reader.collector.document.key_position(path)
    if len(kinds) != 1 and not reader.collector.has_refused(path):
        what = " and ".join(kinds) if kinds else "no aggregate"
        hint = f"write exactly one of {', '.join(METRIC_KINDS)}; make a second metric for another"
        reader.collector.add("PP054", f"the metric {path[-1]!r} has {what}", place, hint)
    kind: MetricKind = kinds[0] if kinds else "count"
    key = read_key(reader, (*path, "by"))
    default_keys = HISTOGRAM_KEYS if kind == "histogram" else 10_000
    return Metric(
        name=str(path[-1]),
        kind=kind,
        value=_read_metric_value(reader, (*path, kind)),
        by=tuple(key),
        computed=computed_labels(key),
        where=read_condition(reader, (*path, "where")),
        keys=reader.quantity((*path, "keys"), _parse_keys, default_keys),
        buckets=_read_buckets(reader, path, kind),
        top=data.get("top"),
        unit=data.get("unit", ""),
        warn=reader.expression((*path, "warn"), fractions=True),
        position=place,
    )


def _parse_keys(text: str) -> int:
    return units.parse_count(text, high=MAX_KEYS)


def _read_metric_value(reader: DocumentReader, path: DocumentPath) -> Expr | None:
    expr = reader.expression(path)
    if expr and path[-1] == "count" and isinstance(expr.root, Boolean) and expr.root.value:
        return None
    if expr and path[-1] != "count" and isinstance(expr.root, Boolean):
        hint = f"give it a value, e.g. `{path[-1]}: retval`; `count: true` counts events"
        reader.collector.add("PP054", f"{path[-1]} of true or false", reader.place(path), hint)
    return expr


def _read_buckets(reader: DocumentReader, path: DocumentPath, kind: MetricKind) -> Buckets:
    at: DocumentPath = (*path, "buckets")
    text = reader.get(at)
    if text is None:
        return Buckets()
    if kind != "histogram":
        place = reader.collector.document.key_position(at)
        reader.collector.add("PP056", f"{kind} has no buckets", place, "use `histogram`")
    if not text.startswith("linear"):
        return Buckets()
    return reader.read_quantity_text(text, at, _parse_linear, Buckets())


def _parse_linear(text: str) -> Buckets:
    low, high, step = map(_parse_edge, text.removeprefix("linear(").removesuffix(")").split(","))
    if low >= high or step < 1 or step > high - low:
        hint = "LOW is below HIGH, and STEP above 0 and at most HIGH - LOW"
        raise UnitError(f"{text!r} has no buckets", hint, absurd=True)
    if (high - low) // step > MAX_BUCKETS:
        hint = f"at most {MAX_BUCKETS}: take a larger step"
        raise UnitError(f"{text!r} has {(high - low) // step} buckets", hint, absurd=True)
    return Buckets(kind="linear", low=low, high=high, step=step)


def _parse_edge(text: str) -> int:
    text = text.strip()
    if text.isascii() and text.lstrip("-").isdigit() and len(text) < 19:
        return int(text)
    try:
        return units.parse_duration(text, low=0)
    except UnitError as error:
        if error.absurd:
            raise
        return units.parse_bytes(text, low=0)
