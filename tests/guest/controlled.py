"""A case that looks at a run from outside: what `status` says of its kprobes while they are on,
paused, and gone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from orchestrator.kernel.kprobe_list import kprobe_states
from tests.guest import Unsupported

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: guest, summary: for tests}
limits: {duration: 1m, at_cap: mute, cpu: 100%}
target: {comm: nobody-at-all}
probes:
  call: {attach: "kprobe:read_zero", emit: {wanted: args.count}}
  other: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {}}
"""


def states() -> dict[str, Any]:
    """By step, what `status` tells of each probe; what `stop` exits with, and what stays."""
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
