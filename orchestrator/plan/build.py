"""Checked document → `Plan`: reads units, params, attach points and expressions."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Any, cast

from orchestrator.plan import units
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression.names import COMM_BYTES
from orchestrator.plan.figures import build_figures
from orchestrator.plan.findings import Position
from orchestrator.plan.model import (
    TASK_LISTS,
    LeftOut,
    Limits,
    LimitSource,
    Metadata,
    OverrideOption,
    Plan,
    PlanOverride,
    Target,
)
from orchestrator.plan.naming.labels import build_labels
from orchestrator.plan.naming.types import build_types
from orchestrator.plan.nearest import suggest_name
from orchestrator.plan.notes.build import build_notes
from orchestrator.plan.params import build_params
from orchestrator.plan.probes import build_probe
from orchestrator.plan.reader import DocumentReader
from orchestrator.plan.spans import build_outstanding, build_spans
from orchestrator.plan.units import UnitError
from orchestrator.values import dataclass

MAX_PID = 1 << 22  # PID_MAX_LIMIT (include/linux/threads.h)
MAX_UID = (1 << 32) - 2  # (uid_t)-1 is no user (include/linux/uidgid.h)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line gave, as text: `--set` (params), `--target`, `--limit`, and by their
    names the options that add to a plan, `by` and `enrich`."""

    settings: Mapping[str, str] = field(default_factory=dict)
    target: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    additions: Mapping[str, str] = field(default_factory=dict)


def build_plan(data: Mapping[str, Any], collector: FindingCollector, overrides: Overrides) -> Plan:
    """The plan that `data` (what the schema left of the document) means; problems go to `sink`."""
    document = collector.document
    params = build_params(data.get("params", {}), overrides.settings, collector)
    reader = DocumentReader(data, params, collector)
    bounds = _override_limits(_read_limits(reader), overrides.limits, collector)
    return Plan(
        metadata=read_metadata(data.get("metadata", {})),
        limits=bounds,
        target=_override_target(_read_target(reader), overrides.target, collector),
        probes=tuple(build_probe(reader, name) for name in data.get("probes", {})),
        spans=build_spans(reader),
        outstanding=build_outstanding(reader),
        notes=build_notes(reader),
        params=params,
        let=reader.expressions(("let",)),
        labels=build_labels(reader),
        types=build_types(reader),
        every_ns=_read_window(reader, bounds),
        derive=build_figures(reader),
        stop_when=reader.expression(("stop_when",), fractions=True),
        file=document.file,
        source=document.source,
        sha256=hashlib.sha256(document.source).hexdigest(),
        limits_from=_limits_from(data, overrides),
        overridden=_list_overrides(overrides),
    )


def read_metadata(data: Mapping[str, Any]) -> Metadata:
    """The head of a document, a plan or a check."""
    return Metadata(
        name=data.get("name", ""),
        summary=data.get("summary", ""),
        description=data.get("description", ""),
        owner=data.get("owner", ""),
        tags=tuple(data.get("tags", ())),
        equivalents=tuple(data.get("equivalents", ())),
        cost=data.get("cost", ""),
        runbook=data.get("runbook", ""),
        requires=data.get("requires", ""),
    )


# ---------------------------------------------------------------- limits


def _parse_duration(text: str) -> int | None:
    return None if text == "unlimited" else units.parse_duration(text, low=1_000_000)


def _parse_memory(text: str) -> int:
    return units.parse_bytes(text, low=64 << 10, high=64 << 30)


def _parse_output(text: str) -> int:
    return units.parse_bytes(text, low=4 << 10, high=1 << 50)


def _parse_probe_count(text: str) -> int:
    return units.parse_count(text, high=10_000)


def _parse_incomplete(text: str) -> str:
    if text not in ("fail", "allow"):
        raise UnitError(f"{text[:40]!r} is neither fail nor allow")
    return text


#: name → (attribute of Limits, how its text is read)
LIMIT_READERS = {
    "duration": ("duration_ns", _parse_duration),
    "events": ("events", units.parse_count),
    "rate": ("rate", units.parse_rate),
    "cpu": ("cpu", units.parse_percent),
    "memory": ("memory", _parse_memory),
    "probes": ("probes", _parse_probe_count),
    "output": ("output", _parse_output),
    "incomplete": ("incomplete", _parse_incomplete),
}
_AT_CAP = ("stop", "mute")


def _read_limits(reader: DocumentReader) -> Limits:
    default = Limits()
    values: dict[str, Any] = {
        attribute: reader.quantity(("limits", key), cast(Any, read), getattr(default, attribute))
        for key, (attribute, read) in LIMIT_READERS.items()
        if key != "rate"
    }
    values["rate"] = reader.rate(("limits", "rate")) or default.rate
    return Limits(at_cap=reader.get(("limits", "at_cap"), default.at_cap), **values)


def _override_limits(
    limits: Limits, given: Mapping[str, str], collector: FindingCollector
) -> Limits:
    changes: dict[str, Any] = {}
    for key, text in given.items():
        place = Position(file=f"--limit {key}")
        known = (*LIMIT_READERS, "at_cap")
        if key not in known:
            hint = suggest_name(key, known, f"limits: {', '.join(known)}")
            collector.add("PP067", f"there is no limit {key!r}", place, hint)
        elif key == "at_cap" and text not in _AT_CAP:
            collector.add("PP067", f"{text!r} is neither stop nor mute", place)
        elif key == "at_cap":
            changes["at_cap"] = text
        else:
            attribute, read = LIMIT_READERS[key]
            try:
                changes[attribute] = read(text)
            except UnitError as error:
                collector.add("PP067", str(error), place, error.hint)
    return replace(limits, **changes)


def _limits_from(data: Mapping[str, Any], overrides: Overrides) -> dict[str, LimitSource]:
    given: dict[str, LimitSource] = dict.fromkeys(data.get("limits", {}), "plan")
    return given | dict.fromkeys(overrides.limits, "command line")


def _list_overrides(overrides: Overrides) -> tuple[PlanOverride, ...]:
    given: tuple[tuple[OverrideOption, Iterable[str]], ...] = (
        ("set", overrides.settings),
        ("limit", overrides.limits),
        ("target", overrides.target),
    )
    added: tuple[OverrideOption, ...] = ("by", "enrich")
    return (
        *(PlanOverride(option=option, name=name) for option, of in given for name in of),
        *(
            PlanOverride(option=option, name=overrides.additions[option])
            for option in added
            if option in overrides.additions
        ),
    )


def _read_window(reader: DocumentReader, limits: Limits) -> int | None:
    every = reader.quantity(("every",), lambda text: units.parse_duration(text, low=10_000_000), 0)
    if every and limits.duration_ns and every > limits.duration_ns:
        hint = "make `every` shorter, or the run longer"
        shown = units.format_duration(limits.duration_ns)
        place = reader.place(("every",))
        reader.collector.add("PP041", f"the window is longer than the run ({shown})", place, hint)
    return every or None


# ---------------------------------------------------------------- target


def _read_target(reader: DocumentReader) -> Target:
    data = reader.get(("target",), {})
    return Target(
        **cast(Any, _read_lists(reader, ("target",))),
        children=data.get("children", False),
        exclude_self=data.get("exclude_self", True),
        left_out=_read_left_out(reader, data.get("not", {})),
        position=reader.collector.document.key_position(("target",)),
    )


def _read_lists(reader: DocumentReader, path: DocumentPath) -> dict[str, tuple[int | str, ...]]:
    return {
        key: _parse_target_list(key, reader.texts((*path, key)), reader.collector)
        for key in TASK_LISTS
    }


def _read_left_out(reader: DocumentReader, data: Mapping[str, Any]) -> LeftOut:
    path = ("target", "not")
    left_out = LeftOut(**cast(Any, _read_lists(reader, path)), children=data.get("children", False))
    if left_out.children and not reader.get((*path, "pid")):
        place = reader.place((*path, "children"))
        hint = "name it: `not: {pid: 1234, children: true}`"
        reader.collector.add("PP060", "children: `not` names no process", place, hint)
    return left_out


def _parse_target_list(
    key: str, texts: list[tuple[str, DocumentPath]], collector: FindingCollector
) -> tuple[int | str, ...]:
    values: list[int | str] = []
    for text, path in texts:
        try:
            values.append(_parse_target(key, text))
        except UnitError as error:
            collector.add(
                "PP060", f"{key}: {error}", collector.document.value_position(path), error.hint
            )
    return tuple(values)


def _parse_target(key: str, text: str) -> int | str:
    if key == "comm":
        return _check_comm(text)
    if key == "cgroup":
        return _check_cgroup(text)
    if key == "exe":
        return _check_program(text)
    if key == "pidns":
        return _check_pid_namespace(text)
    high = MAX_UID if key == "uid" else MAX_PID
    low = 0 if key == "uid" else 1
    if not (text.isascii() and text.isdigit()) or not low <= int(text[:20]) <= high:
        raise UnitError(f"{text[:40]!r} is not a {key}", f"a number from {low} to {high}")
    return int(text)


def _check_comm(text: str) -> str:
    size = len(text.encode(errors="replace"))
    if size > COMM_BYTES:
        hint = f"the kernel keeps {COMM_BYTES} bytes of a name: write e.g. {text[:14]}*"
        raise UnitError(f"{text[:40]!r} has {size} bytes", hint)
    if not text or not text.isprintable() or "*" in text.strip("*") or text.count("*") > 1:
        raise UnitError(
            f"{text!r} is not a task's name",
            "one `*` is allowed at an end: kworker*",
        )
    return text


def _check_cgroup(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or ".." in text.split("/"):
        hint = "a path below the cgroup v2 mount, e.g. /system.slice/nginx.service or /docker/*"
        raise UnitError(f"{text[:60]!r} is not a cgroup", hint)
    return text


def _check_program(text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        hint = "the whole path of a program, e.g. /usr/sbin/sshd"
        raise UnitError(f"{text[:60]!r} is not a program", hint)
    return text


def _check_pid_namespace(text: str) -> str:
    is_number = text.isascii() and text.isdigit() and 0 < int(text[:20]) <= _MAX_NAMESPACE
    if text in ("host", "container") or is_number:
        return str(int(text)) if is_number else text
    hint = "host, container, or the number in /proc/PID/ns/pid"
    raise UnitError(f"{text[:40]!r} is not a PID namespace", hint)


_MAX_NAMESPACE = (1 << 32) - 1  # ns_common.inum, an unsigned int
_FLAGS = {"true": True, "false": False}
_FLAG_KEYS = ("children", "exclude_self")
_NOT_KEYS = (*TASK_LISTS, "children")
_TARGET_KEYS = (*TASK_LISTS, *_FLAG_KEYS, *(f"not.{key}" for key in _NOT_KEYS))


def _override_target(
    target: Target, given: Mapping[str, str], collector: FindingCollector
) -> Target:
    changes: dict[str, Any] = {}
    for key, text in given.items():
        try:
            changes[key] = _parse_override(key, text)
        except UnitError as error:
            collector.add("PP067", str(error), Position(file=f"--target {key}"), error.hint)
    own = {key: value for key, value in changes.items() if not key.startswith("not.")}
    of_others = {key.removeprefix("not."): changes[key] for key in changes.keys() - own.keys()}
    return replace(target, **own, left_out=replace(target.left_out, **of_others))


def _parse_override(key: str, text: str) -> bool | tuple[int | str, ...]:
    if key not in _TARGET_KEYS:
        hint = suggest_name(key, _TARGET_KEYS, f"targets: {', '.join(_TARGET_KEYS)}")
        raise UnitError(f"there is no target {key!r}", hint)
    name = key.removeprefix("not.")
    if name not in _FLAG_KEYS:
        return tuple(_parse_target(name, part) for part in text.split(","))
    if text not in _FLAGS:
        raise UnitError(f"{text[:40]!r} is neither true nor false")
    return _FLAGS[text]
