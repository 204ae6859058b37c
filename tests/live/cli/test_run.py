"""`probeplan run` as a user runs it, on this kernel: exact counts, every way to end, on both
backends. Each line of output is valid against the log schema."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.facts import live_facts
from tests.support.fake_runs import checked_lines
from tests.support.paths import ROOT
from tests.support.requirements import needs_a_kernel
from tests.support.results import checked_result

N = 700
CALLS = f"import os\nfor _ in range({N}): os.getppid()"
WORKLOAD = (sys.executable, "-c", CALLS)
BACKENDS = ("bcc", "tracefs")
FACTS = live_facts()
#: Bytecode is kept, wherever else it is not: compiling the package takes longer than most runs.
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "probeplan-tests-bytecode"),
}

pytestmark = needs_a_kernel


def a_plan(path: Path, probe: str, limits: str = "") -> str:
    file = path / "plan.yaml"
    file.write_text(
        "apiVersion: probeplan/v1\n"
        "kind: ProbePlan\n"
        "metadata: {name: live, summary: for tests}\n"
        f"limits: {{events: 10k, rate: 1000k/s, duration: 60s{limits}}}\n"
        f"probes:\n  call:\n    {probe}\n"
        "    metrics:\n      calls: {count: true}\n"
    )
    return str(file)


ATTACH = {
    "tracepoint": "attach: tracepoint:syscalls:sys_enter_getppid\n    emit: {}",
    "syscall": "attach: syscall:getppid\n    emit: {got: retval, took: elapsed}",
    "uprobe": "attach: uprobe:libc.so.6:getppid\n    emit: {}",
    "ufunction": "attach: ufunction:libc.so.6:getppid\n    returns: s32\n    emit: {got: retval}",
}


def probeplan(*arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "orchestrator.cli", *arguments]
    pipes: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": ENVIRONMENT,
    } | options
    return subprocess.Popen(command, **pipes)


def ran(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, checked lines and standard error of a run that ends by itself."""
    process = probeplan(*arguments)
    out, errors = process.communicate(timeout=120)
    return process.returncode, checked_lines(out), errors.decode()


def rest(process: "subprocess.Popen[bytes]") -> bytes:
    """What it still writes, of which a part is in the pipe's buffer here, until it has ended."""
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        text = process.stdout.read()
        process.wait(timeout=60)
    return text


def leftovers() -> list[str]:
    """Instances and event groups of ours in the kernel, that of no journalled live run."""
    tracing = Path("/sys/kernel/tracing")
    definitions = "".join(
        (tracing / file).read_text()
        for file in ("kprobe_events", "uprobe_events")
        if (tracing / file).exists()
    )
    instances = [path.name for path in (tracing / "instances").glob("probeplan*")]
    return [*instances, *(line for line in definitions.splitlines() if "probeplan" in line)]


def left_by(run_id: str) -> list[str]:
    return [name for name in leftovers() if run_id in name]


# ---------------------------------------------------------------- exact counts


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", list(ATTACH))
def test_n_calls_are_n_in_the_ledger_the_records_and_the_metric(
    tmp_path: Path, backend: str, kind: str
) -> None:
    plan = a_plan(tmp_path, ATTACH[kind])
    process = probeplan("run", plan, "--backend", backend, "--", *WORKLOAD)
    out, errors = process.communicate(timeout=120)
    lines = checked_lines(out)
    assert process.returncode == 0, errors
    last = lines[-1]
    assert (last["event"], last["outcome"], last["command_status"]) == (
        "run.finished",
        "command",
        0,
    )
    events = [line for line in lines if line["event"] == "event.recorded"]
    assert len(events) == N
    assert {event["probe"] for event in events} == {"call"}
    probe = last["ledger"]["probes"]["call"]
    assert (probe["emit"]["accepted"], probe["emit"]["delivered"]) == (N, N)
    [metric] = [line for line in lines if line["event"] == "metric.reported"]
    assert metric["cells"][0]["value"] == N
    assert last["complete"] in (True, "unknown")
    assert last["detach_ms"] > 0
    assert left_by(last["run_id"]) == []
    if "retval" in ATTACH[kind]:
        assert {event["data"]["got"] for event in events} == {process.pid}


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_the_command_and_its_descendants_are_seen(tmp_path: Path, backend: str) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    noise = subprocess.Popen(
        [sys.executable, "-c", "import os,time\nwhile True: os.getppid(); time.sleep(.001)"]
    )
    try:
        nested = ("sh", "-c", 'for i in 1 2 3; do "$@" & done; wait', "sh", *WORKLOAD)
        code, lines, errors = ran("run", plan, "--backend", backend, "--", *nested)
    finally:
        noise.kill()
        noise.wait()
    assert code == 0, errors
    pids = [line["pid"] for line in lines if line["event"] == "event.recorded"]
    python = [pid for pid in set(pids) if pids.count(pid) == N]
    assert len(python) == 3
    assert noise.pid not in pids


# ---------------------------------------------------------------- ways to end


Target = tuple[str, str]


@pytest.fixture
def endless() -> Iterator[Target]:
    """A process that calls getppid a thousand times a second until the test is over, as the
    target of a run: others on this machine may call it too."""
    code = "import os,time\nwhile True: os.getppid(); time.sleep(.001)"
    process = subprocess.Popen([sys.executable, "-c", code])
    yield "--target", f"pid={process.pid}"
    process.kill()
    process.wait()


def first_event(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    for line in process.stdout:
        if b'"event.recorded"' in line:
            return line
    raise AssertionError("the run ended without an event")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_run_finished_and_nothing_left(
    tmp_path: Path, endless: Target, backend: str, number: signal.Signals, code: int
) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"], ", at_cap: mute")
    process = probeplan("run", plan, *endless, "--duration", "unlimited", "--backend", backend)
    head = first_event(process)
    process.send_signal(number)
    process.send_signal(number)
    last = checked_lines(head + rest(process))[-1]
    assert (process.returncode, last["event"], last["outcome"]) == (
        code,
        "run.finished",
        "interrupted",
    )
    assert left_by(last["run_id"]) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reader_that_goes_away_ends_the_run(
    tmp_path: Path, endless: Target, backend: str
) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    out = tmp_path / "out"
    process = probeplan("run", plan, *endless, "--backend", backend, "--out", str(out))
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 4
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert "Broken pipe" in errors
    assert "Traceback" not in errors
    result = checked_result(out)
    assert (result["run"]["outcome"], result["run"]["complete"]) == ("output", False)
    assert checked_lines((out / "events.jsonl").read_bytes())[-1]["event"] == "run.finished"
    assert left_by(result["run"]["run_id"]) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_disk_under_log_ends_the_run(tmp_path: Path, endless: Target, backend: str) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    code, lines, errors = ran("run", plan, *endless, "--backend", backend, "--log", "/dev/full")
    assert (code, lines) == (4, [])
    assert "No space left on device" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_disk_under_out_ends_the_run_and_is_told(
    tmp_path: Path, endless: Target, backend: str
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        plan = a_plan(tmp_path, ATTACH["tracepoint"])
        code, lines, errors = ran(
            "run", plan, *endless, "--backend", backend, "--out", str(small / "out")
        )
        last = lines[-1]
        assert (code, last["event"], last["outcome"]) == (4, "run.finished", "output")
        assert "No space left on device" in errors
        assert "Traceback" not in errors
        assert left_by(last["run_id"]) == []
        kept = (small / "out" / "events.jsonl").read_bytes()
        assert kept == b"" or kept.endswith(b"\n")
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_cap_is_kept_to_the_unit(tmp_path: Path, endless: Target, backend: str) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    code, lines, errors = ran("run", plan, *endless, "--backend", backend, "--limit", "events=37")
    assert code == 4, errors
    assert (lines[-1]["outcome"], lines[-1]["delivered"]) == ("cap", 37)
    assert lines[-1]["complete"] is False
    assert " of 60 s; raise it with --limit events=…" in lines[-1]["incomplete_because"][0]
    assert sum(line["event"] == "event.recorded" for line in lines) == 37
    assert [line["limit"] for line in lines if line["event"] == "limit.reached"] == ["events"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_record_is_later_than_the_deadline(
    tmp_path: Path, endless: Target, backend: str
) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    code, lines, errors = ran("run", plan, *endless, "--backend", backend, "--duration", "300ms")
    assert code == 0, errors
    assert lines[-1]["outcome"] == "duration"
    events = [line for line in lines if line["event"] == "event.recorded"]
    assert events
    assert (
        max(e["time_unix_nano"] for e in events) - min(e["time_unix_nano"] for e in events) <= 3e8
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_left_of_a_killed_run(tmp_path: Path, backend: str) -> None:
    """Its watchdog cleans up; where that was killed too, tests/faults has the next run do it."""
    plan = a_plan(tmp_path, ATTACH["uprobe"])
    process = probeplan("run", plan, "--backend", backend)
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    assert left_by(started["run_id"])
    process.kill()
    rest(process)
    until = time.monotonic() + 30
    while left_by(started["run_id"]) and time.monotonic() < until:
        time.sleep(0.05)
    assert left_by(started["run_id"]) == []


def test_status_lists_a_live_run_until_it_is_over(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, ATTACH["uprobe"])
    process = probeplan("run", plan)
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    runs = {run["run_id"]: run for run in json.loads(output("status", "--json"))}
    run = runs[started["run_id"]]
    assert (run["plan"], run["state"], run["pid"]) == ("live", "live", process.pid)
    assert started["run_id"] in output("status")
    process.send_signal(signal.SIGINT)
    rest(process)
    assert started["run_id"] not in output("status")


def output(*arguments: str) -> str:
    command: Sequence[str] = [sys.executable, "-m", "orchestrator.cli", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return found.stdout


# ---------------------------------------------------------------- the command line


def test_the_command_writes_to_standard_error_while_lines_go_to_standard_output(tmp_path) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    code, lines, errors = ran("run", plan, "--", "echo", "hello")
    assert (code, errors) == (0, "hello\n")
    assert lines[-1]["event"] == "run.finished"


def test_with_log_the_command_keeps_standard_output(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    log = tmp_path / "log"
    process = probeplan("run", plan, "--log", str(log), "--", "echo", "hello")
    assert process.communicate(timeout=60)[0] == b"hello\n"
    assert checked_lines(log.read_bytes())[-1]["event"] == "run.finished"


@pytest.mark.parametrize(
    ("arguments", "code", "reported"),
    [
        (("no-such-plan",), 2, "PP001"),
        (("opens", "--duration", "tomorrow"), 2, "tomorrow"),
        (("opens", "--out", "/proc/nothing"), 2, "PP092"),
        (("opens", "--log", "/nowhere/log"), 2, "/nowhere/log"),
        (("opens", "--", "no-such-program"), 2, "PP092"),
    ],
)
def test_what_a_user_can_get_wrong_is_told_without_a_traceback(arguments, code, reported) -> None:
    found, _, errors = ran("run", *arguments)
    assert found == code
    assert reported in errors
    assert "Traceback" not in errors


def test_closed_standard_streams_are_refused_or_done_without(tmp_path: Path) -> None:
    run = f"{sys.executable} -m orchestrator.cli run {a_plan(tmp_path, ATTACH['tracepoint'])}"
    shell = f"{run} --duration 10ms >&-"
    found = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert (found.returncode, "Traceback" in found.stderr) == (2, False)
    assert "PP092" in found.stderr
    shell = f"{run} --duration 10ms 2>&-"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, check=False)
    assert done.returncode == 0
    assert checked_lines(done.stdout)[-1]["event"] == "run.finished"


def test_without_capabilities_nothing_is_tried(tmp_path: Path) -> None:
    """As another user, for whom the tree and its environment are mounted where all may look: a
    folder above them may be closed to others."""
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    mounted = f"mount --bind . /mnt && mount --bind {sys.prefix} /srv && cd /mnt && exec "
    setpriv = "setpriv --bounding-set=-all --inh-caps=-all --reuid=65534 --clear-groups "
    run = f"/srv/bin/python -m orchestrator.cli run {plan}"
    command = ["unshare", "--mount", "sh", "-c", mounted + setpriv + run]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (found.returncode, found.stdout) == (3, "")
    assert "PP092" in found.stderr
    assert "sudo probeplan run" in found.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_explain_prints_what_run_keeps_under_out(tmp_path: Path, backend: str) -> None:
    plan = a_plan(tmp_path, ATTACH["syscall"])
    reported = json.loads(output("explain", plan, "--backend", backend, "--json"))
    out = tmp_path / "out"
    ran("run", plan, "--backend", backend, "--duration", "10ms", "--out", str(out))
    name = "program.c" if backend == "bcc" else "program.tracefs"
    assert (out / name).read_text() == reported["program"]
    attached = [hook["mechanism"] for probe in reported["probes"] for hook in probe["hooks"]]
    [line] = [
        json.loads(line) for line in (out / "events.jsonl").open() if "probe.attached" in line
    ]
    assert [line["mechanism"]] == attached


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_has_one_thread_and_its_command_the_user_s_environment(
    backend: str, tmp_path: Path
) -> None:
    """Idle threads of a matrix library would be in the host's own profile. The output is a pipe:
    only a file is written by a second thread."""
    by = "tid" if backend == "tracefs" else "kstack"
    file = Path(a_plan(tmp_path, ATTACH["tracepoint"]))
    file.write_text(f"{file.read_text()}      by: {{count: true, by: [{by}]}}\n")
    look = "sleep 1; ls /proc/$PPID/task | wc -l >&2; echo blas: ${OPENBLAS_NUM_THREADS-any} >&2"
    environment = {k: v for k, v in ENVIRONMENT.items() if k != "OPENBLAS_NUM_THREADS"}
    process = probeplan(
        *("run", str(file), "--backend", backend, "--", "sh", "-c", look), env=environment
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors.decode().split("\n")[:2] == ["1", "blas: any"]
