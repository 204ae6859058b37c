"""Test sessions that are measured on this kernel: exact counts, and nothing of the plugin."""

import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults.kernel_state import everything_left
from tests.support.paths import ROOT
from tests.support.plugin_sessions import PLUGIN, isolate_session
from tests.support.settling import until

#: All system calls by their number, and what the tests do.
HEAD = """
import ctypes, os, signal, subprocess, sys, time
import pytest

CALLS = {"probes": {"call": {
    "attach": "tracepoint:raw_syscalls:sys_enter",
    "let": {"number": "args.id"},
    "metrics": {"calls": {"count": True, "by": ["number"]}},
}}}
GETPPID = 110
parent = ctypes.CDLL(None).getppid

def sync():
    descriptor = os.open("synced", os.O_CREAT | os.O_WRONLY)
    os.fsync(descriptor)
    os.close(descriptor)

def counted(seen):
    return {cell["key"]["number"]: cell["value"] for cell in seen.cells("call.calls")}
"""


@pytest.fixture(autouse=True)
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate_session(pytester, monkeypatch)


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=HEAD + tests)
    return pytester.runpytest_subprocess(*PLUGIN, *options)


def test_a_block_counts_its_calls_and_no_other(pytester: pytest.Pytester) -> None:
    """Of all system calls of the process: not one of the plugin's, whichever way the block is
    measured, and with another block within it."""
    result = run(
        pytester,
        """
@pytest.mark.parametrize("n", range(20))
def test_block(probeplan, n):
    with probeplan(CALLS) as seen:
        for _ in range(n):
            os.getppid()
            parent()
    assert counted(seen) == ({GETPPID: 2 * n} if n else {})

@pytest.mark.probeplan(CALLS, "call.calls == 5", "call.calls[number == SYS_getppid] == 5")
def test_mark():
    for _ in range(5): parent()

@pytest.mark.probeplan(CALLS, "call.calls == 12", set={})
@pytest.mark.probeplan("fsync", "sync.calls == 1")
def test_a_block_in_a_mark(probeplan):
    for _ in range(3): parent()
    with probeplan("opens", witness=sync) as seen:
        for _ in range(4): parent()
        descriptor = os.open("within", os.O_CREAT | os.O_WRONLY)
    os.fsync(descriptor)
    assert seen.open.opens == seen["open"]["opens"] == seen.value("open.opens") == 1
    for _ in range(3): parent()

@pytest.mark.probeplan(CALLS, "call.calls == 0")
def test_nothing(): ...
""",
    )
    result.assert_outcomes(passed=23)
    result.stdout.fnmatch_lines(["*= probeplan =*", "inline*call.calls == 5 *5*== 5*1*ok"])


def test_children_count_wherever_they_began(pytester: pytest.Pytester) -> None:
    """A child of the test, one of a fixture, and one that was there before the plan."""
    child = """
CHILD = (
    "import os, sys\\n"
    "for line in sys.stdin: [os.getppid() for _ in range(7)]; print(flush=True)"
)

class Child:
    def __init__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe)
        self.ask()
    def ask(self):
        self.process.stdin.write(b"go\\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

BEFORE = Child()

@pytest.fixture
def child():
    child = Child()
    yield child
    child.process.kill()

@pytest.mark.probeplan(CALLS, "call.calls[number == SYS_getppid] == 28")
def test_children(child):
    child.ask()
    BEFORE.ask()
    BEFORE.ask()
    Child().process.kill()
"""
    run(pytester, child).assert_outcomes(passed=1)


def test_verdicts_are_those_of_checks(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.probeplan("fsync", "sync.calls == 0")
def test_a_unproven(): ...

@pytest.mark.xfail
@pytest.mark.probeplan("fsync", "sync.calls == 0")
def test_b_unproven_and_expected_to_fail(): ...

@pytest.mark.probeplan("fsync", "sync.calls == 0", witness=os.getppid)
def test_c_idle_witness(): ...

def test_d_unproven_value(probeplan):
    with probeplan("fsync") as seen: pass
    assert seen.sync.calls == 0

@pytest.mark.probeplan("fsync", "sync.calls == 0", witness=sync)
def test_e_proven(): ...

def test_f_proven_value(probeplan):
    with probeplan("fsync") as seen: pass
    assert seen.sync.calls == 0

@pytest.mark.probeplan("fsync", "sync.calls == 0")
def test_g_broken():
    sync()

@pytest.mark.probeplan("fsync", "sync.calls == 0")
def test_h_raises():
    raise ValueError("of the test itself")

@pytest.mark.probeplan("fsync", "sync.call == 0")
def test_i_unknown_metric(): ...

@pytest.mark.probeplan("fsyncs", "sync.calls == 0")
def test_j_unknown_plan(): ...

@pytest.mark.probeplan("slow-files", "file.files == 0", set={"threshold": "soon"})
def test_k_wrong_param(): ...

@pytest.mark.probeplan({"probes": {"p": {"attach": "syscall:fsink"}}}, "p.n == 0")
def test_l_plan_with_findings(): ...

P = {"attach": "tracepoint:none:such", "metrics": {"n": {"count": True}}}

@pytest.mark.probeplan({"probes": {"p": P}}, "p.n == 0")
def test_m_not_on_this_kernel(): ...
""",
        "-v",
    )
    words = dict(re.findall(r"::test_(\w)_\w+ (\w+)", result.stdout.str()))
    assert words == {
        **dict.fromkeys("abcd", "INCONCLUSIVE"),
        **dict.fromkeys("ef", "PASSED"),
        **dict.fromkeys("gh", "FAILED"),
        **dict.fromkeys("ijkl", "ERROR"),
        "m": "SKIPPED",
    }
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    places = [
        "*test_it.py:*nothing shows that the probe works*witness*",
        "*the witness did not make it count*",
        "*no metric 'sync.call'*",
        "*no shipped plan 'fsyncs'*",
        "*sync.calls == 0: 1 was measured, the bound is 0*",
        "*comm python*func fsync: 1*",
        "*of the test itself*",
    ]
    for place in places:
        result.stdout.fnmatch_lines([place])
    assert len(re.findall(r"^\S*test_it\.py:\d+:\d+: ", result.stdout.str(), re.MULTILINE)) >= 8


def test_workers_of_xdist_count_apart(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.probeplan(CALLS, "call.calls[number == SYS_getppid] == 500")
@pytest.mark.parametrize("n", range(8))
def test_many(n):
    for _ in range(500): os.getppid()
""",
        "-p", "xdist.plugin", "-n", "2",
    )  # fmt: skip
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["*call.calls[[]number == SYS_getppid[]] == 500 *500*8*ok"])


def test_without_rights_tests_are_skipped_or_fail() -> None:
    """As another user, who may not look into the folders of pytest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "test_it.py").write_text(
            "import pytest\n@pytest.mark.probeplan('fsync', 'sync.calls == 0')\ndef test_it(): ..."
        )
        skipped = run_as_another_user(folder)
        assert "1 skipped" in skipped
        assert "probes cannot be attached without CAP_BPF" in skipped
        assert "1 error" in run_as_another_user(folder, "--probeplan-require")


def run_as_another_user(folder: Path, *options: str) -> str:
    """What pytest prints."""
    words = [sys.executable, "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", "-rs", *options]
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HOME": "/"}
    done = subprocess.run(
        [*words, "-c", "/dev/null", "--rootdir", str(folder), "test_it.py"],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_session_that_is_ended_leaves_nothing(
    pytester: pytest.Pytester, number: signal.Signals
) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.probeplan("fsync", "sync.calls == 0")
def test_it():
    subprocess.Popen(["sh", "-c", "touch there; exec sleep 30"], start_new_session=True)
    time.sleep(600)
"""
    )
    words = [sys.executable, "-m", "pytest", *PLUGIN]
    with subprocess.Popen(words, cwd=pytester.path, stdout=subprocess.DEVNULL) as tests:
        there = pytester.path / "there"
        assert until(there.exists), tests.poll()
        assert helpers_of(tests.pid)
        tests.send_signal(number)
        tests.wait(30)
    assert until(lambda: not helpers_of(tests.pid))
    assert until(lambda: everything_left(None, Path("/run/probeplan")) == [])


def helpers_of(pid: int) -> list[int]:
    """The helpers whose command line names this process."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if str(pid).encode() in words and any(b"helper.start" in word for word in words):
            found.append(int(process.name))
    return found
