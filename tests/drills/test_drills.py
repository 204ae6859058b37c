"""Each trouble of an incident, made with real programs: the plan that docs/incident.md names says
who it is, on the whole host and without a target."""

import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.drills.daemons import look_up, run_nginx, run_redis
from tests.drills.question import ask

pytestmark = pytest.mark.root

REDIS_THREAD, NGINX = "redis-server", "nginx"


def test_a_program_that_uses_the_cpu_is_named(tmp_path: Path) -> None:
    with run_redis(tmp_path) as redis, ask(tmp_path, "cpu-samples") as question:
        script = "local x = 0 for i = 1, 60000000 do x = x + i end return x"
        assert redis.call("EVAL", f'"{script}"', "0").startswith(b":")
    names = [cell["key"]["comm"] for cell in question.ran.cells("sample", "programs")]
    assert REDIS_THREAD in names[:3]


def test_a_log_that_is_written_line_by_line_is_named(tmp_path: Path) -> None:
    """nginx without a buffer for its access log: one small write for each request."""
    (tmp_path / "page").write_text("page")
    with run_nginx(tmp_path) as (port, pid), ask(tmp_path, "small-writes") as question:
        for _ in range(200):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=30) as page:
                assert page.read() == b"page"
        log = descriptor_of(pid, tmp_path / "access.log")
    key = {"comm": NGINX, "pid": pid, "descriptor": log}
    assert question.ran.value("write", "calls", **key) == 200


def descriptor_of(pid: int, file: Path) -> int:
    """The descriptor by which a process has a file open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if link.exists() and link.readlink() == file:
            return int(link.name)
    raise AssertionError(f"{pid} has {file} not open")


def test_descriptors_that_pile_up_are_named_with_their_call(tmp_path: Path) -> None:
    """Clients that connect and never leave: their server keeps a descriptor for each."""
    with run_redis(tmp_path) as redis, ask(tmp_path, "fd-leaks") as question:
        clients = [socket.create_connection(("127.0.0.1", redis.port)) for _ in range(40)]
        while b"connected_clients:41" not in info_of(redis.port):
            pass
        wait_older(2.5)
    for client in clients:
        client.close()
    reported = question.ran.of_kind("outstanding.reported")[-1]
    kept = [c for c in reported["cells"] if c["key"]["comm"] == REDIS_THREAD]
    assert sum(c["count"] for c in kept if c["key"]["call"] == "accept4") >= 40


def info_of(port: int) -> bytes:
    """What redis says of its clients; asked on a connection that is closed again."""
    with socket.create_connection(("127.0.0.1", port), 30) as asking:
        asking.sendall(b"CLIENT LIST\r\n")
        head = asking.makefile("rb")
        size = int(head.readline()[1:])
        others = head.read(size).count(b" addr=") - 1
    return f"connected_clients:{others}".encode()


def wait_older(seconds: float) -> None:
    """Until what exists now is older than that."""
    subprocess.run(["sleep", str(seconds)], check=True)


def test_who_asks_for_which_name_is_named(tmp_path: Path) -> None:
    with ask(tmp_path, "name-lookups") as question:
        assert b"192.0.2.7" in look_up(tmp_path, "example.test", "192.0.2.7")
    [lookup] = [
        record
        for record in question.ran.of_kind("event.recorded")
        if record["data"]["name"] == "example.test"
    ]
    assert (lookup["comm"], lookup["data"]["call"]) == ("getent", "getaddrinfo")
    assert lookup["data"]["took"] > 0


def test_a_name_server_is_named_with_its_result_and_time(tmp_path: Path) -> None:
    with ask(tmp_path, "dns-queries") as question:
        look_up(tmp_path, "example.test", "192.0.2.7")
    lookups = [
        record["data"]
        for record in question.ran.of_kind("event.recorded")
        if record["data"]["program"] == "getent"
    ]
    assert ("127.0.0.1", "NOERROR") in {(one["server"], one["result"]) for one in lookups}
    assert all(one["took"] > 0 for one in lookups)


def test_memory_that_grows_is_named(tmp_path: Path) -> None:
    """redis is given 64 MB: its allocator asks the kernel for them."""
    allowed = ("--enable-debug-command", "yes")
    with run_redis(tmp_path, *allowed) as redis, ask(tmp_path, "memory-growth") as question:
        assert redis.call("DEBUG", "POPULATE", "64", "key", "1000000") == b"+OK"
    grown = question.ran.value("map", "grown", comm=REDIS_THREAD)
    assert grown >= 60_000_000
    keys = [cell["key"]["comm"] for cell in question.ran.cells("map", "bytes")]
    assert REDIS_THREAD in keys


def test_who_ended_a_process_is_named(tmp_path: Path) -> None:
    with run_redis(tmp_path) as redis, ask(tmp_path, "kills") as question:
        subprocess.run(["/bin/sh", "-c", f"kill -KILL {redis.pid}; true"], check=True)
    [kill] = [
        record
        for record in question.ran.of_kind("event.recorded")
        if record["probe"] == "kill" and record["data"]["to"] == redis.pid
    ]
    assert (kill["comm"], kill["data"]["signal"]) == ("sh", "SIGKILL")
    assert kill["data"]["victim"] == REDIS_THREAD


def test_a_crash_is_told_from_a_kill(tmp_path: Path) -> None:
    """A server that writes to memory without permission: the kernel's signal, with its cause."""
    allowed = ("--enable-debug-command", "yes")
    with run_redis(tmp_path, *allowed) as redis, ask(tmp_path, "signals") as question:
        redis.call("DEBUG", "SEGFAULT")
    faults = [
        record["data"]
        for record in question.ran.of_kind("event.recorded")
        if record["pid"] == redis.pid and record["data"]["signal"] == "SIGSEGV"
    ]
    assert faults
    assert faults[0]["cause"] in (1, 2)  # SEGV_MAPERR, SEGV_ACCERR
    assert {fault["victim"] for fault in faults} == {REDIS_THREAD}


def test_who_waits_for_the_disk_is_named(tmp_path: Path) -> None:
    """redis with a log that it syncs after every write."""
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with run_redis(tmp_path, *options) as redis, ask(tmp_path, "fsync") as question:
        for number in range(50):
            assert redis.call("SET", "key", str(number)) == b"+OK"
    assert question.ran.value("sync", "calls", comm=REDIS_THREAD, func="fdatasync") >= 50
    syncs = [one for one in question.ran.of_kind("event.recorded") if one["pid"] == redis.pid]
    assert len(syncs) >= 50
    assert all(one["data"]["took"] > 0 for one in syncs)


def test_what_a_slow_service_waits_in_is_named(tmp_path: Path) -> None:
    """A command that sleeps: the server uses no CPU, and answers no one."""
    allowed = ("--enable-debug-command", "yes")
    with run_redis(tmp_path, *allowed) as redis, ask(tmp_path, "slow-syscalls") as question:
        assert redis.call("DEBUG", "SLEEP", "0.5") == b"+OK"
    waits = [
        record["data"]
        for record in question.ran.of_kind("event.recorded")
        if record["pid"] == redis.pid and record["data"]["took"] >= 500_000_000
    ]
    assert "clock_nanosleep" in {wait["call"] for wait in waits}


def test_threads_that_wait_for_a_lock_are_named(tmp_path: Path) -> None:
    """A thread of Python holds a lock for 0.3 s, for which three others wait."""
    program = (
        "import threading, time\n"
        "lock = threading.Lock()\n"
        "lock.acquire()\n"
        "waiting = [threading.Thread(target=lock.acquire, args=(True, 0.3)) for _ in range(3)]\n"
        "[thread.start() for thread in waiting]\n"
        "[thread.join() for thread in waiting]\n"
    )
    with ask(tmp_path, "futex-waits") as question:
        worker = subprocess.Popen([sys.executable, "-c", program])
        assert worker.wait(60) == 0
    waits = [
        record["data"]
        for record in question.ran.of_kind("event.recorded")
        if record["pid"] == worker.pid and record["data"]["took"] >= 250_000_000
    ]
    assert len(waits) >= 3
    [(lock, count)] = Counter(wait["lock"] for wait in waits).most_common(1)
    assert count == 3
    assert question.ran.value("wait", "locks", pid=worker.pid, lock=lock) >= 3 * 250_000_000
