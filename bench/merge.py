"""`probeplan merge` of a fleet's results with a planted answer, compared with only parsing them."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Figure, Target
from bench.fleet import Planted, write_fleet
from bench.setting import NotPossible, Setting, command

__all__ = ["merge"]

HOSTS = 10_000
#: A usual plan: a count by command, a sum, and a histogram of times.
_METRICS = ("calls", "bytes", "latency")
_PARSE = """
import json, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        try:
            with open(os.path.join(folder, name)) as file:
                json.load(file)
        except ValueError:
            pass
"""
_PEER = "python -c json.load"
_TWICE = Target(at="most", bound=2)
_NONE = Target(at="most", bound=0)
_FEW = Target(at="most", bound=0.1)
_PEAK = Target(at="most", bound=80)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What a process took: seconds, seconds of CPUs, and the largest MB of it or a child of it."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def merge(setting: Setting) -> list[Figure]:
    """Times and memory in turns with the peer; then whether the answer is the planted one."""
    folder = setting.directory / "fleet"
    hosts = setting.of(HOSTS, least=200)
    setting.say(f"merge: writing {hosts:,} results")
    planted = write_fleet(folder, hosts, metrics=_METRICS)
    try:
        return [*_measure(setting, folder), *_check(setting, folder, planted)]
    finally:
        shutil.rmtree(folder)


def _measure(setting: Setting, folder: Path) -> list[Figure]:
    ours: list[_Taken] = []
    theirs: list[_Taken] = []
    for number in range(setting.rounds):
        setting.say(f"merge: round {number + 1}")
        theirs.append(_take([sys.executable, "-c", _PARSE, str(folder)]))
        ours.append(_take([*command(), "merge", str(folder), "--allow-torn"]))
    return [
        Figure(
            name="merge of results, elapsed time",
            unit="s",
            ours=[one.wall_s for one in ours],
            peer=_PEER,
            theirs=[one.wall_s for one in theirs],
            target=_TWICE,
        ),
        Figure(
            name="CPU time",
            unit="s",
            ours=[one.cpu_s for one in ours],
            peer=_PEER,
            theirs=[one.cpu_s for one in theirs],
        ),
        Figure(
            name="peak memory of a process",
            unit="MB",
            ours=[one.peak_mb for one in ours],
            target=_PEAK,
        ),
    ]


def _take(argv: Sequence[str], output: Path | None = None) -> _Taken:
    """Run to its end. Raises NotPossible if it fails."""
    with (output or Path(os.devnull)).open("wb") as file:
        begun = time.monotonic()
        process = subprocess.Popen(argv, stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise NotPossible(f"{argv[0]} ended with {process.returncode}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return _Taken(wall_s=wall_s, cpu_s=cpu_s, peak_mb=(usage.ru_maxrss << 10) / 1e6)


# ---------------------------------------------------------------- the answer


def _check(setting: Setting, folder: Path, planted: Planted) -> list[Figure]:
    merged = _merge(setting, [str(folder)], "whole")
    document = json.loads(merged)
    [group] = document["groups"]
    metrics = {metric["metric"]: metric for metric in group["metrics"]}
    torn = {file["path"] for file in document["not_added"]}
    outliers = metrics["latency"]["outliers"]
    named = {one["host"] for one in outliers if one["figure"] == "p50"}
    return [
        _count("counts that are not the planted ones", _find_wrong(metrics, planted)),
        _count("torn files not named, or others named", len(torn ^ planted.torn)),
        _count("planted outliers that are not found", len(planted.outliers - named)),
        Figure(
            name="other hosts named at p50",
            unit="%",
            ours=[100 * len(named - planted.outliers) / planted.hosts],
            target=_FEW,
        ),
        _count("bytes differ in another order", int(_shuffle(setting, folder) != merged)),
        _count("bytes differ in a merge of merges", int(_merge_twice(setting, folder) != merged)),
    ]


def _count(name: str, number: int) -> Figure:
    return Figure(name=name, unit="", ours=[number], target=_NONE)


def _find_wrong(metrics: dict[str, Any], planted: Planted) -> int:
    """How many of the cells and buckets are not exactly the planted ones."""
    calls = {cell["key"]["comm"]: cell["value"] for cell in metrics["calls"]["cells"]}
    [latency], [size] = metrics["latency"]["cells"], metrics["bytes"]["cells"]
    buckets = dict(latency["buckets"])
    wrong = sum(calls.get(name) != count for name, count in planted.calls.items())
    wrong += sum(buckets.get(edge) != count for edge, count in planted.latency.items())
    return wrong + (latency["count"] != planted.events) + (size["value"] != planted.bytes)


def _merge(setting: Setting, paths: Sequence[str], name: str) -> bytes:
    """The merge as JSON."""
    output = setting.directory / f"{name}.json"
    _take([*command(), "merge", "--allow-torn", "--format", "json", *paths], output)
    return output.read_bytes()


def _shuffle(setting: Setting, folder: Path) -> bytes:
    hosts = sorted(str(path) for path in folder.iterdir())
    random.Random(2).shuffle(hosts)  # noqa: S311 - repeatable
    return _merge(setting, hosts, "shuffled")


def _merge_twice(setting: Setting, folder: Path) -> bytes:
    hosts = sorted(str(path) for path in folder.iterdir())
    third = len(hosts) // 3
    shares = [hosts[:third], hosts[third : 2 * third], hosts[2 * third :]]
    for number, share in enumerate(shares):
        _merge(setting, share, f"share{number}")
    return _merge(
        setting, [str(setting.directory / f"share{number}.json") for number in (2, 0, 1)], "twice"
    )
