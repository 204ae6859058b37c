"""Workloads for the scripts of bpftrace where those of the rows do not do: a script looks at other
system calls than a program of today makes, or at all processes together.
`python -m tests.recipes.peer_work NAME`"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import tempfile
import threading
import time

# arch/x86/entry/syscalls/syscall_64.tbl
STAT, LSTAT, NANOSLEEP, GETPMSG, STATX = 4, 6, 35, 181, 332
AT_FDCWD = -100
MISSING = b"/nonexistent/probeplan-recipe"
MANY = 200_000
NAPS_MS = (10, 20, 45, 90, 180)
MESSAGES, MESSAGE_BYTES, PAUSE_S = 15, 321, 0.02
TLS_1_2, SET_MAX_VERSION = 0x0303, 124  # include/openssl/tls1.h, ssl.h
libc = ctypes.CDLL(None, use_errno=True)


def stats() -> None:
    """The stat calls that statsnoop.bt knows: newfstatat, which programs of today make, it does
    not."""
    room = ctypes.create_string_buffer(512)
    for path, calls in ((b"/dev/null", 12), (MISSING, 9)):
        for _ in range(calls):
            libc.syscall(STATX, AT_FDCWD, path, 0, 0xFFF, room)
            libc.syscall(STAT, path, room)
            libc.syscall(LSTAT, path, room)


def syncs() -> None:
    """5 fsyncs, 3 fdatasyncs, 2 syncfs, of a file in memory."""
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        for _ in range(5):
            os.fsync(file.fileno())
        for _ in range(3):
            os.fdatasync(file.fileno())
        for _ in range(2):
            libc.syncfs(file.fileno())


def kills() -> None:
    """The call that killsnoop.bt knows: 5 signals to ourselves, one to no one, and a question
    whether we are there."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGUSR1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(2**22, signal.SIGTERM)  # the largest pid there can be
    os.kill(os.getpid(), 0)


def many_calls() -> None:
    """So many calls of one that no kernel implements that it is among the ten most frequent."""
    call = libc.syscall
    for _ in range(MANY):
        call(GETPMSG)


def naps() -> None:
    """Naps by nanosleep itself: the C library's functions make clock_nanosleep of it."""
    for milliseconds in NAPS_MS:
        libc.syscall(NANOSLEEP, (ctypes.c_long * 2)(0, milliseconds * 1_000_000), None)


def tls() -> None:
    """Messages through SSL_write, each after a pause for which SSL_read waits: Python itself calls
    their newer forms, which the scripts do not know."""
    here, there = socket.socketpair()
    writer = threading.Thread(target=write_tls, args=(here,))
    writer.start()
    library, end = tls_end(there, "SSL_set_accept_state")
    room = ctypes.create_string_buffer(1000)
    for _ in range(MESSAGES):
        assert library.SSL_read(end, room, 1000) == MESSAGE_BYTES
    writer.join()


def write_tls(end: socket.socket) -> None:
    """The other end."""
    library, connection = tls_end(end, "SSL_set_connect_state")
    for _ in range(MESSAGES):
        time.sleep(PAUSE_S)
        library.SSL_write(connection, b"x" * MESSAGE_BYTES, MESSAGE_BYTES)


def tls_end(end: socket.socket, side: str) -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """OpenSSL and a connection that needs no certificate, its handshake done."""
    library = ctypes.CDLL("libssl.so.3")
    library.TLS_method.restype = ctypes.c_void_p
    library.SSL_CTX_new.restype = library.SSL_new.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.SSL_CTX_new(ctypes.c_void_p(library.TLS_method())))
    assert library.SSL_CTX_set_cipher_list(context, b"AECDH:@SECLEVEL=0")
    assert library.SSL_CTX_ctrl(context, SET_MAX_VERSION, ctypes.c_long(TLS_1_2), None)
    connection = ctypes.c_void_p(library.SSL_new(context))
    assert library.SSL_set_fd(connection, end.fileno())
    getattr(library, side)(connection)
    assert library.SSL_do_handshake(connection) == 1
    return library, connection


WORK = {
    work.__name__.replace("_", "-"): work for work in (stats, syncs, kills, many_calls, naps, tls)
}

if __name__ == "__main__":
    WORK[sys.argv[1]]()
