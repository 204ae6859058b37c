"""Records of a run as its log has them, for what reads logs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.samples import STAMP, lifecycle

__all__ = ["histogram_cell", "json_lines", "metric_record", "number_cell", "record_of", "run_of"]

_COMMON = {
    "ts": STAMP, "level": "info", "run_id": "a", "plan": "p", "host": "h", "kernel": "6.1",
    "plan_sha256": "0" * 64,
}  # fmt: skip


def record_of(event: str, **fields: Any) -> dict[str, Any]:
    """A record of this kind."""
    return {**_COMMON, "event": event, **lifecycle().get(event, {}), **fields}


def metric_record(
    cells: list[dict[str, Any]], *, total: bool = False, **fields: Any
) -> dict[str, Any]:
    """A metric.reported record: of `read.calls`, unless fields say otherwise."""
    usual = {
        "probe": "read", "metric": "calls", "kind": "count", "unit": "", "display_unit": "",
        "window": {"start": STAMP, "end": STAMP}, "sample": 1, "cells_omitted": 0,
    }  # fmt: skip
    return record_of("metric.reported", **{**usual, "total": total, "cells": cells, **fields})


def number_cell(
    value: int | None, key: dict[str, Any] | None = None, other: bool = False
) -> dict[str, Any]:
    """A cell of a metric that is no histogram."""
    return {"key": key or {}, "other": other, "value": value}


def histogram_cell(
    pairs: list[list[int]], below: int = 0, above: int = 0, key: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A cell of a logarithmic histogram: pairs of an upper edge and a count."""
    return {
        "key": key or {}, "other": False, "buckets": pairs, "below": below, "above": above,
        "count": below + above + sum(number for _, number in pairs),
        "relative_error": 1 / 32, "absolute_error": None,
    }  # fmt: skip


def run_of(name: str, *records: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A whole run with these records."""
    whole = [record_of("run.started"), *records, record_of("run.finished")]
    return [{**record, "run_id": name} for record in whole]


def json_lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    """As a log has them."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)
