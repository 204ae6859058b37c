"""`probeplan run` as a separate process, which is then stopped, killed or hindered."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.kernel_state import left_by
from tests.support.product import Ran

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: faults, summary: for tests}
limits: {events: 100k, rate: 1M/s, duration: DURATION, cpu: 100%}
target: {pid: [PID]}
probes:
"""
TRACEPOINT = "  call: {attach: 'tracepoint:syscalls:sys_enter_getppid', emit: {}}\n"
UPROBE = "  call: {attach: 'uprobe:libc.so.6:getppid', emit: {}}\n"
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "probeplan-tests-bytecode"),
}
Process = subprocess.Popen[bytes]


def probeplan(*arguments: str, program: str = "", **options: Any) -> Process:
    """The command line, or a `program` that becomes it after changing something."""
    start = ["-c", program] if program else ["-m", "orchestrator.cli"]
    pipes: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": ENVIRONMENT,
    } | options
    return subprocess.Popen([sys.executable, *start, *arguments], **pipes)


def plan_of(folder: Path, probes: str, pid: int, duration: str = "60s") -> str:
    """A plan for one process."""
    file = folder / "plan.yaml"
    file.write_text(PLAN.replace("DURATION", duration).replace("PID", str(pid)) + probes)
    return str(file)


@contextmanager
def caller(comm: str = "") -> Iterator[int]:
    """A process that calls getppid a thousand times a second; its id."""
    code = "import os,sys,time\nif sys.argv[1]: open('/proc/self/comm','w').write(sys.argv[1])\n"
    code += "print(flush=True)\nwhile True: os.getppid(); time.sleep(.001)"
    process = subprocess.Popen([sys.executable, "-c", code, comm], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def first_event(process: Process) -> dict[str, Any]:
    """The first event's line, when it comes."""
    assert process.stdout is not None
    for line in process.stdout:
        if b'"event.recorded"' in line:
            return dict(json.loads(line))
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def rest(process: Process) -> Ran:
    """What it still writes until it ends; nothing is left behind then."""
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        ran = Ran.of(process.stdout.read())
        process.wait(timeout=60)
    assert left_by(ran.finished["run_id"]) == []
    return ran


def gone(process: Process) -> None:
    """End it, if need be."""
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
