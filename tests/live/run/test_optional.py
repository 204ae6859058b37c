"""`optional: true`: what this kernel does not offer is left out and reported, and the rest is
exact; without it, or when nothing would be left, the run is refused and nothing is attached."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.cli.test_run import BACKENDS, ENVIRONMENT, WORKLOAD, N
from tests.support.product import Ran, check_accounts
from tests.support.requirements import needs_a_kernel

pytestmark = needs_a_kernel
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {{name: optional, summary: for tests}}
limits: {{events: 10k, rate: 1000k/s, duration: 60s, cpu: 100%}}
probes:
  gone:
    attach: {gone}
    optional: {optional}
    emit: {{}}
  call:
    {call}
    optional: true
    emit: {{}}
"""
HERE = "attach: tracepoint:syscalls:sys_enter_getppid"
GONE = ("tracepoint:syscalls:sys_enter_nothing", "uprobe:libc.so.6:no_such_function")


def run(folder: Path, backend: str, **plan: str) -> "subprocess.CompletedProcess[str]":
    (folder / "plan.yaml").write_text(PLAN.format(**plan))
    words = ("run", str(folder / "plan.yaml"), "--backend", backend, "--no-progress")
    command = [sys.executable, "-m", "orchestrator.cli", *words, "--", *WORKLOAD]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("gone", GONE)
def test_an_optional_probe_is_left_out_and_told(tmp_path: Path, backend: str, gone: str) -> None:
    done = run(tmp_path, backend, gone=gone, optional="true", call=HERE)
    assert done.returncode == 0, done.stderr
    ran = Ran.of(done.stdout)
    check_accounts(ran)
    assert len(ran.data("call")) == N
    [skipped] = ran.of_kind("probe.skipped")
    assert skipped["probe"] == "gone"
    assert gone.rpartition(":")[2] in skipped["to"]
    assert skipped["reason"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_of_several_attach_points_those_that_are_there_are_taken(
    tmp_path: Path, backend: str
) -> None:
    both = f"attach_all: [{{to: '{GONE[0]}', optional: true}}, '{HERE[8:]}']"
    done = run(tmp_path, backend, gone=GONE[1], optional="true", call=both)
    assert done.returncode == 0, done.stderr
    ran = Ran.of(done.stdout)
    assert len(ran.data("call")) == N
    assert {one["probe"] for one in ran.of_kind("probe.skipped")} == {"gone", "call"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("optional", "call"),
    [("false", HERE), ("true", f"attach: {GONE[0]}")],
    ids=["not optional", "nothing left"],
)
def test_what_is_needed_is_refused(tmp_path: Path, backend: str, optional: str, call: str) -> None:
    done = run(tmp_path, backend, gone=GONE[0], optional=optional, call=call)
    assert (done.returncode, done.stdout) == (3, "")
    assert "sys_enter_nothing" in done.stderr
