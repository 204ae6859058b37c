"""A run of benchmarks, as a table for people and as JSON."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.figures import Figure, Verdict

__all__ = ["as_json", "missed", "table"]

_HEAD = ("figure", "ours", "theirs", "ratio", "target", "", "note")
_WORDS: Mapping[Verdict, str] = {
    "pass": "pass",
    "miss": "MISS",
    "none": "no ratio",
    "untargeted": "",
}
Found = Mapping[str, Sequence[Figure] | str]  # by benchmark; text: why it could not run


def table(found: Found) -> str:
    """One block per benchmark."""
    return "\n\n".join(_block(name, figures) for name, figures in found.items())


def _block(name: str, figures: Sequence[Figure] | str) -> str:
    if isinstance(figures, str):
        return f"{name}\n  could not be made: {figures}"
    rows = [_HEAD, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join([name, *(_line(row, widths) for row in rows)])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers, verdict, note = row
    cells = [text.rjust(width) for text, width in zip(numbers, widths[1:-2], strict=True)]
    parts = (first.ljust(widths[0]), *cells, verdict.ljust(widths[-2]), note)
    return ("  " + "  ".join(parts)).rstrip()


def _row(figure: Figure) -> tuple[str, ...]:
    theirs, ratio = figure.peers_value, figure.ratio
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        "" if theirs is None else f"{_number(theirs)} {figure.unit}",
        "" if ratio is None else f"{_number(ratio)} x",
        "" if figure.target is None else str(figure.target),
        _WORDS[figure.verdict],
        figure.peer,
    )


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def missed(found: Found) -> bool:
    """Whether any figure misses its target."""
    figures = [one for many in found.values() if not isinstance(many, str) for one in many]
    return any(one.verdict in ("miss", "none") for one in figures)


def as_json(found: Found) -> str:
    """Everything, with the samples and the host they were taken on."""
    benchmarks = {
        name: {"error": many} if isinstance(many, str) else {"figures": [f.fields() for f in many]}
        for name, many in found.items()
    }
    return json.dumps({"host": _host(), "benchmarks": benchmarks}, indent=2) + "\n"


def _host() -> dict[str, Any]:
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load_average": Path("/proc/loadavg").read_text().split()[:3],
        "python": platform.python_version(),
        "bpftrace": _version(),
    }


def _version() -> str:
    try:
        asked = subprocess.run(
            ["bpftrace", "--version"], check=False, capture_output=True, text=True
        )
    except FileNotFoundError:
        return "absent"
    return asked.stdout.strip()
