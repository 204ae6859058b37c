# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""What a run found out, as return values: taken from its result.json."""

from __future__ import annotations

import json
from pathlib import Path

MOST_BYTES = 256 << 20
UNKNOWN = "unknown"

#: By kind of row of the ledger: its counts that are losses (docs/log.md, "ledger").
LOSSES = {
    "run": ("children_lost", "lost_unattributed"),
    "stacks": ("map_full", "map_busy"),
    "side": ("kernel_missed", "map_full", "too_deep"),
    "span": ("map_full",),
    "emit": ("ring_lost",),
    "metric": ("map_busy", "ring_lost"),
}


def read_result(path):
    """The result at `path`. Raises OSError, and ValueError where it is none."""
    if Path(path).stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has more than {MOST_BYTES >> 20} MiB")
    result = json.loads(Path(path).read_bytes())
    if isinstance(result, dict) and isinstance(result.get("run"), dict):
        return result
    raise ValueError(f"{path} is no result")


def losses_by_cause(ledger):
    """How many events or records were lost, by cause; causes without any are left out. A count that
    is not known is the text `unknown`."""
    causes = {}
    for kind, row in _rows(ledger):
        for name in LOSSES[kind]:
            causes[name] = _add(causes.get(name, 0), row.get(name, 0))
    return {name: count for name, count in causes.items() if count != 0}


def _rows(ledger):
    """Each row of the ledger, with its kind."""
    yield "run", ledger
    yield "stacks", ledger.get("stacks") or {}
    for probe in ledger["probes"].values():
        for hook in probe["hooks"]:
            for side in hook["sides"].values():
                yield "side", side
    for span in ledger["spans"].values():
        yield "span", span["counts"]
    for maker in (*ledger["probes"].values(), *ledger["spans"].values()):
        yield "emit", maker["emit"] or {}
        for metric in maker["metrics"].values():
            yield "metric", metric


def hits_of(ledger):
    """By probe and span: how many events passed its conditions."""
    hits = {}
    for name, probe in ledger["probes"].items():
        hits[name] = 0
        for hook in probe["hooks"]:
            *_, last = hook["sides"].values()
            hits[name] = _add(hits[name], last["accepted"])
    for name, span in ledger["spans"].items():
        hits[name] = span["counts"]["accepted"]
    return hits


def _add(one, other):
    return UNKNOWN if UNKNOWN in (one, other) else one + other
