"""One result of one host: what it says about its run, and what of it can be added.

It is all read before any of it is added, so that a file which turns out to be damaged adds nothing.
Results without a `format`, of earlier versions, are read too: what they do not say is unknown.
"""

import json
import marshal
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from orchestrator.accounting.count import UNKNOWN
from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES, list_mechanisms
from orchestrator.fleet.histograms import find_layout, find_percentiles, name_old_layout
from orchestrator.fleet.reading import UnreadFile, expect_whole
from orchestrator.fleet.sums import (
    KINDS,
    CellIdentity,
    CellNumbers,
    CellSum,
    MetricName,
    find_reader,
    identify_cell,
)
from orchestrator.values import dataclass

__all__ = ["GroupName", "HostResult", "HostRun", "MetricPart", "PartCell", "check_metric_name"]
__all__ += ["check_run", "check_settings", "check_text", "check_whole", "parse_result"]

_FORMAT = "probeplan-result/1"
_FORMATS = "probeplan-result/"
_DIGEST = re.compile(r"sha256:[0-9a-f]{16}")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
REDACTED = "redacted"


class GroupName(NamedTuple):
    """Whose counts can be added: runs of one plan text with the same settings. `settings`: as JSON
    with sorted names; "null" where a result of an earlier version does not say."""

    plan: str
    sha256: str
    settings: str


class HostRun(NamedTuple):
    """One run of one host, as it is listed: a tuple, which passes between processes quickly.
    `complete`: True, False, or "unknown"; `because`: why
    it is not complete, or why it was not made; `start`: RFC 3339, None if it was never armed."""

    run_id: str
    group: GroupName
    host: str
    host_id: str
    boot_id: str
    kernel: str
    kernel_build_id: str | None
    arch: str
    cpus: int | None
    version: str
    backend: str | None
    label: str | None
    outcome: str
    exit_code: int
    complete: bool | str
    because: tuple[str, ...]
    start: str | None
    duration_ns: int
    synchronised: bool | str
    error_ns: int | str
    clock_steps: int

    @property
    def was_made(self) -> bool:
        """Whether the plan ran at all."""
        return self.outcome not in UNMADE_OUTCOMES

    @property
    def start_ns(self) -> int | None:
        """When it was armed, in ns since 1970."""
        if self.start is None:
            return None
        seconds = datetime.fromisoformat(f"{self.start[:19]}+00:00").timestamp()
        return int(seconds) * 10**9 + int(self.start[20:29])

    @property
    def identity(self) -> str:
        """The host: its id, or its name where it has none."""
        return f"name:{self.host}" if self.host_id == UNKNOWN else self.host_id


class PartCell(NamedTuple):
    """A cell of one result."""

    identity: CellIdentity
    numbers: CellNumbers


class MetricPart(NamedTuple):
    """What one result adds to a metric. `cut`: how many cells its file left out; `mechanisms`: how
    its probe is attached; `whole`: all cells as one; `p50` and `p99` are of that, None where there
    are too few events for them or it is no histogram."""

    identity: MetricName
    estimated: bool
    cut: int
    mechanisms: str
    cells: list[PartCell]
    whole: CellNumbers
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResult:
    """A result that can be added."""

    run: HostRun
    metrics: list[MetricPart]


#: Fewer events say nothing about a percentile of one host.
EVENTS_FOR_P50, EVENTS_FOR_P99 = 100, 1000


def parse_result(document: dict[str, Any]) -> HostResult:
    """What a file holds. Raises UnreadFile for what is no result, or not a whole one."""
    form = document.get("format")
    if form is not None and form != _FORMAT:
        later = isinstance(form, str) and form.startswith(_FORMATS)
        raise UnreadFile("newer" if later else "foreign", f"its format is {form!r:.60}")
    if not isinstance(document.get("run"), dict) or not isinstance(document.get("metrics"), list):
        raise UnreadFile("foreign", "it has no `run` and `metrics`: it is no result of probeplan")
    with expect_whole("result"):
        run = _parse_run(document, document["run"])
        if not run.was_made:
            return HostResult(run=run, metrics=[])
        # Results of earlier versions have them in the ledger only.
        mechanisms = document.get("mechanisms") or list_mechanisms(document["run"]["ledger"])
        metrics = [_parse_metric(record, mechanisms) for record in document["metrics"]]
        return HostResult(run=run, metrics=metrics)


# ---------------------------------------------------------------- the run


def _parse_run(document: dict[str, Any], run: dict[str, Any]) -> HostRun:
    made = run["outcome"] not in UNMADE_OUTCOMES
    clock = document.get("clock") or {}
    fields = {
        "run_id": run["run_id"],
        "host": run["host"],
        "host_id": document.get("host_id", UNKNOWN),
        "boot_id": document.get("boot_id", UNKNOWN),
        "kernel": run["kernel"],
        "kernel_build_id": document.get("kernel_build_id"),
        "arch": document.get("arch", UNKNOWN),
        "cpus": document.get("cpus"),
        "version": document.get("version", UNKNOWN),
        "backend": document.get("backend"),
        "label": document.get("label"),
        "outcome": run["outcome"],
        "exit_code": run["exit_code"],
        "complete": run["complete"] if made else UNKNOWN,
        "because": run["incomplete_because"] if made else [run["reason"]],
        "start": run["armed_at"] if made else None,
        "duration_ns": run["duration_ns"] if made else 0,
        "synchronised": clock.get("synchronised", UNKNOWN),
        "error_ns": clock.get("error_ns", UNKNOWN),
        "clock_steps": clock.get("steps", 0),
    }
    group = GroupName(
        _shared(run["plan"]), _shared(run["plan_sha256"]), check_settings(document.get("settings"))
    )
    return check_run(fields, group)


def check_run(fields: Mapping[str, Any], group: GroupName) -> HostRun:
    """The run with these fields, as a merge has them. Raises KeyError, TypeError or ValueError."""
    complete, start = fields["complete"], fields["start"]
    if type(complete) is not bool and complete != UNKNOWN:
        raise ValueError(f"`complete` is {complete!r:.40}")
    if start is not None and not _STAMP.fullmatch(start):
        raise ValueError(f"`armed_at` is {start!r:.40}")
    if start is not None:
        datetime.fromisoformat(start[:19])
    cpus = fields["cpus"]
    return HostRun(
        run_id=check_text(fields["run_id"]),
        group=group,
        host=check_text(fields["host"]),
        host_id=check_text(fields["host_id"]),
        boot_id=check_text(fields["boot_id"]),
        kernel=_shared(fields["kernel"]),
        kernel_build_id=_optional(fields["kernel_build_id"]),
        arch=_shared(fields["arch"]),
        cpus=None if cpus is None else max(1, check_whole(cpus)),
        version=_shared(fields["version"]),
        backend=_optional(fields["backend"]),
        label=_optional(fields["label"]),
        outcome=_shared(fields["outcome"]),
        exit_code=check_whole(fields["exit_code"]),
        complete=complete,
        because=tuple(map(_shared, fields["because"])),
        start=start,
        duration_ns=check_whole(fields["duration_ns"]),
        synchronised=_known(fields["synchronised"], bool),
        error_ns=_known(fields["error_ns"], int),
        clock_steps=check_whole(fields["clock_steps"]),
    )


_canonical_settings: dict[bytes, str] = {}
_MOST_SETTINGS = 1000


def check_settings(settings: Any) -> str:
    """The settings as JSON with sorted names; raises ValueError, TypeError or KeyError. Many
    results have the same: a cache saves most of the work."""
    written = marshal.dumps(settings, 2)
    known = _canonical_settings.get(written)
    if known is None:
        if settings is not None:
            _check_shape(_object(settings, "settings"))
        if len(_canonical_settings) >= _MOST_SETTINGS:  # every host has others
            _canonical_settings.clear()
        known = json.dumps(settings, sort_keys=True, ensure_ascii=False)
        _canonical_settings[written] = known
    return known


def _check_shape(settings: dict[str, Any]) -> None:
    """Raises ValueError, TypeError or KeyError."""
    command, every_ns = settings["command"], settings["every_ns"]
    for word in () if command is None else command:
        check_text(word)
    if every_ns is not None:
        check_whole(every_ns)
    for name in ("params", "target", "limits"):
        _object(settings[name], name)
    for name, limit in settings["limits"].items():
        if not isinstance(_object(limit, name)["value"], (int, float, str)):
            raise TypeError(f"the limit {name!r:.40} is {limit!r:.40}")
        check_whole(limit.get("per_ns", 1))


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"`{name:.40}` is no object")
    return value


def check_text(value: Any) -> str:
    """The value, if it is a text; raises ValueError."""
    if type(value) is not str or len(value) > 4096:
        raise ValueError(f"{value!r:.40} is no text of a line")
    return value


def _shared(value: Any) -> str:
    """A text that many results have: kept once."""
    return intern(check_text(value))


def _optional(value: Any) -> str | None:
    return None if value is None else _shared(value)


def check_whole(value: Any) -> int:
    """The value, if it is a whole number of 64 bits; raises ValueError."""
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(f"{value!r:.40} is no whole number")
    return value


def _known(value: Any, kind: type) -> Any:
    return value if type(value) is kind else UNKNOWN


# ---------------------------------------------------------------- metrics


def _parse_metric(record: dict[str, Any], mechanisms: Mapping[str, list[str]]) -> MetricPart:
    kind, cells = record["kind"], record["cells"]
    layout = record.get("layout") or ""
    if kind == "histogram" and not layout:
        layout = name_old_layout(cells[0]) if cells else "log(16)"
    identity = check_metric_name(
        record["probe"], record["metric"], kind, record["unit"], record.get("display_unit", ""),
        layout,
    )  # fmt: skip
    parts = _parse_cells(cells, identity, record.get("hashed"))
    whole = parts[0].numbers if len(parts) == 1 else _add_up(parts)
    return MetricPart(
        identity,
        record["estimated"] is True if "estimated" in record else record.get("sample", 1) != 1,
        check_whole(record["cells_omitted"]),
        _name_mechanisms(mechanisms, identity.probe),
        parts,
        whole,
        *_find_percentiles(whole, identity),
    )


@lru_cache(maxsize=1000)
def check_metric_name(*names: str) -> MetricName:
    """The name of a metric that can be added; raises ValueError. All results of a plan have the
    same few."""
    identity = MetricName(*map(_shared, names))
    if identity.kind != "histogram" and identity.kind not in KINDS:
        raise ValueError(f"a metric is of the kind {identity.kind!r:.40}")
    if identity.kind == "histogram" and find_layout(identity.layout) is None:
        raise ValueError(f"its buckets are {identity.layout!r:.60}, which is not known")
    return identity


def _name_mechanisms(mechanisms: Mapping[str, list[str]], owner: str) -> str:
    """How a probe is attached; a span by all mechanisms of its plan."""
    own = mechanisms.get(owner)
    if own is None:
        own = sorted({name for names in mechanisms.values() for name in names})
    return _shared(", ".join(own) or UNKNOWN)


def _parse_cells(
    cells: Sequence[dict[str, Any]], identity: MetricName, hashed: list[str] | None
) -> list[PartCell]:
    read = find_reader(identity)
    if hashed == []:
        return [
            PartCell(identify_cell(cell["key"], cell["other"] is True), read(cell))
            for cell in cells
        ]
    parts: list[PartCell] = []
    redacted: dict[CellIdentity, CellSum] = {}
    for cell in cells:
        key = cell["key"]
        if names := _find_hashed(key, hashed):
            shown = {name: REDACTED if name in names else value for name, value in key.items()}
            name = identify_cell(shown, redacted=True)
            redacted.setdefault(name, CellSum()).add(read(cell))
        else:
            parts.append(PartCell(identify_cell(key, cell["other"] is True), read(cell)))
    return parts + [PartCell(name, total.numbers) for name, total in redacted.items()]


def _find_hashed(key: dict[str, Any], hashed: list[str] | None) -> list[str]:
    """The names whose values are digests. Results of earlier versions do not say: there they are
    known by their form."""
    if hashed is not None:
        return [name for name in hashed if name in key]
    return [
        name
        for name, value in key.items()
        if type(value) is str and len(value) == 23 and _DIGEST.fullmatch(value)
    ]


def _add_up(parts: Sequence[PartCell]) -> CellNumbers:
    """All cells as one."""
    whole = CellSum()
    for _, numbers in parts:
        whole.add(numbers)
    return whole.numbers


def _find_percentiles(
    whole: CellNumbers, identity: MetricName
) -> tuple[float | None, float | None]:
    events, below, edges, counts = whole[0], whole[4], whole[6], whole[7]
    if identity.kind != "histogram" or events < EVENTS_FOR_P50:
        return None, None
    p50, p99 = find_percentiles(
        edges, counts, identity.histogram, (500, 990), count=events, below=below
    )
    return p50, p99 if events >= EVENTS_FOR_P99 else None
