"""Runs in a booted kernel whose root is on 9p, which is a module, by the types of that module."""

import io
import json
from collections.abc import Mapping
from typing import Any

from orchestrator.kernel.facts import live_facts
from orchestrator.output.sink import Sink
from orchestrator.plan.load import load_plan
from orchestrator.run.runner import run_plan
from tests.guest.product import leftovers

OPENS = 20
_OPEN = f"i=0; while [ $i -lt {OPENS} ]; do : < /etc/hostname; i=$((i+1)); done"
_HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: module, summary: for tests}
limits: {duration: 2m, events: 10k, rate: 1M/s, cpu: 100%}
"""
_OPENED = """\
    where: str(args.file.f_path.dentry.d_name.name) == "hostname"
    emit:
      file: path(args.file)
      kind: cast(args.inode, "struct v9fs_inode").qid.type
      way: kstack
"""
_BCC = f"""
probes:
  call:
    attach: function:v9fs_file_open
{_OPENED}      failed: retval
  trampoline:
    attach: fentry:v9fs_file_open
{_OPENED}  raw:
    attach: rawtracepoint:ext4_sync_file_enter
    emit: {{only_data: args.datasync, number: args.file.f_inode.i_ino}}
"""
_TRACEFS = """
probes:
  call: {attach: "kprobe:v9fs_file_open", emit: {mode: args.inode.i_mode}}
"""


def probe_module(backend: str) -> dict[str, Any]:
    """What the backend sees of OPENS opens of one file, by probe; and what is left behind."""
    ran = _run(backend, _BCC if backend == "bcc" else _TRACEFS)
    return {**ran, "left": leftovers()}


def _run(backend: str, plan: str) -> Mapping[str, Any]:
    lines = io.BytesIO()
    run_plan(
        load_plan((_HEAD + plan).encode()),
        live_facts(),
        backend=backend,
        command=["/bin/sh", "-c", _OPEN],
        log=Sink(lines),
    )
    records = [json.loads(line) for line in lines.getvalue().splitlines()]
    finished = records[-1]
    return {
        "complete": finished["complete"],
        "mechanisms": {
            r["probe"]: r["mechanism"] for r in records if r["event"] == "probe.attached"
        },
        "data": [(r["probe"], r["data"]) for r in records if r["event"] == "event.recorded"],
    }
