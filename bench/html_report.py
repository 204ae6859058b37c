"""A report of 10,000 cells: its size, making it, and its first paint in Chromium."""

import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.figures import Figure, Target
from bench.setting import NotPossible, Setting, command
from tests.support.browser import find_browser, open_browser
from tests.support.report_runs import cell, make_metric, recorded_document

__all__ = ["html_report"]

CELLS = 10_000
_SIZE = Target(at="most", bound=3)
_PAINT = Target(at="most", bound=1)
_PAINTS = """
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return paint ? paint.startTime / 1000 : null;
"""


def html_report(setting: Setting) -> list[Figure]:
    """Half of the cells are counts, and half are histograms, all with names as long as tasks and
    files have."""
    if find_browser() is None:
        raise NotPossible("it needs Debian's chromium and chromium-driver")
    folder = setting.directory / "report"
    folder.mkdir()
    page = folder / "report.html"
    (folder / "result.json").write_text(json.dumps(_make_document(setting.of(CELLS, least=100))))
    made = [_make(folder, page) for _ in range(setting.rounds)]
    paints, ready = zip(*(_paint(page) for _ in range(setting.rounds)), strict=True)
    return [
        Figure(
            name="report of 10,000 cells, size",
            unit="MB",
            ours=[page.stat().st_size / 1e6],
            target=_SIZE,
        ),
        Figure(name="first paint in Chromium", unit="s", ours=paints, target=_PAINT),
        Figure(name="until tables can be used", unit="s", ours=ready),
        Figure(name="making it", unit="s", ours=made),
    ]


def _make_document(cells: int) -> dict[str, Any]:
    document = recorded_document()
    [latency] = [metric for metric in document["metrics"] if metric["metric"] == "latency"]
    pick = random.Random(1)  # noqa: S311 - repeatable
    counts = [
        cell(pick.randrange(1, 10**6), comm=f"worker-{number % 97}", path=f"/srv/data/{number:07}")
        for number in range(cells // 2)
    ]
    histograms = [
        {**latency["cells"][0], "key": {"comm": f"worker-{number}"}}
        for number in range(cells - cells // 2)
    ]
    document["metrics"] = [
        make_metric("calls", counts),
        {**latency, "metric": "latency", "cells": histograms},
    ]
    return document


def _make(folder: Path, page: Path) -> float:
    """Seconds."""
    begun = time.monotonic()
    words = [*command(), "report", str(folder), "-o", str(page)]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def _paint(page: Path) -> tuple[float, float]:
    """Seconds to the first paint, and to the end of the script, in a browser that has not seen the
    page before."""
    with open_browser() as browser:
        browser.open(page)
        browser.wait_until(_PAINTS)
        ready = browser.run("return performance.getEntriesByName('report-ready')[0].startTime")
        return float(browser.run(_PAINTS)), float(ready) / 1000
