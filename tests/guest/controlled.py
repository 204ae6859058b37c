"""Cases that look at a run from outside: what `status` says of its kprobes while they are on,
paused, and gone; who may run one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from orchestrator.kernel.kprobe_list import kprobe_states
from tests.guest import Unsupported
from tests.guest.product import leftovers
from tests.support.confined import NOBODY, confined

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: guest, summary: for tests}
limits: {duration: 1m, at_cap: mute, cpu: 100%}
target: {comm: no-such-task}
probes:
  call: {attach: "kprobe:read_zero", emit: {wanted: args.count}}
  other: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {}}
"""


def states() -> dict[str, Any]:
    """By step, what `status` reports each probe; what `stop` exits with, and what stays."""
    if kprobe_states() is None:
        raise Unsupported("debugfs kprobes/list")
    folder = Path("/run/controlled")
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN)
    log = folder / "log"
    run = _probeplan("run", str(folder / "plan.yaml"), "--backend", "tracefs", "--log", str(log))
    while not log.exists() or b"\n" not in log.read_bytes():
        if run.poll() is not None:
            raise AssertionError(run.communicate())
        time.sleep(0.05)
    run_id = json.loads(log.read_bytes().splitlines()[0])["run_id"]
    steps = {"on": _status()}
    _done(_probeplan("pause", run_id, "call"))
    steps["paused"] = _status()
    _done(_probeplan("stop", run_id))
    code = run.wait()
    left = [place for place in kprobe_states() or () if "read_zero" in place]
    return {"steps": steps, "exit_code": code, "left": left}


def _status() -> dict[str, Any]:
    [run] = json.loads(_done(_probeplan("status", "--json")))
    return {
        probe["probe"]: [probe["paused"], *(place["kernel"] for place in probe["attached"])]
        for probe in run["probes_now"]
    }


def _probeplan(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "orchestrator.cli", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=dict(os.environ))


def _done(process: "subprocess.Popen[str]") -> str:
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out


_GROUP = 4711
_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
_CALLS = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: guest, summary: for tests}
limits: {duration: 1m, rate: 1M/s, cpu: 100%}
probes:
  call: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {}}
"""


def of_the_group(calls: int) -> dict[str, Any]:
    """Another user's runs while tracefs is mounted for a group (Documentation/trace/ftrace.rst,
    gid=): of a member, of a stranger, and of a member whom the kernel's settings keep from perf
    events."""
    plan = Path("/tmp/of-the-group.yaml")  # noqa: S108  # a guest has it for itself
    plan.write_text(_CALLS)
    work = ("-c", f"import os\nfor _ in range({calls}): os.getppid()")
    before = _PARANOID.read_text()

    def run(group: int, paranoid: str) -> dict[str, Any]:
        _PARANOID.write_text(paranoid)
        return _told(confined(str(plan), "bcc", "bpf", "perfmon", command=work, group=group))

    _remount(f"gid={_GROUP},mode=750")
    try:
        reported = {
            "member": run(_GROUP, "2"),
            "stranger": run(NOBODY, "2"),
            "kept": run(_GROUP, "3"),
        }
    finally:
        _remount("gid=0,mode=700")
        _PARANOID.write_text(before)
    return {**reported, "left": leftovers()}


def _remount(options: str) -> None:
    words = ["mount", "-o", f"remount,{options}", "/sys/kernel/tracing"]
    subprocess.run(words, check=True)


def _told(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    return {"code": done.returncode, "lines": done.stdout, "errors": done.stderr}
