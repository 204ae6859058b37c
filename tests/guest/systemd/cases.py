"""The cases of the units, in a guest whose first process is systemd: `python -m
tests.guest.systemd.cases`. Each begins with the units at rest; the records of all are in the
share's results.jsonl, as tests/guest/driver.py has them.

An emulated machine is slow: the bound on CPU is lifted, and time-outs are longer. Nothing else of
the units is changed but what drop-ins are for.
"""

import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.guest import driver
from tests.guest.driver import put, run_case
from tests.guest.systemd import host
from tests.guest.systemd.plans import CALLS
from tests.guest.systemd.plans import PLANS as TEXTS

SLOW = "[Service]\nCPUQuota=\nTimeoutStopSec=120\n"
OFTEN = """
[Service]
Environment="EXPORT_OPTIONS=--textfile %t/probeplan-export/%i --interval 1s"
"""
FIFO = Path("/run/probeplan/export-exported.fifo")
TEXTFILE = Path("/run/probeplan-export/exported/probeplan-exported.prom")
EXPORTED = host.STATE / "exported"
RESULTS = host.STATE / "results" / "ticking"
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
TICKING = """
[Timer]
OnCalendar=
OnCalendar=*:*:0/3
RandomizedDelaySec=0
"""


def prepare_host() -> dict[str, Any]:
    """Install plans and drop-ins; what the first process is, and what is in the kernel."""
    host.PLANS.mkdir(parents=True)
    for name, text in TEXTS.items():
        (host.PLANS / f"{name}.yaml").write_text(text)
    for unit in ("probeplan@", "probeplan-once@", "probeplan-export@"):
        host.configure_unit(f"{unit}.service", SLOW, name="slow")
    host.configure_unit("probeplan-export@exported.service", OFTEN)
    _set_options("probeplan-once@ticking", "ticking", "--backend tracefs")
    host.configure_unit("probeplan-once@ticking.timer", TICKING)
    for backend in ("bcc", "tracefs"):
        name = f"killed-{backend}"
        _set_options(f"probeplan@{name}", name, f"--backend {backend}", "Restart=no\n")
    options = f"--backend bcc --out {EXPORTED} --log %t/probeplan/export-%i.fifo"
    wanted = "[Unit]\nWants=probeplan-export@%i.socket\nAfter=probeplan-export@%i.socket\n"
    _set_options("probeplan@exported", "exported", options, NOTE_END + wanted)
    host.systemctl("daemon-reload")
    PARANOID.write_text("2")  # Debian's 3 closes perf events to all without CAP_SYS_ADMIN
    return {"init": Path("/proc/1/comm").read_text().strip(), "left": host.list_leftovers()}


def _set_options(unit: str, plan: str, options: str, more: str = "") -> None:
    plan_file = host.PLANS / f"{plan}.yaml"
    text = f'[Service]\nEnvironment=PLAN={plan_file}\nEnvironment="OPTIONS={options}"\n{more}'
    host.configure_unit(f"{unit}.service", text)


def fire_timer_twice() -> dict[str, Any]:
    """The results of two runs on a schedule, each alongside one workload; and of the unit."""
    host.systemctl("start", "probeplan-once@ticking.timer")
    for number in (1, 2):
        host.wait_for(partial(_has_begun, number), f"run {number}", "probeplan-once@ticking")
        host.call_getppid(CALLS)
        host.wait_for(partial(_has_results, number), f"its result {number}")
    host.systemctl("stop", "probeplan-once@ticking.timer")
    unit = "probeplan-once@ticking.service"
    host.wait_for(lambda: _state(unit) == "inactive", "its end", unit)
    return {
        "runs": [host.sum_up_result(folder) for folder in sorted(RESULTS.iterdir())],
        "unit": _state(unit),
        "modes": [oct(path.stat().st_mode & 0o777) for path in (host.STATE, RESULTS.parent)],
        "left": host.list_leftovers(),
    }


def _has_begun(number: int) -> bool:
    """Whether so many runs began, all of which are armed."""
    folders = list(RESULTS.iterdir()) if RESULTS.exists() else []
    return len(folders) == number and all(
        host.has_started(folder / "events.jsonl") for folder in folders
    )


def _has_results(number: int) -> bool:
    return len(list(RESULTS.glob("*/result.json"))) == number


def _state(unit: str) -> str:
    return host.show_unit(unit, "ActiveState")["ActiveState"]


def export_metrics() -> dict[str, Any]:
    """What the exporter of a service shows: of the first workload, while it is stopped during the
    second, and once it is back, of the third; and how the run fared."""
    run, socket, exporter = (f"probeplan{kind}" for kind in UNITS)
    found: dict[str, Any] = {}
    host.systemctl("start", run)
    host.wait_for(lambda: host.has_started(EXPORTED / "events.jsonl"), "the run", run)
    found["fifo"] = oct(FIFO.stat().st_mode)
    host.call_getppid(CALLS)
    host.wait_for(lambda: _exported() == CALLS, "its count", exporter)
    found["rights"] = _read_rights(exporter)
    host.systemctl("stop", socket)
    found["stopped"] = [_state(exporter), FIFO.exists(), TEXTFILE.exists(), _state(run)]
    host.call_getppid(CALLS)
    host.wait_for(lambda: _sum_windows() == 2 * CALLS, "the second workload", run)
    host.systemctl("start", socket)
    host.wait_for(lambda: _state(exporter) == "active", "the exporter's return", exporter)
    host.call_getppid(CALLS)
    host.wait_for(lambda: _sum_windows() == 3 * CALLS, "the third workload", run)
    host.systemctl("stop", run)
    found["run"] = [_state(run), *END.read_text().split()]
    host.wait_for(lambda: _exported() == CALLS, "the count of the third workload", exporter)
    found["result"] = host.sum_up_result(EXPORTED)
    found["said"] = host.read_journal(run)
    host.systemctl("stop", socket)
    found["left"] = host.list_leftovers()
    return found


# A unit that is at rest and has not failed is forgotten, with how its last process ended.
END = host.STATE / "exported.end"
NOTE_END = f"ExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT $EXIT_STATUS >{END}'\n"
UNITS = ("@exported.service", "-export@exported.socket", "-export@exported.service")


def _exported() -> int | None:
    """The count of the metric in the text file; None where there is none."""
    text = TEXTFILE.read_text() if TEXTFILE.exists() else ""
    found = re.search(r'^probeplan_n_total\{[^}]*probe="call"[^}]*\} (\S+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else None


def _sum_windows() -> int:
    """The count of all windows that the run has written to its result directory."""
    lines = (EXPORTED / "events.jsonl").read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if b'"metric.reported"' in line and line.endswith(b"\n")]
    windows = [record for record in map(json.loads, whole) if not record["total"]]
    return sum(cell["value"] for record in windows for cell in record["cells"])


def _read_rights(unit: str) -> dict[str, str]:
    """Who its main process is, and what it may do."""
    pid = host.show_unit(unit, "MainPID")["MainPID"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    return {name: status[name] for name in ("Uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}


def kill_runs() -> dict[str, Any]:
    """What two runs have in the kernel while they are armed, and once their main processes were
    killed and the units are at rest."""
    units = [f"probeplan@killed-{backend}.service" for backend in ("bcc", "tracefs")]
    host.systemctl("start", *units)
    for unit in units:
        host.wait_for(partial(_says_started, unit), "a run", unit)
    armed = host.list_leftovers()
    for unit in units:
        host.systemctl("kill", "--kill-whom=main", "--signal=KILL", unit)
    for unit in units:
        host.wait_for(partial(_has_failed, unit), "its end", unit)
    found = [host.show_unit(unit, "Result") for unit in units]
    return {"armed": armed, "units": found, "left": host.list_leftovers()}


def _says_started(unit: str) -> bool:
    return '"run.started"' in host.read_journal(unit)


def _has_failed(unit: str) -> bool:
    return _state(unit) == "failed"


CASES: tuple[Callable[[], dict[str, Any]], ...] = (
    prepare_host,
    fire_timer_twice,
    export_metrics,
    kill_runs,
)


def main() -> None:
    """Run all; a record of each is written before the next begins."""
    module = "tests.guest.systemd.cases"
    driver.CASE_SECONDS = 600.0
    with (host.SHARE / "results.jsonl").open("w") as file:
        for case in CASES:
            put(file, {"id": case.__name__, "outcome": "started"})
            call = f"{module}:{case.__name__}"
            put(file, run_case({"id": case.__name__, "call": call, "kwargs": {}}))
    with (host.SHARE / "journal").open("w") as journal:
        subprocess.run(["journalctl", "--no-pager"], stdout=journal, check=False)


if __name__ == "__main__":
    main()
