"""A workload for each shipped plan: `python -m tests.support.workload.plans NAME` does what the
plan is meant to see, a known number of times. The number is each function's default argument."""

import contextlib
import ctypes
import fcntl
import gc
import mmap
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.support.workload.waiting import READ, RETRANSMITS, tcp_info, wait_asleep


def vfs_reads(calls: int = 50) -> None:
    """`calls` reads of 12345 bytes from /dev/zero: no other process asks for so many."""
    fd = os.open("/dev/zero", os.O_RDONLY)
    for _ in range(calls):
        os.read(fd, 12345)


def opens(calls: int = 20) -> None:
    """`calls` opens that work and as many that fail."""
    for _ in range(calls):
        os.close(os.open("/dev/null", os.O_RDONLY))
        try:
            os.open("/nonexistent/probeplan-opens", os.O_RDONLY)
        except FileNotFoundError:
            continue


def slow_io(calls: int = 3) -> None:
    """`calls` reads that wait 50 ms each for the writer at the other end of a pipe."""
    reading, writing = os.pipe()
    reader = f"self/task/{threading.get_native_id()}"

    def write() -> None:
        for _ in range(calls):
            wait_asleep(reader, READ)
            time.sleep(0.05)
            os.write(writing, b"x")

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(calls):
        os.read(reading, 1)
    writer.join()


def fsync(calls: int = 5) -> None:
    """`calls` fsyncs of a file."""
    with tempfile.TemporaryFile() as file:
        for _ in range(calls):
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())


def execs(calls: int = 5) -> None:
    """`calls` programs started."""
    for _ in range(calls):
        subprocess.run(["/bin/true"], check=True)


def slow_syscalls(calls: int = 3) -> None:
    """`calls` polls of 100 ms on a pipe that stays silent."""
    reading, _writing = os.pipe()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    for _ in range(calls):
        poll.poll(100)


def kernel_allocations(calls: int = 2000) -> None:
    """`calls` pipes opened and closed: each takes and frees kernel memory."""
    for _ in range(calls):
        for fd in os.pipe():
            os.close(fd)


def page_faults(pages: int = 1000) -> None:
    """`pages` pages of fresh memory touched."""
    with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
        if hasattr(memory, "madvise"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1


def context_switches(calls: int = 200) -> None:
    """`calls` short sleeps: each leaves the CPU."""
    for _ in range(calls):
        time.sleep(0.0005)


def tcp_connects(calls: int = 5) -> None:
    """`calls` connections over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(calls):
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()


def tcp_retransmits(again: int = 1) -> None:
    """Connections to a listener whose queue is full: the kernel drops their first segments, and
    sends them again after a second (net.ipv4.tcp_syn_retries, RFC 6298): `again` and more."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        clients = [socket.socket() for _ in range(6)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        while sum(tcp_info(client, RETRANSMITS) for client in clients) < again:
            time.sleep(0.01)
        for client in clients:
            client.close()


def io_sizes(writes: int = 8) -> None:
    """`writes` synchronous writes of 64 KiB to the disk that holds the current directory."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        for _ in range(writes):
            file.write(os.urandom(65536))
            file.flush()
            os.fsync(file.fileno())


def malloc_calls(calls: int = 500) -> None:
    """`calls` mallocs of 54321 bytes, freed again."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    for _ in range(calls):
        libc.free(libc.malloc(54321))


def python_gc(calls: int = 7) -> None:
    """`calls` full collections of a hundred cycles each, and no more when the interpreter ends."""
    gc.disable()
    for _ in range(calls):
        for _ in range(100):
            cycle: list[object] = []
            cycle.append(cycle)
        gc.collect()
    os._exit(0)


def examples(folder: str = ".") -> None:
    """A little of what each example in examples/ is made to see, in an empty folder."""
    subprocess.run(["/bin/sh", "-c", "kill -TERM $$"], check=False)
    for _ in range(3):
        subprocess.run(["/bin/true"], check=True)
    one_page = os.pipe2(os.O_NONBLOCK)
    fcntl.fcntl(one_page[1], fcntl.F_SETPIPE_SZ, mmap.PAGESIZE)
    for _ in range(2):
        with contextlib.suppress(BlockingIOError):
            os.write(one_page[1], bytes(60000))
    with Path("/dev/zero").open("rb", buffering=0) as zero:
        zero.read(7654321)
    file = Path(folder) / "file"
    file.write_text("x")
    file.rename(file.with_name("renamed"))
    subprocess.run(["/bin/rm", file.with_name("renamed")], check=True)
    socket.getaddrinfo("localhost", 80)
    time.sleep(0.05)
    context_switches(300)


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
