"""`probeplan status`: the runs of this host, from their journals and from what they answer."""

import argparse
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.cli.messages import print_text
from orchestrator.cli.unattended.quarantined import (
    describe_state,
    read_state_of_host,
    state_fields,
)
from orchestrator.kernel.kprobe_list import AFTER_ENDBR, kprobe_states
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.run.remote.control import send_request
from orchestrator.run.safety.journal import JournalRecord, read_journals

EPILOG = """\
examples:
  probeplan status                what runs, what it costs, where it is attached, and which plans
                                  are in quarantine
  probeplan status --format json  JSON, for programs: an object with `runs` and `quarantined`
  probeplan status --json         only the runs, as one JSON array

Runs that died are listed too, as `dead`; `probeplan cleanup` removes what they left. A user sees
only their own runs, root sees all. The cost is a share of one CPU.
"""

_NO_ANSWER = {"delivered": None, "lost": None, "cost": None, "probes_now": None}
#: Mechanisms of either backend that use kprobes. The kernel has no list of uprobes and USDT.
_KPROBE_MECHANISMS = (
    "dynamic event",
    "kprobe PMU",
    "kprobe event",
    "kretprobe event",
    "kprobe event and kretprobe event",
    "kretprobe event and kprobe event",
)
States = Mapping[str, frozenset[str]] | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `status`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
    )
    parser.add_argument("--json", action="store_true", help="print the runs as one JSON array")


def main(args: argparse.Namespace) -> int:
    """List the runs; returns 0."""
    states = kprobe_states()
    runs = [_run_fields(record, states) for record in read_journals()]
    if args.json:
        print(json.dumps(runs, indent=2))
        return 0
    state = read_state_of_host()
    if args.format == "json":
        print(json.dumps({"runs": runs, **state_fields(state)}, indent=2))
        return 0
    if runs:
        _print_table(runs)
    else:
        print(_no_runs())
    for line in describe_state(state):
        print_text(line)
    return 0


def _run_fields(record: JournalRecord, states: States) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "plan": record.plan,
        "backend": record.backend,
        "state": "dead" if record.dead else "live",
        "pid": record.pid,
        "owner": _user_name(record.owner),
        "age_s": round(max(0.0, time.time() - record.started), 1),
        "probes": record.probes,
        "in_kernel": [{"kind": kind, "name": name} for kind, name in record.entries],
        "journal": str(record.path),
        **(_NO_ANSWER if record.dead else _answer_of(record, states)),
    }


def _answer_of(record: JournalRecord, states: States) -> dict[str, Any]:
    """What the run answers; nothing while it is being attached or detached."""
    try:
        answer = send_request(record.path, {"do": "status"})
    except (PlanError, HostError):
        return _NO_ANSWER
    for probe in answer["probes"]:
        for attached in probe["attached"]:
            attached["kernel"] = _kernel_state(attached, states)
    return {
        "delivered": answer["delivered"],
        "lost": answer["lost"],
        "cost": answer["cost"],
        "probes_now": answer["probes"],
    }


def _kernel_state(attached: Mapping[str, str], states: States) -> list[str] | str | None:
    """The flags of the kprobes at the same address; None where the mechanism uses none."""
    if attached["mechanism"] not in _KPROBE_MECHANISMS or attached["to"].startswith("u"):
        return None
    if states is None:
        return "unknown"
    flags = states.get(attached["target"], states.get(attached["target"] + AFTER_ENDBR))
    return None if flags is None else sorted(flags)


def _user_name(uid: int) -> str:
    import pwd  # 1 ms, only here

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _no_runs() -> str:
    if os.geteuid() != 0 and Path("/run/probeplan").exists():
        return "no runs that this user can see (root sees all)"
    return "no runs"


# ---------------------------------------------------------------- for people


_HEAD = (
    *("RUN", "PLAN", "STATE", "BACKEND", "PID", "OWNER", "AGE", "RECORDS", "LOST", "COST"),
    "IN KERNEL",
)


def _print_table(runs: Iterable[dict[str, Any]]) -> None:
    runs = list(runs)
    rows = [_HEAD, *map(_table_row, runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(_join_cells(_HEAD, widths))
    for run, row in zip(runs, rows[1:], strict=True):
        print(_join_cells(row, widths))
        for text in _probe_lines(run):
            print(f"  {text}")


def _table_row(run: Mapping[str, Any]) -> tuple[str, ...]:
    names = " ".join(f"{entry['kind']}:{entry['name']}" for entry in run["in_kernel"])
    shown = (run["run_id"], run["plan"], run["state"], run["backend"], run["pid"], run["owner"])
    counts = ("?" if run[key] is None else f"{run[key]}" for key in ("delivered", "lost"))
    return (
        *map(str, shown),
        f"{run['age_s']:.0f}s",
        *counts,
        _format_cost(run["cost"]),
        names or "-",
    )


def _format_cost(cost: float | str | None) -> str:
    """As a share of one CPU."""
    return "?" if cost is None else cost if isinstance(cost, str) else f"{cost * 100:.2g}%"


def _join_cells(row: Iterable[str], widths: Iterable[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _probe_lines(run: Mapping[str, Any]) -> Iterator[str]:
    for probe in run["probes_now"] or ():
        state = "paused" if probe["paused"] else "on"
        if probe["detached"]:
            state = "detached for its cost"
        elif probe["sample"] > 1:
            state += f", one of {probe['sample']:,}"
        for attached in probe["attached"]:
            kernel = attached["kernel"]
            flags = " ".join(f"[{flag}]" for flag in kernel) if isinstance(kernel, list) else ""
            text = (
                f"{probe['probe']} ({state}): {attached['to']} by {attached['mechanism']} {flags}"
            )
            yield text.rstrip()
