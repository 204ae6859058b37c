"""`probeplan rehearse` with real machines: a plan that this host may be unable to run."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.lab import Kernel
from orchestrator.lab.qemu import QEMU
from tests.guest.lab.test_guest import wait_until
from tests.support.product import Ran
from tests.support.results import checked_result

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: zeros, summary: for tests}
limits: {duration: 1m, cpu: 100%}
probes:
  zero: {attach: "kprobe:read_zero", emit: {wanted: args.count}}
"""
pytestmark = pytest.mark.usual_kernel


@pytest.fixture
def command(guest_kernel: Kernel, tmp_path: Path) -> list[str]:
    """The command line up to COMMAND, in a folder that has the plan."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    words = ["rehearse", "plan.yaml", "--kernel", guest_kernel.name, "--backend", "tracefs"]
    # What a shell starts in the background ignores interrupts, and so do its children.
    return ["env", "--default-signal=INT", sys.executable, "-m", "orchestrator.cli", *words]


@pytest.fixture
def own_environment(tmp_path: Path) -> dict[str, str]:
    """With a folder for temporary files in which what is left is seen."""
    (tmp_path / "temporary").mkdir()
    path = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "TMPDIR": str(tmp_path / "temporary"),
        "SEEN": "a 'b'",
    }


def test_a_kprobe_counts_exactly_and_a_failed_command_is_5(
    command: list[str], own_environment: dict[str, str], tmp_path: Path
) -> None:
    """The command finds this host's files, folder and environment, and changes none of them; the
    output is a run's, on the same streams and in the same files."""
    script = """
    dd if=/dev/zero of=/dev/null bs=512 count=7 2>/dev/null
    echo "$SEEN in $PWD: $(cat given)"; echo to standard error >&2
    echo changed > given; echo made > made; exit 9
    """
    (tmp_path / "given").write_text("mine\n")
    with (tmp_path / "given").open("rb") as stdin:
        done = subprocess.run(
            [*command, "--out", "out", "--log", "log", "--", "sh", "-c", script],
            cwd=tmp_path,
            env=own_environment,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 5, done.stderr
    assert done.stdout == f"a 'b' in {tmp_path}: mine\n"
    assert "to standard error\n" in done.stderr
    ran = Ran.of((tmp_path / "log").read_bytes())
    assert ran.data("zero") == [{"wanted": 512}] * 7
    assert ran.finished["complete"] is True
    assert (ran.finished["exit_code"], ran.finished["command_status"]) == (5, 9)
    result = checked_result(tmp_path / "out")
    assert result["run"]["exit_code"] == 5
    assert (tmp_path / "out" / "events.jsonl").read_bytes() == (tmp_path / "log").read_bytes()
    assert (tmp_path / "given").read_text() == "mine\n"
    assert not (tmp_path / "made").exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_machine_that_is_lost_is_3_with_its_last_words(
    command: list[str], own_environment: dict[str, str], tmp_path: Path
) -> None:
    """Not 5, as if the command had failed; the records until then have come."""
    script = """
    dd if=/dev/zero of=/dev/null count=1
    until grep -q '"event":"event.recorded"' /run/share/.guest/stdout; do :; done
    echo c > /proc/sysrq-trigger
    """
    done = subprocess.run(
        [*command, "--", "sh", "-c", script],
        cwd=tmp_path,
        env=own_environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "the machine was lost: the kernel panicked during the job: sysrq" in done.stderr
    console = done.stderr.rpartition("--- end of its console ---")[2]
    assert "Kernel Offset: disabled" in console  # what a panic prints last
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["run.started", "probe.attached", "event.recorded"]
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.timeout(100)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_machine_at_once(
    command: list[str],
    own_environment: dict[str, str],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    with subprocess.Popen(
        [*command, "--", "sleep", "infinity"],
        cwd=tmp_path,
        env=own_environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as owner:
        wait_until(lambda: bool(list(machines_of(owner.pid))))
        [machine] = machines_of(owner.pid)
        owner.send_signal(number)
        assert owner.wait(timeout=30) == code
        assert b"interrupted: the machine was ended" in owner.communicate()[0]
    assert not Path(f"/proc/{machine}").exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def machines_of(owner: int) -> Iterator[int]:
    """The QEMUs that this process has started, by pid."""
    for children in Path(f"/proc/{owner}/task").glob("*/children"):
        for child in children.read_text().split():
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(QEMU.encode() + b"\0"):
                yield int(child)
