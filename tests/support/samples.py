"""Lifecycle records with every field, for the tests of the log, the schema and the summary."""

from typing import Any

from orchestrator.accounting.vocabulary import SIDE

STAMP = "2026-11-23T02:15:07.123456789Z"


def side(fired: int | str, **others: int | str) -> dict[str, int | str]:
    """One side's accounts; what is not named is zero."""
    return {**dict.fromkeys(SIDE.counts, 0), "fired": fired, **others}


def finished(**changes: Any) -> dict[str, Any]:
    """The fields of run.finished for a run with one paired probe."""
    hook = {
        "to": "function:vfs_read",
        "mechanism": "fexit",
        "sides": {
            "entry": side(12_345, accepted=12_345, kernel_missed=2),
            "return": side(12_345, filtered=12_000, accepted=345, kernel_missed="unknown"),
        },
    }
    emit = {
        "accepted": 345, "rate_limited": 0, "over_cap": 0, "ring_lost": 5, "recorded": 340,
        "delivered": 340,
    }  # fmt: skip
    metric = {"counted": 345, "filtered": 0, "map_full": 0, "map_busy": 0, "ring_lost": 0}
    probe = {"hooks": [hook], "emit": emit, "metrics": {"latency": metric}}
    return {
        "outcome": "duration",
        "exit_code": 4,
        "armed_at": STAMP,
        "duration_ns": 30_000_000_000,
        "startup_ms": 112.5,
        "detach_ms": 84.2,
        "paused_ns": {"read": 1_500_000_000},
        "command_status": None,
        "command_descendants_left": [],
        "complete": False,
        "incomplete_because": ["5 records of read were lost: the buffer was full"],
        "counted": "all",
        "recorded": "part",
        "held_back": [],
        "held_back_because": None,
        "nothing_seen_because": None,
        "delivered": 340,
        "lost": 5,
        "unread_lines": 0,
        "ledger": {
            "probes": {"read": probe}, "spans": {}, "faulted": 0, "truncated": "unknown",
            "divisions_by_zero": 0, "children_lost": 0, "lost_unattributed": 0,
        },
        "error": None,
        **changes,
    }  # fmt: skip


def lifecycle() -> dict[str, dict[str, Any]]:
    """One record of each kind but event.recorded and metric.reported: event → fields."""
    return {
        "run.started": {
            "version": "0.1.0", "backend": "tracefs", "arch": "x86_64",
            "refused_backends": {
                "bcc": [{"at": "a.ppb", "code": "PP244", "reason": "no program", "hint": "add it"}]
            },
            "bundle": {
                "file": "a.ppb", "sha256": "0" * 64, "builder": "0.1.0", "created": STAMP,
                "key": None,
            },
            "params": {"threshold": 10},
            "target": {"comm": ["postgres"]}, "command": None,
            "limits": {
                "duration": {"value": "unlimited", "enforced_by": "kernel", "from": "default"},
                "rate": {"value": 1000, "per_ns": 10**9, "enforced_by": "kernel", "from": "policy"},
            },
            "policies": [{"file": "/etc/probeplan/policy.yaml", "sha256": "0" * 64}],
            "signatures": [
                {
                    "policy": "/etc/probeplan/policy.yaml", "status": "accepted",
                    "principal": "ci@example.com", "key": f"SHA256:{'a' * 43}",
                }
            ],
            "enforced": {"read.where": "kernel"}, "memory": {"ring": 8 << 20}, "every_ns": None,
            "fields": {"read": {"took": {"form": "u64", "unit": "ns", "shown_as": ""}}},
        },
        "probe.attached": {
            "probe": "read", "to": "function:vfs_read", "mechanism": "fexit", "target": "vfs_read",
            "detail": "", "sample": 10,
        },
        "probe.skipped": {"probe": "read", "to": "kprobe:x", "reason": "no such symbol"},
        "probe.paused": {"probe": "read", "uid": 0},
        "probe.resumed": {"probe": "read", "uid": 0, "paused_ns": 1_500_000_000},
        "limit.reached": {
            "limit": "events", "probe": None, "value": 10_000, "enforced_by": "kernel",
            "action": "stop", "detail": "after 3.2 s",
        },
        "metric.warned": {
            "probe": "read", "metric": "latency", "condition": "p99 > 10*ms", "unit": "ns",
            "display_unit": "us", "window": {"start": STAMP, "end": STAMP}, "total": True,
            "cells": [{"key": {"comm": "cat"}, "other": False, "numbers": {"p99": 12_400_000}}],
            "cells_omitted": 2,
        },
        "figure.reported": {
            "values": {"mean": 4093.0, "share": None},
            "by_key": {
                "share": {"cells": [{"key": {"comm": "cat"}, "value": 0.5}], "cells_omitted": 1}
            },
            "display_units": {"mean": "bytes", "share": "%"},
            "window": {"start": STAMP, "end": STAMP}, "total": True, "events_apart": 0,
        },
        "stop.reached": {
            "condition": "total(read.errors) > 10", "numbers": {"total(read.errors)": 11},
            "window": {"start": STAMP, "end": STAMP}, "events_apart": "unknown",
        },
        "stack.named": {
            "id": "b5e9a4c10d2f7e83", "space": "user", "pid": 4217, "names": ["main+0x2f (app)"],
            "frames": [
                {
                    "address": "0x55d49e39b150", "symbol": "main", "offset": 47,
                    "module": "/usr/bin/app", "build_id": None,
                }
            ],
            "truncated": False, "incomplete_because": "",
        },
        "outstanding.reported": {
            "outstanding": "heap", "unit": "bytes", "value": 8192, "count": 4, "growth": 4096,
            "cells": [
                {
                    "key": {"comm": "postgres"}, "value": 8192, "count": 4, "growth": 4096,
                    "oldest_ns": 12_000_000_000,
                }
            ],
            "cells_omitted": 0, "min_age_ns": 10_000_000_000,
            "caveats": ["what was opened before the run began is not seen"],
            "window": {"start": STAMP, "end": STAMP}, "total": False,
        },
        "clock.stepped": {"by_ns": -7_200_000_000_000},
        "governor.stepped": {
            "action": "sample", "probe": "read", "cost": 0.031, "budget": 0.02, "sample": 20,
        },
        "events.lost": {"probe": "read", "lost": 120, "reason": "ring"},
        "run.finished": finished(),
        "run.skipped": {
            "outcome": "skipped", "reason": "this host is not in the shard of 5%", "exit_code": 0,
            "label": "ring-1", "result": "/var/lib/probeplan/results/a/1/result.json",
        },
        "run.refused": {
            "outcome": "quarantined", "reason": "the host went down while it ran", "exit_code": 3,
            "label": None, "result": None,
        },
        "check.started": {
            "check": "bulk", "file": "checks/bulk.yaml", "backend": "bcc", "signatures": [],
            "expectations": ["syncs"], "ops": [50, 100], "warmup": 1, "repeats": 3,
            "sides": {"param": "build", "A": "./old", "B": "./new"},
        },
        "check.repeat": {
            "check": "bulk", "side": "B", "measurement": 1, "number": 3, "total": 8,
            "warmup": False, "ops": 50, "outcome": "command", "wall_ns": 1_530_000,
            "user_ns": 900_000, "sys_ns": 610_000,
            "maxrss_bytes": None, "command_status": 0, "timed_out": False,
            "command_descendants_left": [], "cost_exceeded": None,
        },
        "check.verdict": {
            "check": "bulk", "expectation": "syncs", "that": "sync.calls / ops == 4",
            "at": "checks/bulk.yaml:9:10", "severity": "fail", "verdict": "ok", "reasons": [],
            "notes": [],
            "series": [
                {
                    "label": "", "values": [4, 4, 4], "value": 4, "bounds": [4], "baseline": None,
                    "exact": True, "holds": True, "varies": False, "improved": False,
                    "times": [
                        {
                            "a": 571_000, "b": 845_000.5, "ratio": 1.48, "p": 4e-7, "repeats": 20,
                            "tolerance": 0.1, "detectable": 0.083, "repeats_needed": 14,
                            "blunt": False, "worse": True, "worse_at_first": True,
                            "ratio_again": 1.51,
                        }
                    ],
                }
            ],
        },
        "check.explained": {
            "check": "bulk", "expectation": "syncs", "compared_with": "baseline",
            "cells": [
                {
                    "metric": "call.calls", "key": {"number": 74}, "names": {"number": "fsync"},
                    "value": 5, "before": 4, "growth": 1,
                }
            ],
            "cells_omitted": 0,
            "records": [
                {
                    "ts": STAMP, "probe": "call", "time_unix_nano": 1_795_400_107_123_456_789,
                    "cpu": 3, "pid": 4711, "tid": 4711, "comm": "python3", "weight": 1,
                    "data": {"fd": 3, "ustack": ["fsync+0xb (libc.so.6)"], "number": "fsync"},
                }
            ],
            "records_seen": 5, "no_records_because": None,
        },
        "check.finished": {
            "check": "bulk", "exit_code": 0,
            "verdicts": {"ok": 1, "fail": 0, "inconclusive": 0, "workload": 0}, "warnings": [],
            "baseline_written": None, "duration_ns": 2_400_000_000,
        },
    }  # fmt: skip


def metric(kind: str, cells: list[dict[str, Any]], unit: str = "ns") -> dict[str, Any]:
    """The fields of a metric record."""
    return {
        "probe": "read", "metric": "latency", "kind": kind, "unit": unit,
        "window": {"start": STAMP, "end": STAMP}, "total": True, "cells": cells,
        "cells_omitted": 0,
    }  # fmt: skip
