"""A host that goes down while an unattended run is armed: a machine whose /var/lib/probeplan
outlives it is started twice."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.lab import GuestLost, Kernel, run_in_guest
from orchestrator.lab.guest import GUEST_SHARE, find_python
from orchestrator.run.unattended.quarantine import Quarantine

PLAN = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: reboot, summary: for tests}
limits: {duration: 60s, cpu: 100%}
probes:
  call: {attach: 'tracepoint:syscalls:sys_enter_getppid', metrics: {n: {count: true}}}
"""
#: What both boots begin with. The state is in the share, which is a folder of this host.
BEGIN = """
mkdir -p /var/lib/probeplan "$PROBEPLAN_SHARE/state"
chmod 700 "$PROBEPLAN_SHARE/state"
mount --bind "$PROBEPLAN_SHARE/state" /var/lib/probeplan
probeplan() { PYTHON -m orchestrator.cli "$@"; }
cd REPOSITORY
run() { probeplan run "$PROBEPLAN_SHARE/$1.yaml" --unattended --backend tracefs; }
"""
GO_DOWN = """
run reboot >"$PROBEPLAN_SHARE/first.jsonl" &
until grep -q run.started "$PROBEPLAN_SHARE/first.jsonl"; do kill -0 $! || exit 1; sleep 0.1; done
echo b >/proc/sysrq-trigger
sleep 60
"""
COME_BACK = """
run reboot >"$PROBEPLAN_SHARE/second.jsonl"; echo $? >"$PROBEPLAN_SHARE/code"
"""


#: What a run imports, compiled on this host: a guest compiles slowly.
IMPORTS = """
import orchestrator.backends.tracefs.backend, orchestrator.cli.unattended.flow
import orchestrator.cli.unattended.report, orchestrator.run.ending.run_end
import orchestrator.run.live, orchestrator.run.prepare, orchestrator.run.runner
import orchestrator.run.unattended.quarantine, orchestrator.run.unattended.result_pruning
import orchestrator.cli.run
"""
BYTECODE = "PYTHONPYCACHEPREFIX"
TIMEOUT_S = 240  # of a machine that has a quarter of a CPU


def compile_imports(share: Path, repository: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-c", IMPORTS],
        check=True,
        cwd=repository,
        env=env | {BYTECODE: str(share / "bytecode")},
    )


def start_machine(kernel: Kernel, share: Path, script: str, repository: Path) -> None:
    """Run the script in a machine. Raises GuestLost."""
    begin = BEGIN.replace("PYTHON", shlex.quote(find_python(kernel)))
    words = ["sh", "-c", begin.replace("REPOSITORY", shlex.quote(str(repository))) + script]
    env = {BYTECODE: str(GUEST_SHARE / "bytecode")}
    end = run_in_guest(kernel, words, share=share, timeout_s=TIMEOUT_S, overlay=True, env=env)
    assert end.returncode == 0, end.stderr


@pytest.mark.usual_kernel
def test_a_plan_that_was_armed_when_the_host_went_down_is_kept_from_it(
    guest_kernel: Kernel, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The next unattended run finds the marker, and here it is one of the same plan."""
    repository = pytestconfig.rootpath
    (tmp_path / "reboot.yaml").write_text(PLAN)
    compile_imports(tmp_path, repository)
    with pytest.raises(GuestLost, match="during the job"):
        start_machine(guest_kernel, tmp_path, GO_DOWN, repository)
    first = json.loads((tmp_path / "first.jsonl").read_text().splitlines()[0])
    marker = tmp_path / "state" / "running" / f"{first['run_id']}.json"
    assert json.loads(marker.read_text())["plan_digest"] == first["plan_sha256"]

    start_machine(guest_kernel, tmp_path, COME_BACK, repository)
    assert (tmp_path / "code").read_text() == "3\n"
    refused = json.loads((tmp_path / "second.jsonl").read_text().splitlines()[-1])
    assert (refused["event"], refused["outcome"]) == ("run.refused", "quarantined")
    (entry,) = Quarantine(tmp_path / "state" / "quarantine").entries(time.time_ns())
    assert (entry.plan_name, entry.cause) == ("reboot", "host went down")
    assert (entry.plan_digest, entry.run_id) == (first["plan_sha256"], first["run_id"])
    assert not marker.exists()
    results = [json.loads(path.read_text()) for path in tmp_path.rglob("result.json")]
    assert [kept["run"]["outcome"] for kept in results] == ["quarantined"]
