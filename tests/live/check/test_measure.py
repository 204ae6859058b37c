"""A check's workload is repeated and measured: exact counts, servers, time-outs, and nothing is
left."""

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.check.document.load import load_check
from orchestrator.check.measurement import Measurement, Repeat
from orchestrator.check.measuring.measure import measure_check, prepare_check
from orchestrator.check.processes.tree import find_descendants
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.findings import PlanError
from orchestrator.run.options import RunOptions
from orchestrator.run.signals import Signals
from tests.faults.kernel_state import everything_left
from tests.live.check.ended import end_in_the_midst
from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS
from tests.support.settling import until

backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])

HEAD = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: measured, summary: for tests}
plan:
  probes:
    call:
      attach: "tracepoint:raw_syscalls:sys_enter"
      let: {number: args.id}
      metrics: {calls: {count: true, by: [number]}, names: {count: true, by: [comm]}}
expect: {calls: call.calls >= 0}
workload:
"""


class Measured:
    """The folder of a check, and its measuring."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.journals = folder, folder / "journals"

    def measure(self, workload: str, backend: str = "bcc", head: str = HEAD) -> Measurement:
        file = self.folder / "check.yaml"
        lines = (f"  {line}\n" for line in workload.strip().splitlines())
        file.write_text(head + "".join(lines))
        check = load_check(str(file))
        prepared = prepare_check(check, live_facts(), (), backend=backend)
        with Signals() as signals:
            return measure_check(
                check,
                prepared,
                signals,
                options=RunOptions(journals=(self.journals,)),
                environment={"PASSED": "on", "KEPT": "back"},
            )


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Measured]:
    tmp_path.chmod(0o755)
    before = _scratch_folders()
    yield Measured(tmp_path)
    assert find_descendants(os.getpid()) == {}
    assert everything_left(None, tmp_path / "journals") == []
    assert _scratch_folders() <= before


def _scratch_folders() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("probeplan-check-*")}


def value(repeat: Repeat, number: int) -> int:
    cells = repeat.cells["call"]["calls"]
    return sum(cell.value or 0 for cell in cells if cell.key == {"number": number})


GETPPID, FDATASYNC, FSYNC = 110, 75, 74


@backends
def test_repeats_of_two_sizes_are_exact(backend: str, measured: Measured, steps: Path) -> None:
    found = measured.measure(f"run: [{steps}, $(ops)]\nops: [100, 300]", backend)
    assert found.trouble is None
    assert [repeat.ops for repeat in found.repeats] == [100, 300] * 3
    assert [value(repeat, GETPPID) for repeat in found.repeats] == [200, 600] * 3
    for repeat in found.repeats:
        assert repeat.outcome == "command"
        assert repeat.losses == {}
        assert repeat.faulted == repeat.children_lost == 0
        assert [cell.key for cell in repeat.cells["call"]["names"]] == [{"comm": "steps"}]
        assert repeat.command.code == 0
        assert repeat.wall_ns > 0
    assert found.probes["call"].place == "user-visible"
    assert found.probes["call"].alternative == "tracepoint:raw_syscalls:sys_enter"
    assert found.metrics["call"]["calls"].by == ("number",)
    assert found.environment.backend == backend


USER_HEAD = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: measured, summary: for tests}
plan:
  probes:
    step: {attach: "ufunction:STEPS:step", metrics: {calls: {count: true}, sum: {sum: arg0}}}
    allocate: {attach: "ufunction:libc.so.6:malloc", metrics: {calls: {count: true}}}
expect: {calls: step.calls >= 0}
workload:
"""


@backends
@pytest.mark.parametrize("user", ["root", "nobody"])  # words: ok
def test_calls_of_user_code_are_exact_whoever_runs_it(backend: str, user: str) -> None:
    """A process that gives up its rights keeps what was attached to it."""
    with tempfile.TemporaryDirectory() as name:
        measured = Measured(Path(name))
        measured.folder.chmod(0o755)
        steps = compile_to(measured.folder / "steps", WORKLOADS / "steps.c")
        head = USER_HEAD.replace("STEPS", str(steps))
        workload = f"run: [./steps, $(ops)]\nops: [30, 70]\nuser: {user}\nwarmup: 0\nrepeats: 2"
        found = measured.measure(workload, backend, head)
        assert found.trouble is None, found.trouble
        cells = [repeat.cells["step"] for repeat in found.repeats]
        assert [one["calls"][0].value for one in cells] == [30, 70] * 2
        assert [one["sum"][0].value for one in cells] == [30 * 31 // 2, 70 * 71 // 2] * 2
        assert all(repeat.losses.get("step", ()) == () for repeat in found.repeats)


def test_a_transaction_of_sqlite_syncs_four_times(measured: Measured) -> None:
    """Two files and their folder: the journal, its end, the database, the journal's removal."""
    script = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('create table t(a)')\n"
        "for i in range(int(sys.argv[2])): db.execute('insert into t values (?)', (i,))\n"
    )
    (measured.folder / "bulk.py").write_text(script)
    found = measured.measure(
        "setup: [[rm, -f, $(scratch)/t.db]]\n"
        "run: [python3, $(here)/bulk.py, $(scratch)/t.db, $(ops)]\n"
        "ops: [20, 50]\nrepeats: 2\nwarmup: 0"
    )
    assert found.trouble is None
    syncs = [value(r, FDATASYNC) + value(r, FSYNC) for r in found.repeats]
    assert syncs[0] == syncs[2]
    assert (syncs[1] - syncs[0]) / 30 == (syncs[3] - syncs[2]) / 30 == 4


def test_the_environment_is_clean_and_the_folders_are_as_said() -> None:
    """The command compares what it finds with what it should be; its exit code is the answer. Not
    everybody may look into the folders of pytest."""
    with tempfile.TemporaryDirectory() as name:
        measured = Measured(Path(name))
        measured.folder.chmod(0o755)
        _look_around(measured)


def _look_around(measured: Measured) -> None:
    script = measured.folder / "look.sh"
    script.write_text(
        "#!/bin/sh\n"
        '[ "$(id -un)" = nobody ] || exit 11\n'  # words: ok
        '[ "$PASSED$KEPT$OWN" = onset ] || exit 12\n'
        '[ "$PYTHONHASHSEED$LC_ALL$TZ" = 0C.UTF-8UTC ] || exit 13\n'
        '[ "$(pwd)" = "$1" ] && [ -w . ] || exit 14\n'
        '[ "$(cat)" = input ] || exit 15\n'
    )
    script.chmod(0o755)
    (measured.folder / "input").write_text("input\n")
    found = measured.measure(
        "run: [./look.sh, $(scratch)]\nuser: nobody\npass_env: [PASSED]\n"  # words: ok
        "env: {OWN: set}\nstdin: $(here)/input\nrepeats: 1\nwarmup: 0"
    )
    assert found.trouble is None, found.trouble


@pytest.mark.parametrize(
    ("workload", "stage", "message"),
    [
        ("run: [STEPS, '1', '0', '7']", "run", "ended with status 7"),
        ("run: [STEPS, '1', '0', '7']\nexit: 3", "run", "ended with status 7, not with 3"),
        ("run: [sh, -c, 'echo why; kill -9 $$']", "run", "SIGKILL.*\n.*why"),
        ("run: [STEPS, '1', '60']\ntimeout: 300ms", "run", "longer than its timeout of 0.3 s"),
        ("setup: [['false']]\nrun: ['true']", "setup", "'false' ended with status 1"),
        ("setup: [[sleep, '60']]\nrun: ['true']\ntimeout: 300ms", "setup", "longer than"),
        ("teardown: [['false']]\nrun: ['true']", "teardown", "'false' ended with status 1"),
        ("run: ['true']\nwitness: ['false']", "witness", "'false' ended with status 1"),
        (
            "serve: {run: [sleep, '60'], ready: 'file:/no/such/file'}\n"
            "run: ['true']\ntimeout: 300ms",
            "ready",
            "was not ready",
        ),
        (
            "serve: {run: [sleep, '60'], ready: 'tcp:a..b:1'}\nrun: ['true']",
            "ready",
            "whether the server is ready .* cannot be found out",
        ),
        (
            "serve: {run: ['false'], ready: 'tcp:127.0.0.1:1'}\nrun: ['true']",
            "ready",
            "ended before it was ready",
        ),
    ],
)
def test_a_workload_that_goes_wrong_is_said_with_its_stage(
    measured: Measured, steps: Path, workload: str, stage: str, message: str
) -> None:
    found = measured.measure(workload.replace("STEPS", str(steps)) + "\nwarmup: 0\nrepeats: 1")
    assert found.trouble is not None
    assert found.trouble.stage == stage
    assert re.search(message, found.trouble.message, re.DOTALL), found.trouble.message


@pytest.mark.parametrize(
    "workload",
    ["run: [no-such-program]", "run: [./none]", "run: ['true']\nwitness: [no-such-program]"],
)
def test_a_command_that_is_not_there_is_an_error_of_the_check(
    measured: Measured, workload: str
) -> None:
    with pytest.raises(PlanError, match=r"check.yaml:\d+:\d+: .*cannot be started") as caught:
        measured.measure(workload)
    assert caught.value.findings[0].hint


def test_descendants_that_still_run_are_named_and_ended(measured: Measured) -> None:
    found = measured.measure(
        "run: [sh, -c, 'setsid sleep 600 >/dev/null 2>&1 &']\nrepeats: 1\nwarmup: 0"
    )
    [repeat] = found.repeats
    assert {comm for _, comm in repeat.command.left} <= {"sleep", "setsid", "sh"}
    assert repeat.command.left


def test_the_scratch_folder_is_empty_before_each_repeat(measured: Measured) -> None:
    script = '[ -z "$(ls -A)" ] && mkdir -p a/b && ln -s / root && touch a/b/c'
    found = measured.measure(f"run: [sh, -c, '{script}']\nrepeats: 2\nwarmup: 0")
    assert found.trouble is None, found.trouble


def test_a_witness_is_measured_like_the_command(measured: Measured, steps: Path) -> None:
    found = measured.measure(f"run: ['true']\nwitness: [{steps}, '40']\nrepeats: 1\nwarmup: 0")
    assert found.witness is not None
    assert value(found.witness, GETPPID) == 80
    assert [value(repeat, GETPPID) for repeat in found.repeats] == [0]


SERVER = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready to serve", flush=True)
for _ in range(1000): os.getppid()
while True:
    connection, _ = listening.accept()
    while connection.recv(1): os.getppid()
    connection.close()
"""
CLIENT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    for _ in range(int(sys.argv[2])): connection.send(b"x")
"""


@pytest.mark.parametrize("ready", ["tcp:127.0.0.1:PORT", "line:to serve"])
@backends
def test_a_server_is_measured_from_ready_to_the_end_of_its_driver(
    backend: str, measured: Measured, ready: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    (measured.folder / "server.py").write_text(SERVER)
    (measured.folder / "client.py").write_text(CLIENT)
    found = measured.measure(
        f"serve: {{run: [python3, $(here)/server.py, '{port}'], "
        f"ready: '{ready.replace('PORT', port)}'}}\n"
        f"run: [python3, $(here)/client.py, '{port}', $(ops)]\nops: [10, 40]\n"
        "repeats: 2\nwarmup: 0",
        backend,
    )
    assert found.trouble is None, found.trouble
    assert [value(repeat, GETPPID) for repeat in found.repeats] == [10, 40] * 2
    for repeat in found.repeats:
        assert [cell.key for cell in repeat.cells["call"]["names"]] == [{"comm": "python3"}]


_ENDED = """
import sys
import tempfile
from pathlib import Path
from tests.live.check.test_measure import Measured
Measured(Path(sys.argv[1])).measure(Path(sys.argv[1], "workload").read_text(), "tracefs")
"""
PHASES = {
    "setup": "setup: [[sh, -c, 'touch $(here)/at/here; exec sleep 600']]\nrun: ['true']",
    "run": "run: [sh, -c, 'touch $(here)/at/here; setsid sleep 600 & wait']",
    "server": "serve: {run: [sh, -c, 'touch $(here)/at/here; sleep 600'], ready: 'file:/none'}\n"
    "run: ['true']",
    "driver": "serve: {run: [sh, -c, 'touch $(here)/up; sleep 600'], ready: 'file:$(here)/up'}\n"
    "run: [sh, -c, 'touch $(here)/at/here; exec sleep 600']",
    "teardown": "run: ['true']\nteardown: [[sh, -c, 'touch $(here)/at/here; exec sleep 600']]",
}


@pytest.mark.parametrize("number", [9, 15, 2])
@pytest.mark.parametrize("phase", PHASES)
def test_a_check_that_is_ended_in_any_phase_leaves_nothing(
    tmp_path: Path, phase: str, number: int
) -> None:
    """`kill -9` as well as Ctrl-C: no process, no scratch folder, nothing in the kernel."""
    tmp_path.chmod(0o755)
    (tmp_path / "at").mkdir()
    (tmp_path / "workload").write_text(PHASES[phase] + "\nwarmup: 0\nrepeats: 1")
    before = _scratch_folders()
    end_in_the_midst(_ENDED, tmp_path, number)
    assert until(lambda: everything_left(None, tmp_path / "journals") == [])
    assert until(lambda: _scratch_folders() <= before)
