"""Cases for kernels with kprobes and hist triggers."""

import os
from pathlib import Path
from typing import Any

from orchestrator.backends.protocol import Counts
from orchestrator.kernel.facts import live_facts
from tests.guest import Unsupported
from tests.support.tracefs_runs import Outcome, leftovers, run


def load() -> str:
    """The workload, as the host put it into the share."""
    return str(Path(os.environ["PROBEPLAN_SHARE"]) / "load")


def need(feature: str) -> None:
    """This case is about a feature of the kernel."""
    if not live_facts().feature(feature):
        raise Unsupported(feature)


def reported(outcome: Outcome) -> dict[str, Any]:
    """What a test looks at."""
    return {
        "records": outcome.records[:2000],
        "sides": sides(outcome.counts),
        "cells": {
            name: {(c.key or b"").hex(): [c.count, c.sum] for c in cells}
            for name, cells in outcome.cells.items()
        },
        "enforced": dict(outcome.artifact.enforced),
        "leftovers": sorted(leftovers()),
    }


def sides(counts: Counts) -> dict[str, Any]:
    """Counters by side."""
    return {
        side.side: {
            name: getattr(side, name)
            for name in ("fired", "filtered", "not_target", "unpaired", "accepted", "kernel_missed")
        }
        for side in counts.sides
    }


def plan(text: str, mode: str, calls: int, feature: str = "kprobe_events") -> dict[str, Any]:
    """Run a plan alongside `load MODE CALLS`."""
    need(feature)
    return reported(run(text, [load(), mode, str(calls)]))
