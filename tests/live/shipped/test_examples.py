"""The examples, run on this machine's kernel; and the files for other tools alongside them."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.product import Ran, run_cli
from tests.support.shipped import EXAMPLES, ROOT
from tests.support.units import read_unit

UNIT = ROOT / "examples" / "systemd" / "probeplan@.service"
WORKFLOW = ROOT / "examples" / "ci" / "github-lint.yaml"


def first_plan(ran: Ran) -> None:
    assert ran.value("fork", "forks", comm="python3") >= 3


def records_and_filters(ran: Ran) -> None:
    [signal] = ran.data("signal")
    assert (signal["signal"], signal["by_kernel"]) == ("SIGTERM", False)


def entry_and_return(ran: Ran) -> None:
    """A pipe of one page takes 4096 of 60000 bytes, and then none."""
    got = [(write["got"], write["result_name"], write["missing"]) for write in ran.data("write")]
    assert got == [(4096, None, 55904), (-11, "EAGAIN", 60000)]


def metrics(ran: Ran) -> None:
    assert ran.value("read", "calls", comm="python3") >= 1
    assert ran.value("read", "largest") == 7654321
    assert len([line for line in ran.of_kind("metric.reported") if line["metric"] == "calls"]) >= 1


def params_and_targets(ran: Ran) -> None:
    """One sleep of 50 ms; on a busy machine a short one may take as long."""
    sleeps = ran.data("sleep")
    assert any(sleep["took"] >= 50_000_000 for sleep in sleeps)
    assert all(sleep["took"] >= 30_000_000 for sleep in sleeps)
    assert {sleep["result"] for sleep in sleeps} == {0}


def alternatives(ran: Ran) -> None:
    assert [removal["result"] for removal in ran.data("removal")] == [0]
    assert sum(cell["value"] for cell in ran.cells("rename", "renames")) == 1


def limits_and_sampling(ran: Ran) -> None:
    """Of some hundred system calls one of fifty is kept, and each ended process is seen."""
    assert ran.side("busy")["sampled_out"] > ran.side("busy")["accepted"] > 0
    assert len(ran.data("rare")) >= 4


def user_space(ran: Ran) -> None:
    names = [(lookup["name"], lookup["result"]) for lookup in ran.data("lookup")]
    assert names == [("localhost", 0)]


def another_task(ran: Ran) -> None:
    """A sleeper is woken by whom it may; one of a hundred wake-ups is shown."""
    assert sum(cell["value"] for cell in ran.cells("wake", "wakeups")) >= 100


def figures(ran: Ran) -> None:
    """They are of the metrics alongside them, exactly."""
    calls = sum(cell["value"] for cell in ran.cells("read", "calls"))
    [derived] = [line for line in ran.of_kind("figure.reported") if line["total"]]
    assert derived["values"]["mean"] == ran.value("read", "bytes") / calls
    assert derived["values"]["failing"] == 100 * ran.value("read", "failed") / calls
    assert derived["values"]["rate"] > 0


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_shows_what_it_says(name: str, tmp_path: Path) -> None:
    """Each alongside one workload that does a little of everything."""
    command = [
        *("/usr/bin/python3", "-m", "tests.support.workload.plans", "examples"),
        str(tmp_path),
    ]
    more = ["--set", "slower_than=30ms"] if name.startswith("05-") else []
    ran = run_cli(str(EXAMPLES[name]), *more, command=command)
    judge: Callable[[Ran], None] = globals()[name.lstrip("0123456789-").replace("-", "_")]
    judge(ran)


# ---------------------------------------------------------------- alongside the plans


def test_the_ci_job_lints_with_annotations() -> None:
    """The workflow is YAML with a job whose last step is our command as it is spelled today."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    [job] = workflow["jobs"].values()
    command = job["steps"][-1]["run"].split()
    assert command[:2] == ["probeplan", "lint"]
    words = [sys.executable, "-m", "orchestrator.cli", *command[1:]]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(("plan", "backend"), [("python-gc", "bcc"), ("fsync", "tracefs")])
def test_its_options_and_capabilities_are_enough(plan: str, backend: str) -> None:
    """The unit's command line, with the unit's capabilities and no more, runs a plan."""
    service = read_unit(UNIT.name)["Service"]
    assert service["ExecStart"] == "/usr/bin/probeplan run ${PLAN} --no-progress $OPTIONS"
    [options] = re.findall(r'^Environment="OPTIONS=(.*)"$', UNIT.read_text(), re.MULTILINE)
    caps = [f"+{cap.removeprefix('CAP_').lower()}" for cap in capabilities()]
    confined = ["setpriv", "--no-new-privs", f"--bounding-set=-all,{','.join(caps)}"]
    command = ["/usr/bin/python3", "-m", "tests.support.workload.plans", plan]
    ran = run_cli(plan, "--backend", backend, *options.split(), command=command, confined=confined)
    assert ran.finished["delivered"] >= 5


def capabilities() -> list[str]:
    return read_unit(UNIT.name)["Service"]["CapabilityBoundingSet"].split()


def test_the_hardening_leaves_tracing_possible() -> None:
    """What would take tracing away is not there; what does not need to be given is taken."""
    service = read_unit(UNIT.name)["Service"]
    for name in ("ProtectKernelTunables", "ProtectKernelLogs", "PrivateUsers", "ProtectProc"):
        assert service.get(name, "no") in ("no", "default"), name
    assert "CAP_SYS_ADMIN" not in capabilities()
    assert "/sys/kernel/tracing" in service["ReadWritePaths"].split()
    assert service["NoNewPrivileges"] == "yes"
