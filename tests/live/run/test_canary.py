"""The canary: where a plan is attached to hot places, a second's count reports beforehand whether
it would break limits.cpu. It is the run's own program, and its events are none of the run's."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.cli.test_run import BACKENDS, ENVIRONMENT
from tests.support.product import ROOT, Ran, check_accounts
from tests.support.requirements import needs_a_kernel
from tests.support.settling import until

pytestmark = needs_a_kernel

#: About 50,000 calls a second that hardly anyone else makes, and that do not wait for others.
_READ = """
import os, time
zeros, space = os.open("/dev/zero", os.O_RDONLY), [bytearray(1)]
while True:
    for _ in range(500):
        os.readv(zeros, space)
    time.sleep(.01)
"""
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: canary, summary: for tests}
limits: {duration: 3s, cpu: 0.01%}
probes:
  read:
    attach: tracepoint:syscalls:sys_enter_readv
    metrics: {calls: {count: true}}
"""


def run(
    plan: Path, *options: str, command: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "orchestrator.cli", "run", str(plan), "--no-progress", *options]
    return subprocess.run(
        [*words, *(("--", *command) if command else ())],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path / "plan.yaml"


@pytest.fixture
def busy() -> Iterator[None]:
    """A host on which the place is hot."""
    process = subprocess.Popen([sys.executable, "-c", _READ])
    yield
    process.kill()
    process.wait()


def read_proposal(refused: "subprocess.CompletedProcess[str]") -> int:
    """The limits.cpu, in per cent, that a refusal names."""
    [percent] = re.findall(r"`limits.cpu: (\d+)%` would fit", refused.stderr)
    return int(percent)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("busy")
def test_a_plan_that_is_too_hot_is_refused_with_a_proposal_that_runs(
    plan: Path, backend: str
) -> None:
    """Nothing was attached in full, and nothing is left; the proposal's own figure is enough."""
    refused = run(plan, "--backend", backend)
    assert refused.returncode == 3
    assert "error[PP095]: the plan would take" in refused.stderr
    assert not Ran.of(refused.stdout).of_kind("probe.attached")
    for _ in range(10):  # another second of a busy host may have more such calls
        percent = read_proposal(refused)
        done = run(plan, "--backend", backend, "--limit", f"cpu={percent}%")
        if done.returncode != 3 or read_proposal(done) <= percent:
            break
        refused = done
    assert done.returncode == 0, done.stderr
    ran = Ran.of(done.stdout)
    check_accounts(ran)
    reported = ran.of_kind("run.started")[0]["canary"]
    assert 0.0001 < reported["cost"] <= percent / 100
    assert reported["probes"]["read"]["hits_per_s"] > 1000
    assert ran.value("read", "calls") > 1000


@pytest.mark.usefixtures("busy")
def test_without_a_canary_the_governor_is_left(plan: Path) -> None:
    done = run(plan, "--no-canary")
    ran = Ran.of(done.stdout)
    assert ran.of_kind("run.started")[0]["canary"] == {"skipped": "the run was not asked for one"}
    assert ran.finished["outcome"] == "cost"


def test_a_command_has_not_begun_when_a_canary_would_look(plan: Path) -> None:
    ran = Ran.of(run(plan, "--limit", "cpu=100%", command=("true",)).stdout)
    assert ran.of_kind("run.started")[0]["canary"] == {
        "skipped": "the command would not have started"
    }


# ---------------------------------------------------------------- one program, two counts

#: Runs probeplan with another cache, and writes down how many texts the compiler was given.
_DRIVER = """
import atexit, sys
from pathlib import Path
from orchestrator.backends import cache_directory
from orchestrator.backends.bcc.compiler import clang
from orchestrator.cli import main
cache_directory.SYSTEM_DIRECTORY = Path(sys.argv[1])
compile_texts, given = clang.compile_texts, []
def count_texts(texts):
    given.extend(texts)
    return compile_texts(texts)
clang.compile_texts = count_texts
atexit.register(lambda: Path(sys.argv[2]).write_text(str(len(given))))
sys.exit(main(sys.argv[3:]))
"""
#: Each call of write to descriptor 77 is known by its length: 1, 2, 3, ... until the file is there.
_NUMBERED = """
import os, sys, time
os.dup2(os.open("/dev/null", os.O_WRONLY), 77)
lengths = memoryview(bytes(1 << 20))
number = 0
while not os.path.exists(sys.argv[1]):
    number += 1
    os.write(77, lengths[:number])
    time.sleep(.002)
print(number)
"""
_WRITES = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: numbered, summary: for tests}
limits: {duration: 3s, cpu: 100%, events: 100k, rate: 1M/s}
probes:
  write:
    attach: syscall:write
    where: entry(args.fd == 77)
    emit: {number: args.count, got: retval}
    metrics: {calls: {count: true}, by_size: {count: true, by: [args.count], keys: 100k}}
"""


class Cold:
    """Runs that find nothing kept, with how many texts each had compiled."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.compiled = folder, 0

    def start(self, plan: Path, *options: str, cache: bool = True) -> "subprocess.Popen[str]":
        words = [sys.executable, "-c", _DRIVER, str(self._folder / "cache"), str(self._counted)]
        environment = ENVIRONMENT | ({} if cache else {"PROBEPLAN_CACHE": "off"})
        return subprocess.Popen(
            [*words, "run", str(plan), "--no-progress", *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def _counted(self) -> Path:
        return self._folder / "compiled"

    def end(self, process: "subprocess.Popen[str]") -> Ran:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        self.compiled = int(self._counted.read_text())
        return Ran.of(out)


@pytest.fixture
def cold(tmp_path: Path) -> Cold:
    return Cold(tmp_path)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.usefixtures("busy")
def test_a_cold_start_compiles_one_text(plan: Path, cold: Cold, cache: bool) -> None:
    """Also where nothing may be kept on disk: the run attaches what its canary attached."""
    options = ("--backend", "bcc", "--limit", "cpu=100%")
    ran = cold.end(cold.start(plan, *options, cache=cache))
    assert ran.of_kind("run.started")[0]["canary"]["probes"]["read"]["hits_per_s"] > 1000
    assert ran.value("read", "calls") > 1000
    assert cold.compiled == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_events_of_the_canary_are_none_of_the_runs_and_none_of_the_runs_is_lost(
    tmp_path: Path, cold: Cold, backend: str
) -> None:
    """A program that calls through canary and run numbers its calls. The run has all from one of
    them to the last, each once, in the order in which they were made; it begins after the canary,
    which has counted others."""
    (tmp_path / "writes.yaml").write_text(_WRITES)
    log, stop = tmp_path / "log", tmp_path / "stop"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", _NUMBERED, str(stop)], stdout=subprocess.PIPE, text=True
    ) as numbered:
        target = ("--target", f"pid={numbered.pid}", "--backend", backend, "--log", str(log))
        run = cold.start(tmp_path / "writes.yaml", *target)
        began = until(lambda: log.exists() and '"event.recorded"' in log.read_text())
        stop.touch()
        assert began
        made = int(numbered.communicate(timeout=60)[0])
    _, error = run.communicate(timeout=120)
    assert run.returncode == 0, error
    ran = Ran.of(log.read_text())
    check_accounts(ran)
    counted = ran.of_kind("run.started")[0]["canary"]["probes"]["write"]
    numbers = [fields["number"] for fields in ran.data("write")]
    first = numbers[0]
    assert numbers == list(range(first, made + 1))
    assert [fields["got"] for fields in ran.data("write")] == numbers
    assert first > counted["hits_per_s"] / 2 > 0  # about a second of calls came before
    assert ran.value("write", "calls") == len(numbers)
    by_size = ran.cells("write", "by_size")
    assert sorted(cell["key"]["args.count"] for cell in by_size) == numbers
    assert {cell["value"] for cell in by_size} == {1}
