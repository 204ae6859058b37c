"""Invented measurements, by which tests judge checks."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.check.measurement import (
    CommandEnd,
    Environment,
    MeasuredCell,
    Measurement,
    MetricIdentity,
    ProbeIdentity,
    Repeat,
)
from orchestrator.check.model import Check
from orchestrator.plan.figures import metrics_by_owner

HERE = Environment(
    kernel="6.12.10-amd64",
    arch="x86_64",
    cpu="A CPU",
    cpus=2,
    libc="glibc 2.36",
    probeplan="0.1.0",
    backend="some",
)
DONE = CommandEnd(code=0)

#: The cells of metrics, by PROBE.METRIC.
Counts = Mapping[str, Sequence[MeasuredCell] | int]


def cell(count: int, /, names: Mapping[str, str] | None = None, **key: Any) -> MeasuredCell:
    """A cell of events under a key."""
    return MeasuredCell(key=key, value=count, count=count, names=names or {})


def other(count: int) -> MeasuredCell:
    """The cell `other`."""
    return MeasuredCell(key=None, value=count, count=count)


def repeat(counts: Counts, check: Check | None = None, **changes: Any) -> Repeat:
    """A repeat in which the probes counted this and the check's other metrics nothing, and fired
    for other processes of the host too."""
    cells: dict[str, dict[str, tuple[MeasuredCell, ...]]] = {}
    owners = metrics_by_owner(check.plan) if check else {}
    for owner, metrics in owners.items():
        cells[owner] = {metric.name: () for metric in metrics}
    for name, found in counts.items():
        owner, metric = name.split(".")
        whole = (cell(found),) if isinstance(found, int) else tuple(found)
        cells.setdefault(owner, {})[metric] = whole
    fields: dict[str, Any] = {
        "ops": 1,
        "cells": cells,
        "wall_ns": 5_000,
        "user_ns": 300,
        "sys_ns": 200,
        "maxrss_bytes": 4096,
        "command": DONE,
        "outcome": "command",
        "ledger": {},
        "fired_on_host": dict.fromkeys(cells, 7),
    }
    return Repeat(**{**fields, **changes})


def measured(check: Check, *repeats: Repeat, **changes: Any) -> Measurement:
    """A measurement of a check in which every probe was attached as planned."""
    probes = {
        probe.name: ProbeIdentity(
            mechanisms=("m",),
            alternative=probe.items[0].text,
            place="user-visible",
            sample=probe.sample,
        )
        for probe in check.plan.probes
    }
    metrics = {
        owner: {
            one.name: MetricIdentity(
                kind=one.kind, unit="", by=one.by, digest=f"{owner}.{one.name}"
            )
            for one in own
        }
        for owner, own in metrics_by_owner(check.plan).items()
    }
    fields: dict[str, Any] = {"probes": probes, "metrics": metrics, "environment": HERE}
    return Measurement(repeats=repeats, **{**fields, **changes})
