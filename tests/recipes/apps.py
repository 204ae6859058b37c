"""Rows of plans/apps."""

import os
import pty
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.recipes.recipe import Recipe, by_function
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
    assert len({one["start"] for one in ran.data("create")}) == 1
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


ROWS: Mapping[str, Recipe] = {
    "heap-outstanding": Recipe(
        judge=heap_outstanding_seen, private=LIBC, tracefs_cannot="event joining"
    ),
    "malloc-calls": Recipe(work=workloads.malloc_calls, judge=malloc_calls_seen, private=LIBC),
    "python-gc": Recipe(work=workloads.python_gc, judge=python_gc_seen, tracefs_cannot="usdt"),
    "name-lookups": Recipe(work=name_lookups, judge=name_lookups_seen, private=LIBC),
    "thread-starts": Recipe(work=thread_starts, judge=thread_starts_seen, private=LIBC),
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
