"""A fleet's results, made of two real ones, with a known answer: what they add up to, which hosts
stand out, which lost data, and which files are torn."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bench.setting import ROOT
from orchestrator.cells.buckets import LOG

__all__ = ["Planted", "real_results", "write_fleet"]

_REAL = ROOT / "tests" / "data" / "results"
_KERNELS = ("5.10.0-36-amd64", "6.1.0-28-amd64", "6.1.0-40-amd64", "6.12.40-amd64", "6.12.57-amd64")
_OCTAVE = 16
_INCOMPLETE, _TORN, _OUTLYING = 0.01, 0.001, 0.0003


@dataclass(slots=True)
class Planted:
    """The answer. `latency`: counts by upper edge; `calls`: by comm; `outliers`: host names whose
    reads take eight times as long; `torn`: paths of files that are cut off."""

    hosts: int = 0
    latency: Counter[int] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    incomplete: set[str] = field(default_factory=set)
    outliers: set[str] = field(default_factory=set)
    torn: set[str] = field(default_factory=set)

    @property
    def events(self) -> int:
        """How many reads there were."""
        return self.latency.total()


@cache
def real_results() -> Mapping[str, Mapping[str, Any]]:
    """Recorded results of one plan by the backend that ran it."""
    return {
        backend: json.loads((_REAL / f"{backend}.json").read_text())
        for backend in ("bcc", "tracefs")
    }


def write_fleet(
    folder: Path,
    hosts: int,
    seed: int = 1,
    *,
    torn: int | None = None,
    metrics: Collection[str] | None = None,
) -> Planted:
    """Write HOST/result.json for so many hosts; the answer. `torn`: how many files are cut off
    (None: one in a thousand); `metrics`: those that are kept (None: all)."""
    chance, planted = random.Random(seed), Planted()  # noqa: S311 - a repeatable fleet
    cut = round(hosts * _TORN) if torn is None else torn
    special = chance.sample(range(hosts), cut + max(3, round(hosts * _OUTLYING)))
    torn_hosts, outlying = set(special[:cut]), set(special[cut:])
    templates = [_keep_metrics(result, metrics) for result in real_results().values()]
    for number in range(hosts):
        name = f"host{number:05}"
        result = _vary(chance, templates[number % len(templates)], name, number in outlying)
        path = folder / name / "result.json"
        path.parent.mkdir(parents=True)
        text = json.dumps(result, indent=2)
        if number in torn_hosts:
            path.write_text(text[: chance.randrange(1, len(text) - 2)])
            planted.torn.add(str(path))
            continue
        path.write_text(text + "\n")
        _plant(planted, result, outlying=number in outlying)
    return planted


def _keep_metrics(result: Mapping[str, Any], names: Collection[str] | None) -> Mapping[str, Any]:
    kept = [one for one in result["metrics"] if names is None or one["metric"] in names]
    return {**result, "metrics": kept}


def _plant(planted: Planted, result: Mapping[str, Any], *, outlying: bool) -> None:
    """Add a host to the answer."""
    cells = {metric["metric"]: metric["cells"] for metric in result["metrics"]}
    name = result["run"]["host"]
    planted.hosts += 1
    planted.latency.update(dict(cells["latency"][0]["buckets"]))
    planted.calls.update({cell["key"]["comm"]: cell["value"] for cell in cells["calls"]})
    planted.bytes += cells["bytes"][0]["value"]
    if outlying:
        planted.outliers.add(name)
    if result["run"]["complete"] is False:
        planted.incomplete.add(name)


def _vary(
    chance: random.Random, template: Mapping[str, Any], name: str, outlying: bool
) -> dict[str, Any]:
    """Another host's result: counts within a tenth, and latency an eighth more or less; eight times
    as long where it is `outlying`."""
    cpus = chance.choice((2, 4, 8, 16))
    lost = chance.random() < _INCOMPLETE
    kernel = chance.choice(_KERNELS)
    run = {
        **template["run"],
        "run_id": f"{chance.getrandbits(56):014x}",
        "host": name,
        "kernel": kernel,
        "armed_at": f"2026-11-27T14:30:{chance.randrange(30, 60)}.{chance.randrange(10**9):09}Z",
        "duration_ns": 2 * 10**9 + chance.randrange(10**6),
        "complete": not lost,
        "incomplete_because": ["read: 5 updates of calls were lost"] if lost else [],
    }
    shift = 3 * _OCTAVE if outlying else chance.randint(-2, 2)
    metrics = [_vary_metric(chance, metric, cpus / 2, shift) for metric in template["metrics"]]
    return {
        **template,
        "host_id": f"{chance.getrandbits(64):016x}",
        "kernel_build_id": hashlib.sha1(kernel.encode(), usedforsecurity=False).hexdigest(),
        "cpus": cpus,
        "run": run,
        "metrics": metrics,
    }


def _vary_metric(
    chance: random.Random, metric: Mapping[str, Any], scale: float, shift: int
) -> dict[str, Any]:
    if metric["metric"] == "latency":
        [cell] = metric["cells"]
        buckets = _vary_buckets(chance, cell["buckets"], scale, shift)
        count = sum(count for _, count in buckets)
        return {**metric, "cells": [{**cell, "buckets": buckets, "count": count}]}
    if metric["kind"] not in ("count", "sum"):
        return dict(metric)
    cells = [
        {**cell, "value": max(1, int(cell["value"] * scale * chance.uniform(0.9, 1.1)))}
        for cell in metric["cells"]
    ]
    return {**metric, "cells": cells}


def _vary_buckets(
    chance: random.Random, buckets: Sequence[Sequence[int]], scale: float, shift: int
) -> list[list[int]]:
    around = scale * chance.uniform(0.9, 1.1)
    return [
        [LOG.upper_edge(LOG.index(edge) + shift), max(1, round(count * around))]
        for edge, count in buckets
    ]
