"""Iterators: what is there, counted exactly."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.product import INCOMPLETE, Ran, run_alone

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: snapshot, summary: A test, requires: "1.1"}
limits: {duration: 2s, rate: 100k/s, events: 100k, cpu: 100%}
"""
Seen = tuple[Ran, int, set[int], set[int]]
FILES, THREADS, LISTENERS, BOUND = 57, 7, 5, 3
#: A process with files, threads and sockets, which says when it has them and waits.
WORKLOAD = f"""
import os, socket, sys, threading
files = [open("/dev/null") for _ in range({FILES})]
for _ in range({THREADS}): threading.Thread(target=threading.Event().wait, daemon=True).start()
tcp = [socket.create_server(("127.0.0.1", 0), backlog=1) for _ in range({LISTENERS})]
udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range({BOUND})]
for one in udp: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in (*tcp, *udp)], flush=True)
sys.stdin.read()
"""
PROBES = """
probes:
  tasks:
    attach: iter:task
    where: pid == {pid}
    emit: {{parent: ppid, began: task.start_time}}
    metrics: {{n: {{count: true, by: [comm]}}}}
  everyone: {{attach: "iter:task", metrics: {{n: {{count: true}}}}}}
  files:
    attach: iter:task_file
    metrics:
      open: {{count: true, by: [pid]}}
      last: {{max: args.fd, where: pid == {pid}}}
      devices: {{count: args.file.f_inode.i_rdev == 0x100003, where: pid == {pid}}}
  tcp:
    attach: iter:tcp
    let: {{port: args.sk_common.skc_num}}
    where: args.sk_common.skc_state == TCP_LISTEN
    emit: {{port: port, uid: args.uid, at: 'local(cast(args.sk_common, "struct sock"))'}}
  udp: {{attach: "iter:udp", emit: {{at: local(args.udp_sk)}}}}
  programs:
    attach: iter:bpf_prog
    where: args.prog.type == 26
    metrics: {{n: {{count: true}}}}
  maps: {{attach: "iter:bpf_map", metrics: {{n: {{count: true}}}}}}
"""


@contextmanager
def workload() -> Iterator[tuple[int, set[int], set[int]]]:
    """Its pid, and the ports of its TCP and UDP sockets."""
    with ExitStack() as stack:
        pipe = subprocess.PIPE
        process = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", WORKLOAD], stdin=pipe, stdout=pipe, text=True)
        )
        assert process.stdin is not None
        assert process.stdout is not None
        stack.callback(process.stdin.close)
        ports = [int(port) for port in process.stdout.readline().split()]
        yield process.pid, set(ports[:LISTENERS]), set(ports[LISTENERS:])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One run of all iterators, while the workload is there, and one program of another process."""
    plan = tmp_path_factory.mktemp("iterators") / "snapshot.yaml"
    with workload() as (pid, tcp, udp):
        plan.write_text(HEAD + PROBES.format(pid=pid))
        yield run_alone(str(plan), "--backend", "bcc"), pid, tcp, udp


def test_each_thread_is_a_hit_that_belongs_to_it(seen: Seen) -> None:
    ran, pid, *_ = seen
    tasks = [record for record in ran.of_kind("event.recorded") if record["probe"] == "tasks"]
    assert len(tasks) == 1 + THREADS == len({record["tid"] for record in tasks})
    assert {record["pid"] for record in tasks} == {pid}
    assert {record["data"]["parent"] for record in tasks} == {os.getpid()}
    assert ran.value("tasks", "n", comm=tasks[0]["comm"]) == 1 + THREADS
    assert ran.value("everyone", "n") > 1 + THREADS


def test_each_open_file_is_a_hit(seen: Seen) -> None:
    """Standard input, output and error, the files and the sockets: as many as /proc lists."""
    ran, pid, *_ = seen
    listed = [int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    assert ran.value("files", "open", pid=pid) == len(listed) >= 3 + FILES + LISTENERS + BOUND
    assert ran.value("files", "last") == max(listed)
    assert ran.value("files", "devices") == FILES


def test_each_socket_is_a_hit_that_belongs_to_no_task(seen: Seen) -> None:
    ran, _, tcp, udp = seen
    listening = [record for record in ran.of_kind("event.recorded") if record["probe"] == "tcp"]
    ours = [record for record in listening if record["data"]["port"] in tcp]
    assert sorted(record["data"]["port"] for record in ours) == sorted(tcp)
    assert {record["data"]["uid"] for record in ours} == {os.getuid()}
    assert {record["data"]["at"] for record in ours} == {f"127.0.0.1:{port}" for port in tcp}
    assert "pid" not in ours[0]
    bound = [record["at"] for record in ran.data("udp")]
    assert {f"127.0.0.1:{port}" for port in udp} <= set(bound)


def test_programs_and_maps_of_bpf_are_hits(seen: Seen) -> None:
    """Probeplan's own among them: a program for each iterator, the two of tasks in one."""
    ran = seen[0]
    assert ran.value("programs", "n") >= 6
    assert ran.value("maps", "n") >= 3


def test_a_snapshot_is_whole(seen: Seen) -> None:
    ran = seen[0]
    assert ran.finished["complete"] is True
    for probe in ran.finished["ledger"]["probes"].values():
        for hook in probe["hooks"]:
            assert hook["sides"]["hit"]["kernel_missed"] == hook["sides"]["hit"]["expired"] == 0


@contextmanager
def windows_of_files(folder: Path) -> Iterator[tuple[Path, int]]:
    """A plan that counts the workload's open files in windows, and how many it has."""
    plan = folder / "windows.yaml"
    with workload() as (pid, *_):
        plan.write_text(
            HEAD
            + f"every: 500ms\ntarget: {{pid: {pid}}}\n"
            + 'probes: {files: {attach: "iter:task_file", metrics: {n: {count: true}}}}\n'
        )
        yield plan, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_window_is_a_snapshot_and_the_totals_are_the_last_one(tmp_path: Path) -> None:
    """Nothing is added up: each window has all files, and so have the totals."""
    with windows_of_files(tmp_path) as (plan, count):
        ran = run_alone(str(plan), "--backend", "bcc")
    reports = ran.of_kind("metric.reported")
    assert len(reports) >= 3
    assert {one["cells"][0]["value"] for one in reports} == {count}
    assert [one["total"] for one in reports] == [False] * (len(reports) - 1) + [True]
    assert ran.finished["complete"] is True


#: Threads of one process, which end with it.
CROWD = 4_000
MANY = f"""
import sys, threading
threading.stack_size(64 << 10)
for _ in range({CROWD}): threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def test_of_thousands_of_threads_each_is_one_hit(tmp_path: Path) -> None:
    """In each of the windows, with records and metrics; nothing is lost."""
    plan = tmp_path / "many.yaml"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", MANY], stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        plan.write_text(
            HEAD
            + f"every: 1s\ntarget: {{pid: {process.pid}}}\nprobes:\n  tasks:\n"
            + "    attach: iter:task\n    once: {by: [tid], keys: 10k}\n    emit: {stack: kstack}\n"
            + "    metrics: {n: {count: true, by: [pid]}}\n"
        )
        ran = run_alone(str(plan), "--backend", "bcc")
        assert process.stdin is not None
        process.stdin.close()
    reports = ran.of_kind("metric.reported")
    assert len(reports) >= 2
    assert {one["cells"][0]["value"] for one in reports} == {1 + CROWD}
    records = ran.of_kind("event.recorded")
    assert len(records) == 1 + CROWD == len({record["tid"] for record in records})
    waits = [row for row in ran.data("tasks") if any("futex" in name for name in row["stack"])]
    assert len(waits) == CROWD
    assert ran.finished["ledger"]["stacks"]["map_busy"] == 0
    assert ran.finished["complete"] is True


def test_a_snapshot_that_fails_makes_the_run_incomplete_and_it_goes_on(tmp_path: Path) -> None:
    """The second read has no memory: its window has nothing, and the others show all."""
    with windows_of_files(tmp_path) as (plan, count):
        command = [sys.executable, "-c", FAILING, "run", str(plan), "--backend", "bcc", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    ran = Ran.of(done.stdout.encode())
    assert done.returncode == INCOMPLETE, done.stderr
    assert ran.finished["incomplete_because"] == [
        "iter:task_file could not be read to its end: Cannot allocate memory"
    ]
    values = [
        [cell["value"] for cell in one["cells"]]
        for one in ran.of_kind("metric.reported")
        if not one["total"]
    ]
    assert values[0] == [count]
    assert values[1] in ([], [0])
    assert values[2] == [count]


#: The command line, of which the second read of an iterator has no memory.
FAILING = """
import errno, os, sys
from orchestrator.kernel.abi import bpf_iterators
real, calls = bpf_iterators.run_iterator, []
def run_iterator(link):
    calls.append(link)
    if len(calls) == 2:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    real(link)
from orchestrator.backends.bcc.attach import iterating
iterating.run_iterator = run_iterator
from orchestrator.cli import main
sys.exit(main(sys.argv[1:]))
"""
