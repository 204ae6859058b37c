"""Rows of plans/apps."""

import ctypes
import os
import pty
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.recipes.recipe import SERVERS, Recipe, by_function
from tests.support.workload import plans as workloads

if TYPE_CHECKING:
    from tests.support.product import Ran

LIBC = {"lib": "libc.so.6"}


def malloc_calls_seen(ran: "Ran") -> None:
    """500 allocations of a size that no other process asks for."""
    sizes = [call["size"] for call in ran.data("malloc")]
    assert sizes.count(54321) == 500
    assert ran.value("malloc", "calls", comm="python3") >= 500
    assert ran.value("malloc", "failed") == 0


def python_gc_seen(ran: "Ran") -> None:
    """7 full collections."""
    assert [start["generation"] for start in ran.data("start")].count(2) == 7
    assert ran.value("start", "collections", comm="python3") == len(ran.data("done"))
    assert ran.value("done", "objects", comm="python3") >= 7 * 100


def name_lookups() -> None:
    """4 names that are numbers, which no server has to be asked for."""
    for last in range(1, 5):
        socket.getaddrinfo(f"127.0.0.{last}", 80)


def name_lookups_seen(ran: "Ran") -> None:
    seen = [(one["call"], one["name"]) for one in ran.data("lookup")]
    assert seen == [("getaddrinfo", f"127.0.0.{last}") for last in range(1, 5)]
    assert ran.value("lookup", "lookups", comm="python3") == 4


def thread_starts() -> None:
    """9 threads, all of Python's own function."""
    for _ in range(9):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()


def thread_starts_seen(ran: "Ran") -> None:
    assert len(ran.data("create")) == 9
    assert len({(one["start"], one["function"]) for one in ran.data("create")}) == 1
    assert ran.value("create", "threads", comm="python3") == 9
    assert ran.value("create", "failed", comm="python3") == 0


def shell_lines() -> None:
    """3 lines typed into a shell on a terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["PS1"] = "ready> "
        os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-i"])  # noqa: S606
    for line in ("echo one", "true two", "exit"):
        shown = b""
        while b"ready> " not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, f"{line}\n".encode())
    os.waitpid(child, 0)


def shell_lines_seen(ran: "Ran") -> None:
    assert [one["line"] for one in ran.data("line")] == ["echo one", "true two", "exit"]


def tls_sizes() -> None:
    """A conversation with itself: 5 messages of 321 bytes, each read in one piece."""
    towards_server, towards_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = anonymous(ssl.PROTOCOL_TLS_SERVER).wrap_bio(
        towards_server, towards_client, server_side=True
    )
    client = anonymous(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(towards_client, towards_server)
    while not all([shaken(client), shaken(server)]):
        pass
    for _ in range(5):
        client.write(b"x" * 321)
        assert len(server.read(1000)) == 321


def anonymous(side: int) -> ssl.SSLContext:
    """A context that needs no certificate."""
    context = ssl.SSLContext(side)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH:@SECLEVEL=0")
    return context


def shaken(end: ssl.SSLObject) -> bool:
    """Whether this end's handshake is over."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def tls_sizes_seen(ran: "Ran") -> None:
    assert ran.value("send", "calls", comm="python3") == 5
    assert ran.value("send", "bytes", comm="python3") == 5 * 321
    assert ran.value("receive", "calls", comm="python3") == 5
    assert ran.value("receive", "bytes", comm="python3") == 5 * 321


def tls_text_seen(ran: "Ran") -> None:
    """The first 200 bytes of each message, on both sides; the handshake is not among them."""
    for probe in ("send", "receive"):
        assert [one["text"] for one in ran.data(probe)] == ["x" * 200] * 5
        assert [one["bytes"] for one in ran.data(probe)] == [321] * 5
        assert ran.value(probe, "bytes", comm="python3") == 5 * 321


def heap_outstanding_seen(ran: "Ran") -> None:
    """What each function kept, in bytes and pieces; nothing of what it gave back."""
    reported = ran.of_kind("outstanding.reported")[-1]
    assert reported["total"]
    ours = [cell for cell in reported["cells"] if cell["key"]["comm"].startswith("pr")]
    kept = {"by_malloc": 200 * 1000, "by_calloc": 50 * 770, "by_realloc": 40_000}
    kept["by_aligned"] = 30 * 333 + 20 * 640
    assert kept.items() <= by_function(ours, "ustack").items()
    pieces = {"by_malloc": 200, "by_calloc": 50, "by_realloc": 2, "by_aligned": 50}
    assert pieces.items() <= by_function(ours, "ustack", "count").items()
    assert "by_tidy" not in by_function(ours, "ustack")


def servers() -> ctypes.CDLL:
    """The library that stands for database servers."""
    return ctypes.CDLL(SERVERS)


class RedisObject(ctypes.Structure):
    """A word of a command: its kind, age and references, and then the text."""

    _fields_ = (("kind", ctypes.c_uint), ("references", ctypes.c_int), ("text", ctypes.c_char_p))


def redis_commands() -> None:
    """30 commands of 2 us, one of 50 ms, and one without a key, of 20 ms."""
    slow_log = servers().slowlogPushEntryIfNeeded
    for words, count, took in (
        ((b"GET", b"user:1"), 30, 2),
        ((b"KEYS", b"user:*"), 1, 50_000),
        ((b"SAVE",), 1, 20_000),
    ):
        held = [RedisObject(0, 1, word) for word in words]
        objects = (ctypes.POINTER(RedisObject) * len(held))(*map(ctypes.pointer, held))
        for _ in range(count):
            slow_log(None, objects, len(held), ctypes.c_longlong(took))


def redis_commands_seen(ran: "Ran") -> None:
    slow = [(one["name"], one["key"], one["words"], one["took"]) for one in ran.data("slow")]
    assert slow == [("KEYS", "user:*", 2, 50_000_000), ("SAVE", "", 1, 20_000_000)]
    for name, count, took in (("GET", 30, 2_000), ("KEYS", 1, 50_000_000), ("SAVE", 1, 20_000_000)):
        assert ran.value("command", "commands", name=name) == count
        assert ran.value("command", "time", name=name) == count * took
        assert ran.value("command", "longest", name=name) == took


def postgres_queries() -> None:
    """20 queries, one of 30 ms, and one that is parsed, bound and executed in as long."""
    report = servers().pgstat_report_activity
    for _ in range(20):
        report(2, b"select 1")
        report(1, None)
    report(2, b"select pg_sleep(0.03)")
    time.sleep(0.03)
    report(1, None)
    for _ in range(3):
        report(2, b"select $1")
        time.sleep(0.01)
    report(3, None)


def postgres_queries_seen(ran: "Ran") -> None:
    assert [one["query"] for one in ran.data("slow")] == ["select pg_sleep(0.03)", "select $1"]
    assert all(one["took"] >= 30_000_000 for one in ran.data("slow"))
    assert ran.value("query", "queries", text="select 1") == 20
    assert ran.value("query", "queries", text="select pg_sleep(0.03)") == 1
    assert ran.value("query", "queries", text="select $1") == 1
    [latency] = ran.cells("query", "latency")
    assert latency["count"] == 22


class LockTag(ctypes.Structure):
    """LOCKTAG of PostgreSQL, and the mode, which follows it in a LOCALLOCK."""

    _fields_ = (
        *((f"field{number}", ctypes.c_uint) for number in (1, 2, 3)),
        ("field4", ctypes.c_ushort),
        ("type", ctypes.c_ubyte),
        ("method", ctypes.c_ubyte),
        ("mode", ctypes.c_int),
    )


def postgres_locks() -> None:
    """5 waits of 4 ms for a table, and one of 20 ms for the end of a transaction."""
    wait = servers().ProcSleep
    table = LockTag(5, 16384, 0, 0, 0, 1, 8)
    for _ in range(5):
        wait(ctypes.byref(table), ctypes.c_long(4_000))
    wait(ctypes.byref(LockTag(727, 0, 0, 0, 5, 1, 5)), ctypes.c_long(20_000))


def postgres_locks_seen(ran: "Ran") -> None:
    waits = [{key: one[key] for key in one if key != "took"} for one in ran.data("wait")]
    table = {"kind": "relation", "mode": "AccessExclusive", "database": 5, "relation": 16384}
    row = {"kind": "transaction", "mode": "Share", "database": 0, "relation": 0}
    assert waits == [{**table, "transaction": 0}] * 5 + [{**row, "transaction": 727}]
    assert ran.value("wait", "waits", **table) == 5
    assert ran.value("wait", "time", **table) >= 5 * 4_000_000
    assert ran.value("wait", "waits", **row) == 1
    assert ran.value("wait", "time", **row) >= 20_000_000


QUERY, PING = 3, 14


def mysql_queries() -> None:
    """20 queries, one of 30 ms, and 7 pings."""
    dispatch = servers()._Z16dispatch_command19enum_server_commandP3THDPcjb
    sessions = [ctypes.create_string_buffer(8) for _ in range(2)]
    for command, text, count, us in (
        (QUERY, b"select 1", 20, 0),
        (QUERY, b"select sleep(0.03)", 1, 30_000),
        (PING, b"", 7, 0),
    ):
        for number in range(count):
            dispatch(command, sessions[number % 2], text, len(text), ctypes.c_long(us))


def mysql_queries_seen(ran: "Ran") -> None:
    [slow] = ran.data("slow")
    assert (slow["command"], slow["query"]) == ("query", "select sleep(0.03)")
    assert slow["took"] >= 30_000_000
    assert ran.value("query", "commands", command="query") == 21
    assert ran.value("query", "commands", command="ping") == 7
    queries = {cell["key"]["text"]: cell["value"] for cell in ran.cells("query", "queries")}
    assert queries == {"select 1": 20, "select sleep(0.03)": 1}


ROWS: Mapping[str, Recipe] = {
    "redis-commands": Recipe(
        work=redis_commands,
        judge=redis_commands_seen,
        private={"server": SERVERS},
        tracefs_cannot="a string from memory",
    ),
    "postgres-queries": Recipe(
        work=postgres_queries,
        judge=postgres_queries_seen,
        settings={"min": "25ms"},
        private={"server": SERVERS},
        tracefs_cannot="event joining",
    ),
    "postgres-locks": Recipe(
        work=postgres_locks,
        judge=postgres_locks_seen,
        private={"server": SERVERS},
        tracefs_cannot="memory behind this pointer",
    ),
    "mysql-queries": Recipe(
        work=mysql_queries,
        judge=mysql_queries_seen,
        settings={"min": "25ms"},
        private={"server": SERVERS},
        tracefs_cannot="event joining",
    ),
    "heap-outstanding": Recipe(
        judge=heap_outstanding_seen, private=LIBC, tracefs_cannot="event joining"
    ),
    "malloc-calls": Recipe(work=workloads.malloc_calls, judge=malloc_calls_seen, private=LIBC),
    "python-gc": Recipe(work=workloads.python_gc, judge=python_gc_seen, tracefs_cannot="usdt"),
    "name-lookups": Recipe(work=name_lookups, judge=name_lookups_seen, private=LIBC),
    "thread-starts": Recipe(
        work=thread_starts, judge=thread_starts_seen, private=LIBC, tracefs_cannot="usym"
    ),
    "shell-lines": Recipe(work=shell_lines, judge=shell_lines_seen),
    "tls-text": Recipe(
        work=tls_sizes,
        judge=tls_text_seen,
        private={"lib": "libssl.so.3"},
        tracefs_cannot="memory behind this pointer",
    ),
    "tls-sizes": Recipe(
        work=tls_sizes,
        judge=tls_sizes_seen,
        private={"lib": "libssl.so.3"},
        tracefs_cannot="memory behind this pointer",
    ),
}
