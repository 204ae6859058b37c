# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""What a run found out, as return values: taken from its result.json."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

MOST_BYTES = 256 << 20
UNKNOWN = "unknown"
#: Of an attach point's sides, the one that decides, the first that it has.
LAST_SIDES = ("return", "hit", "entry")

#: By kind of row of the ledger: its counts that are losses (docs/log.md, "ledger").
LOSSES = {
    "run": ("children_lost", "lost_unattributed"),
    "stacks": ("map_full", "map_busy"),
    "side": ("kernel_missed", "map_full", "too_deep"),
    "span": ("map_full",),
    "emit": ("ring_lost", "undelivered"),
    "metric": ("map_busy", "ring_lost"),
    "metric of records": ("map_busy",),
}


def read_result(path):
    """The result at `path`. Raises OSError, and ValueError where it is none."""
    if Path(path).stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has more than {MOST_BYTES >> 20} MiB")
    result = json.loads(Path(path).read_bytes())
    if isinstance(result, dict) and isinstance(result.get("run"), dict):
        return result
    raise ValueError(f"{path} is no result")


def pack_result(path):
    """The bytes of the result at `path` as text, for the action plugin. Raises OSError."""
    return base64.b64encode(zlib.compress(Path(path).read_bytes(), 1)).decode("ascii")


def losses_by_cause(finished):
    """How many events or records were lost, by cause, as `run.finished` says; causes without any
    are left out. A count that is not known is the text `unknown`."""
    was_bounded = any(held["limit"] == "output" for held in finished.get("held_back", ()))
    causes = {}
    for kind, row in _rows(finished["ledger"]):
        for name in LOSSES[kind]:
            lost = _undelivered(row, was_bounded) if name == "undelivered" else row[name]
            causes[name] = _add(causes.get(name, 0), lost)
    return {name: count for name, count in causes.items() if count != 0}


def _undelivered(row, was_bounded):
    """Records that the output did not take. What limits.output leaves out was asked for."""
    if was_bounded or UNKNOWN in (row["recorded"], row["delivered"]):
        return 0 if was_bounded else UNKNOWN
    return row["recorded"] - row["delivered"]


def _rows(ledger):
    """Each row of the ledger, with its kind."""
    yield "run", ledger
    if stacks := ledger.get("stacks"):
        yield "stacks", stacks
    for probe in ledger["probes"].values():
        for hook in probe["hooks"]:
            for side in hook["sides"].values():
                yield "side", side
    for span in ledger["spans"].values():
        yield "span", span["counts"]
    for maker in (*ledger["probes"].values(), *ledger["spans"].values()):
        yield from _rows_of_maker(maker)


def _rows_of_maker(maker):
    """Events whose records were lost are lost to every metric made of them, and count once."""
    is_counted = bool(maker["emit"])
    if is_counted:
        yield "emit", maker["emit"]
    for metric in maker["metrics"].values():
        yield "metric of records" if is_counted else "metric", metric
        is_counted = True


def hits_of(ledger):
    """By probe and span: how many events passed its conditions."""
    hits = {}
    for name, probe in ledger["probes"].items():
        hits[name] = 0
        for hook in probe["hooks"]:
            sides = hook["sides"]
            last = next(sides[side] for side in LAST_SIDES if side in sides)
            hits[name] = _add(hits[name], last["accepted"])
    for name, span in ledger["spans"].items():
        hits[name] = span["counts"]["accepted"]
    return hits


def _add(one, other):
    return UNKNOWN if UNKNOWN in (one, other) else one + other
