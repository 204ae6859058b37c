"""`probeplan check` in a guest."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.guest.product import leftovers


def check(*, text: str, recorded_on: Sequence[str]) -> dict[str, Any]:
    """Run a check whose baseline was recorded on kernels of these series; what came of it."""
    folder = Path("/run/checked")
    folder.mkdir()
    (folder / "syncs.yaml").write_text(text)
    (folder / "syncs.baseline.json").write_text(_baseline(recorded_on))
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "check", str(folder), "--backend", "tracefs"],
        capture_output=True,
        text=True,
        env={**os.environ, "CI": ""},
        check=False,
    )
    return {
        "code": done.returncode,
        "lines": done.stdout,
        "errors": done.stderr,
        "left": leftovers(),
    }


def _baseline(series: Sequence[str]) -> str:
    from orchestrator.check.baseline.model import Baseline, BaselineEntry, EntryKey
    from orchestrator.check.baseline.text import show_baseline
    from orchestrator.check.measurement import Environment

    entries = tuple(
        BaselineEntry(
            key=EntryKey(arch="x86_64", series=one),
            environment=Environment(
                kernel=f"{one}.0-1-amd64",
                arch="x86_64",
                cpu="any",
                cpus=1,
                libc="glibc 2.36",
                probeplan="0.1.0",
                backend="any",
            ),
            recorded="2026-01-01T00:00:00Z",
            probes={},
            metrics={},
        )
        for one in series
    )
    return show_baseline(Baseline(check="syncs", entries=entries))
