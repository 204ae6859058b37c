"""With which rights a run gets along, and which it keeps while it runs: as root and
as another user with exactly the capabilities named."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.cli.test_run import ATTACH, BACKENDS, ENVIRONMENT, WORKLOAD, N, a_plan, left_by
from tests.support.confined import confined
from tests.support.guest_cases import CaseResult
from tests.support.product import Ran, check_accounts
from tests.support.requirements import needs_a_kernel

pytestmark = needs_a_kernel
_NEEDED = ("bpf", "perfmon", "syslog")
_CAP_KILL = 1 << 5
_CAP_SYS_ADMIN = 1 << 21  # permitted, for run times to be measured, and of no effect
#: Prints the capabilities of the run, whose child it is, in all of its threads, and then its own.
_LOOK = """
import glob, os, re
for path in (f"/proc/{os.getppid()}/task/*/status", "/proc/self/status"):
    sets = set()
    for status in map(open, glob.glob(path)):
        sets |= set(re.findall("Cap(?:Eff|Prm|Bnd):\\\\s*([0-9a-f]+)", status.read()))
    print(*sorted(sets))
"""
#: Waits until the run, whose child it is, has given up what has an effect, and no longer than 20 s.
_WAIT = f"""
import glob, os, re, time
end = time.monotonic() + 20
def effective():
    for path in glob.glob(f"/proc/{{os.getppid()}}/task/*/status"):
        yield int(re.search("CapEff:\\\\s*([0-9a-f]+)", open(path).read())[1], 16)
while any(mask & ~{_CAP_KILL} for mask in effective()) and time.monotonic() < end:
    time.sleep(.01)
"""


def run(plan: str, *options: str, command: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "orchestrator.cli", "run", plan, "--no-progress", *options]
    return subprocess.run(
        [*words, "--", *command], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_run_does_not_need_is_given_up_for_good(tmp_path: Path, backend: str) -> None:
    """In every thread, while COMMAND keeps what it was started with; and all is cleaned up, here a
    definition in uprobe_events."""
    plan = a_plan(tmp_path, ATTACH["uprobe"])
    slow = _WAIT + _LOOK
    log = tmp_path / "log"
    done = run(plan, "--backend", backend, "--log", str(log), command=(sys.executable, "-c", slow))
    of_the_run, of_the_command = done.stdout.splitlines()
    kept = [_CAP_KILL, _CAP_KILL | _CAP_SYS_ADMIN][: 2 if backend == "bcc" else 1]
    assert of_the_run == " ".join(f"{one:016x}" for one in kept), done.stderr
    assert int(of_the_command.split()[0], 16) & ~_CAP_KILL
    ran = Ran.of(log.read_text())
    check_accounts(ran)
    assert left_by(ran.finished["run_id"]) == []


def test_privileges_can_be_kept(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    look = (sys.executable, "-c", "import time; time.sleep(.3)" + _LOOK)
    done = run(plan, "--keep-privileges", "--log", str(tmp_path / "log"), command=look)
    of_the_run, of_the_command = done.stdout.splitlines()
    assert of_the_run == of_the_command != f"{_CAP_KILL:016x}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may read."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.mark.parametrize(
    ("backend", "kind", "tracefs"),
    [
        ("bcc", "syscall", "dac_read_search"),
        ("bcc", "uprobe", "dac_override"),
        ("tracefs", "uprobe", "dac_override"),
    ],
)
def test_four_capabilities_are_enough_for_a_user_that_is_not_root(
    folder: Path, backend: str, kind: str, tracefs: str
) -> None:
    """CAP_BPF, CAP_PERFMON, CAP_SYSLOG, and what opens tracefs, which is root's here: to read, or,
    for our own events and instances, to write. Every call is counted, and nothing is left."""
    plan = a_plan(folder, ATTACH[kind])
    done = confined(plan, backend, *_NEEDED, tracefs, command=WORKLOAD[1:])
    assert done.returncode == 0, done.stderr
    ran = Ran.of(done.stdout)
    check_accounts(ran)
    assert len(ran.data("call")) == N
    assert ran.finished["complete"] is not False
    assert left_by(ran.finished["run_id"]) == []


@pytest.mark.parametrize("missing", ["bpf", "perfmon"])
def test_a_capability_that_is_missing_is_named(folder: Path, missing: str) -> None:
    given = [name for name in (*_NEEDED, "dac_override") if name != missing]
    done = confined(a_plan(folder, ATTACH["syscall"]), "bcc", *given, command=WORKLOAD[1:])
    assert (done.returncode, done.stdout) == (3, "")
    assert f"without CAP_{missing.upper()}" in done.stderr


@pytest.mark.usual_kernel
@pytest.mark.guest("tests.guest.controlled:of_the_group", calls=N)
def test_the_group_of_tracefs_stands_in_for_the_right_to_read_it(guest: CaseResult) -> None:
    """Where tracefs is mounted for a group, its members need CAP_BPF and CAP_PERFMON for
    tracepoints, and nothing that opens files. Who is no member, or is kept from perf events by the
    kernel's settings, is informed."""
    reported = guest.result()
    assert reported["member"]["code"] == 0, reported["member"]["errors"]
    ran = Ran.of(reported["member"]["lines"])
    check_accounts(ran)
    assert len(ran.data("call")) == N
    assert reported["left"] == []
    assert reported["stranger"]["code"] == 3
    assert "tracefs" in reported["stranger"]["errors"]
    assert reported["kept"]["code"] == 3
    assert "kernel.perf_event_paranoid" in reported["kept"]["errors"]
