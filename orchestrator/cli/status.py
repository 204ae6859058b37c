"""`probeplan status`: the live runs of this host, from their journals and from themselves."""

import argparse
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.kernel.kprobe_list import AFTER_ENDBR, kprobe_states
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.run.remote.control import ask
from orchestrator.run.safety.journal import Record, journals

_UNSEEN = {"delivered": None, "lost": None, "cost": None, "probes_now": None}
#: What may be a kprobe, by either backend; of uprobes and USDT there is no such list.
_KPROBES = (
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
    parser.epilog = "Dead runs are listed too: `probeplan cleanup` removes what they left."
    parser.add_argument("--json", action="store_true", help="print JSON, one array")


def main(args: argparse.Namespace) -> int:
    """List the runs; returns 0."""
    states = kprobe_states()
    runs = [_run(record, states) for record in journals()]
    if args.json:
        print(json.dumps(runs, indent=2))
    elif runs:
        _print_table(runs)
    else:
        print(_nothing())
    return 0


def _run(record: Record, states: States) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "plan": record.plan,
        "backend": record.backend,
        "state": "dead" if record.dead else "live",
        "pid": record.pid,
        "owner": _user(record.owner),
        "age_s": round(max(0.0, time.time() - record.started), 1),
        "probes": record.probes,
        "in_kernel": [{"kind": kind, "name": name} for kind, name in record.entries],
        "journal": str(record.path),
        **(_UNSEEN if record.dead else _told(record, states)),
    }


def _told(record: Record, states: States) -> dict[str, Any]:
    """What the run says of itself; nothing while it is being attached or taken away."""
    try:
        answer = ask(record.path, {"do": "status"})
    except (PlanError, HostError):
        return _UNSEEN
    for probe in answer["probes"]:
        for place in probe["attached"]:
            place["kernel"] = _kernel_state(place, states)
    return {
        "delivered": answer["delivered"],
        "lost": answer["lost"],
        "cost": answer["cost"],
        "probes_now": answer["probes"],
    }


def _kernel_state(place: Mapping[str, str], states: States) -> list[str] | str | None:
    """The flags of the kprobes at the same place; null where there are none to be."""
    if place["mechanism"] not in _KPROBES or place["to"].startswith("u"):
        return None
    if states is None:
        return "unknown"
    found = states.get(place["target"], states.get(place["target"] + AFTER_ENDBR))
    return None if found is None else sorted(found)


def _user(uid: int) -> str:
    import pwd  # 1 ms, only here

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _nothing() -> str:
    if os.geteuid() != 0 and Path("/run/probeplan").exists():
        return "no runs that this user may see (journals are root's)"
    return "no runs"


# ---------------------------------------------------------------- for people


_HEAD = (
    *("RUN", "PLAN", "STATE", "BACKEND", "PID", "OWNER", "AGE", "RECORDS", "LOST", "COST"),
    "IN KERNEL",
)


def _print_table(runs: Iterable[dict[str, Any]]) -> None:
    runs = list(runs)
    rows = [_HEAD, *map(_row, runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(_line(_HEAD, widths))
    for run, row in zip(runs, rows[1:], strict=True):
        print(_line(row, widths))
        for text in _probes(run):
            print(f"  {text}")


def _row(run: Mapping[str, Any]) -> tuple[str, ...]:
    names = " ".join(f"{one['kind']}:{one['name']}" for one in run["in_kernel"])
    shown = (run["run_id"], run["plan"], run["state"], run["backend"], run["pid"], run["owner"])
    told = ("?" if run[key] is None else f"{run[key]}" for key in ("delivered", "lost"))
    return (*map(str, shown), f"{run['age_s']:.0f}s", *told, _cost(run["cost"]), names or "-")


def _cost(cost: float | str | None) -> str:
    """Of one CPU."""
    return "?" if cost is None else cost if isinstance(cost, str) else f"{cost * 100:.2g}%"


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _probes(run: Mapping[str, Any]) -> Iterator[str]:
    for probe in run["probes_now"] or ():
        state = "paused" if probe["paused"] else "on"
        if probe["detached"]:
            state = "detached for its cost"
        elif probe["sample"] > 1:
            state += f", one of {probe['sample']:,}"
        for place in probe["attached"]:
            kernel = place["kernel"]
            flags = " ".join(f"[{flag}]" for flag in kernel) if isinstance(kernel, list) else ""
            text = f"{probe['probe']} ({state}): {place['to']} by {place['mechanism']} {flags}"
            yield text.rstrip()
