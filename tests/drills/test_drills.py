"""Each trouble of an incident, made with real programs: the plan that docs/incident.md names says
who it is, on the whole host and without a target."""

import os
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.drills.daemons import look_up, run_nginx, run_redis
from tests.drills.databases import (
    MariaDb,
    Postgres,
    mariadb_program,
    postgres_program,
    run_mariadb,
    run_postgres,
)
from tests.drills.question import ask
from tests.support.product import Ran
from tests.support.projects import REDIS, find_project

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


def server(program: Path) -> tuple[str, str]:
    """The option of a plan that names a server's program."""
    return "--set", f"server={program}"


def test_a_slow_command_of_redis_is_named_with_its_key(tmp_path: Path) -> None:
    """One command that looks at all keys, among fast ones that are executed as often as asked."""
    allowed = ("--enable-debug-command", "yes")
    program = find_project(REDIS) / "usr/bin/redis-server"
    options = (*server(program), "--set", "min=1us")
    with run_redis(tmp_path, *allowed) as redis:
        assert redis.call("DEBUG", "POPULATE", "200000") == b"+OK"
        with ask(tmp_path, "redis-commands", *options) as question:
            for number in range(25):
                assert redis.call("SET", f"key:{number}", "1") == b"+OK"
            assert redis.call("EVAL", "\"return #redis.call('KEYS','key:*')\"", "0") == b":200000"
    ran = question.ran
    assert ran.value("command", "commands", name="SET") == 25
    assert ran.value("command", "commands", name="KEYS") == 1
    slowest = max((record["data"] for record in recorded(ran)), key=lambda one: one["took"])
    assert slowest["name"] == "EVAL"
    [keys] = [one["data"] for one in recorded(ran) if one["data"]["name"] == "KEYS"]
    assert keys["key"] == "key:*"
    assert keys["took"] > 10 * ran.value("command", "longest", name="SET")


def recorded(ran: Ran) -> list[dict[str, Any]]:
    """All records of events."""
    return ran.of_kind("event.recorded")


def test_a_slow_query_of_postgres_is_named(tmp_path: Path) -> None:
    """By both protocols, among 20 that are fast."""
    slow = "select pg_sleep(0.3)"
    options = server(postgres_program())
    with (
        run_postgres() as path,
        closing(Postgres(path)) as session,
        ask(tmp_path, "postgres-queries", *options) as question,
    ):
        for _ in range(20):
            session.query("select 1")
        session.query(slow)
        session.query_prepared(slow)
    seen = [(one["pid"], one["data"]["query"]) for one in recorded(question.ran)]
    assert seen == [(session.pid, slow)] * 2
    assert all(one["data"]["took"] >= 300_000_000 for one in recorded(question.ran))
    assert question.ran.value("query", "queries", text="select 1") == 20
    assert question.ran.value("query", "queries", text=slow) == 2


def test_a_lock_of_postgres_is_named(tmp_path: Path) -> None:
    """A session reads a table that another one has locked, and one waits for a row."""
    options = server(postgres_program())
    with (
        run_postgres() as path,
        closing(Postgres(path)) as first,
        closing(Postgres(path)) as second,
    ):
        first.query("create table accounts (balance int)")
        first.query("insert into accounts values (1)")
        with ask(tmp_path, "postgres-locks", *options) as question:
            for lock, wait in (
                ("lock table accounts", "select * from accounts"),
                ("update accounts set balance = 2", "update accounts set balance = 3"),
            ):
                first.query("begin")
                first.query(lock)
                second.start(wait)
                wait_older(0.3)
                first.query("commit")
                second.wait()
    table, row = (one["data"] for one in recorded(question.ran))
    assert (table["kind"], table["mode"]) == ("relation", "AccessShare")
    assert table["relation"] >= 16384  # the first number that is no catalogue's
    assert (row["kind"], row["mode"]) == ("transaction", "Share")
    assert row["transaction"] > 0
    assert all(one["took"] > 250_000_000 for one in (table, row))
    assert {one["pid"] for one in recorded(question.ran)} == {second.pid}


def test_a_slow_query_of_mariadb_is_named(tmp_path: Path) -> None:
    slow = "select sleep(0.3)"
    options = server(mariadb_program())
    with (
        run_mariadb() as path,
        closing(MariaDb(path)) as session,
        ask(tmp_path, "mysql-queries", *options) as question,
    ):
        for _ in range(20):
            session.query("select 1")
        session.query(slow)
    [seen] = [one["data"] for one in recorded(question.ran)]
    assert (seen["command"], seen["query"]) == ("query", slow)
    assert seen["took"] >= 300_000_000
    queries = {c["key"]["text"]: c["value"] for c in question.ran.cells("query", "queries")}
    assert queries == {"select 1": 20, slow: 1}


def test_who_uses_a_disk_is_named(tmp_path: Path) -> None:
    """dd, on a loop device: so many requests, of that size, there and back."""
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    made = subprocess.run(
        ["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True
    )
    device = made.stdout.strip()
    try:
        with ask(tmp_path, "block-top") as question:
            for words in (
                ["if=/dev/zero", f"of={device}", "bs=64k", "count=40", "oflag=direct"],
                [f"if={device}", "of=/dev/null", "bs=32k", "count=30", "iflag=direct"],
            ):
                subprocess.run(["dd", *words], check=True, capture_output=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    disk = Path(device).name
    of_dd = [
        (cell["key"]["op"], cell["value"])
        for cell in question.ran.cells("io", "bytes")
        if (cell["key"]["comm"], cell["key"]["disk"]) == ("dd", disk)
    ]
    assert dict(of_dd) == {"write": 40 * 65536, "read": 30 * 32768}
    for op, count in (("write", 40), ("read", 30)):
        [requests] = [
            cell
            for cell in question.ran.cells("io", "requests")
            if cell["key"]["disk"] == disk
            and (cell["key"]["comm"], cell["key"]["op"]) == ("dd", op)
        ]
        assert requests["value"] == count
        [took] = [c for c in question.ran.cells("io", "took") if c["key"] == requests["key"]]
        assert took["value"] > 0


def test_time_that_the_hypervisor_takes_is_known(tmp_path: Path) -> None:
    """As the kernel itself counts it for each CPU; all of what it takes from programs and from idle
    CPUs, and not a nanosecond more."""
    before = stolen_ticks()
    with ask(tmp_path, "steal-time") as question:
        wait_older(1)
    taken = (stolen_ticks() - before) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    cells = question.ran.cells
    clock = {cell["key"]["cpu"]: cell["value"] for cell in cells("switch", "clock")}
    at_start = {cell["key"]["cpu"]: cell["value"] for cell in cells("switch", "before")}
    by_cpu = {cell["key"]["cpu"]: cell["value"] for cell in cells("slice", "by_cpu")}
    assert by_cpu == {cpu: clock[cpu] - at_start[cpu] for cpu in clock}
    assert sum(by_cpu.values()) <= taken + 2 * len(clock) * 1_000_000_000 // 100


def stolen_ticks() -> int:
    """What /proc/stat says was stolen from all CPUs."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
