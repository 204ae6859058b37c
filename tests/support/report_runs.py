"""Results and logs for tests of HTML reports: recorded ones, with what the test needs in them."""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.html_report.log_digest import LogDigest, digest_log
from orchestrator.html_report.model import RunSource
from tests.support.paths import TESTS

__all__ = ["HOSTILE", "cell", "hostile_source", "log_lines", "make_metric"]
__all__ += ["RUN_ID", "recorded_document", "source_of", "windows_of", "write_directory"]

RUN_ID = "6b09940152b0d5"
_WHEN = "2026-11-27T14:30:{:02}.000000000Z"
#: Texts that processes and files may have as names.
HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    '"><svg onload=window.pwned=1>',
    "<!--<script>",
    "a\u2028b\u2029c&lt;",
    "{{constructor.constructor('window.pwned=1')()}}",
)


def recorded_document(backend: str = "bcc") -> dict[str, Any]:
    """The recorded result of a run, to be changed at will."""
    document: dict[str, Any] = json.loads(
        (TESTS / "data" / "results" / f"{backend}.json").read_bytes()
    )
    return document


def cell(value: Any, other: bool = False, /, **key: Any) -> dict[str, Any]:
    """A cell of a count."""
    return {"key": key, "other": other, "value": value}


def make_metric(
    name: str, cells: Sequence[Mapping[str, Any]], kind: str = "count"
) -> dict[str, Any]:
    """The total of a metric of the probe `read`."""
    return {
        "probe": "read",
        "metric": name,
        "kind": kind,
        "unit": "",
        "display_unit": "",
        "window": {"start": _WHEN.format(0), "end": _WHEN.format(2)},
        "total": True,
        "cells": list(cells),
        "cells_omitted": 0,
        "sample": 1,
        "layout": None,
        "hashed": [],
        "estimated": False,
    }


def source_of(
    document: Mapping[str, Any], log: LogDigest | None = None, plan: str | None = None
) -> RunSource:
    """A run for a page."""
    return RunSource(name="result", document=document, plan_text=plan, log=log)


def log_lines(records: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """The lines of a log of the recorded run."""
    head = {"ts": _WHEN.format(1), "level": "info"}
    common = {"run_id": RUN_ID, "plan": "fleet-reads", "host": "host00001"}
    return [
        json.dumps(
            {**head, "event": record["event"], **common, **record}, separators=(",", ":")
        ).encode()
        + b"\n"
        for record in records
    ]


def windows_of(metric: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """So many windows of a metric, each with its cells."""
    return [
        {
            **copy.deepcopy(dict(metric)),
            "event": "metric.reported",
            "window": {"start": _WHEN.format(number % 60), "end": _WHEN.format((number + 1) % 60)},
            "total": False,
        }
        for number in range(count)
    ]


def write_directory(
    directory: Path,
    document: Mapping[str, Any],
    lines: Iterable[bytes] = (),
    plan: str = "probes: {}\n",
) -> Path:
    """A result as `probeplan run --out` leaves it."""
    directory.mkdir()
    (directory / "result.json").write_text(json.dumps(document))
    (directory / "events.jsonl").write_bytes(b"".join(lines))
    (directory / "plan.yaml").write_text(plan)
    return directory


def hostile_source() -> RunSource:
    """A run with hostile texts everywhere where others choose them."""
    document = recorded_document()
    run = document["run"]
    run["host"] = run["plan"] = HOSTILE[0]
    run["armed_at"] = _WHEN.format(0)
    run["command_descendants_left"] = [{"pid": 1, "comm": HOSTILE[1]}]
    run["incomplete_because"], run["complete"] = list(HOSTILE), False
    document["label"] = HOSTILE[1]
    document["settings"]["command"] = list(HOSTILE)
    stacks = [cell(5, comm=name, kstack=[name, HOSTILE[0], "read+0x1"]) for name in HOSTILE]
    document["metrics"] += [
        make_metric("names", [cell(9 - number, comm=name) for number, name in enumerate(HOSTILE)]),
        make_metric("ways", stacks),
        _hostile_histogram(document),
    ]
    document["warnings"] = [_make_warning()]
    records = [
        {
            "event": "event.recorded", "probe": "read", "time_unix_nano": 1, "cpu": 0, "pid": 1,
            "tid": 1, "comm": name, "weight": 1, "data": {"path": name, HOSTILE[0]: name},
        }
        for name in HOSTILE
    ]  # fmt: skip
    attached = {
        "event": "probe.attached", "probe": HOSTILE[0], "to": HOSTILE[1], "mechanism": "fentry",
        "target": HOSTILE[3], "detail": HOSTILE[4],
    }  # fmt: skip
    names = document["metrics"][-3]
    lines = log_lines([attached, *records, *windows_of(names, 5)])
    return source_of(document, digest_log(lines, RUN_ID), "\n".join(HOSTILE))


def _hostile_histogram(document: Mapping[str, Any]) -> dict[str, Any]:
    [latency] = [metric for metric in document["metrics"] if metric["metric"] == "latency"]
    cells = [{**latency["cells"][0], "key": {"comm": name}} for name in HOSTILE]
    return {**copy.deepcopy(latency), "metric": "by_name", "cells": cells}


def _make_warning() -> dict[str, Any]:
    return {
        "probe": "read",
        "metric": "names",
        "condition": HOSTILE[0],
        "unit": "",
        "display_unit": "",
        "window": {"start": _WHEN.format(0), "end": _WHEN.format(2)},
        "total": True,
        "cells": [{"key": {"comm": HOSTILE[1]}, "other": False, "numbers": {"value": 9}}],
        "cells_omitted": 0,
    }
