"""What workloads wait for, instead of time: another task that is off the CPU, in a known call."""

import socket
import time
from pathlib import Path

from tests.support.workload.raw_calls import number_of

READ, WRITE = number_of("read"), number_of("write")
TIME_WAIT, LISTEN = 6, 10  # include/net/tcp_states.h
RETRANSMITS, QUEUED = 2, 24  # offsets in struct tcp_info, include/uapi/linux/tcp.h


def wait_asleep(task: str, call: int) -> None:
    """Until /proc/`task` has left the CPU inside this system call: the kernel shows the call of a
    task that is switched out and blocked, and of no other."""
    while Path(f"/proc/{task}/syscall").read_text().split()[0] != str(call):
        time.sleep(0.001)


def tcp_info(connection: socket.socket, offset: int) -> int:
    """A byte of what the kernel reports a TCP socket."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, offset + 1)[offset]


def wait_closed(port: int) -> None:
    """Until nothing is left of the connections from and to this IPv4 port but what remembers them
    for a minute: the last packets are handled when an end that closed has long moved on."""
    while states_of(port) - {LISTEN, TIME_WAIT}:
        time.sleep(0.001)


def states_of(port: int) -> set[int]:
    """The states of the sockets that have this port on either end."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[3], 16) for row in rows if {row[1][-4:], row[2][-4:]} & {f"{port:04X}"}}


def wait_queued(server: socket.socket, connections: int) -> None:
    """Until so many connections wait to be accepted: a client's connect returns before the
    listener has them."""
    while tcp_info(server, QUEUED) < connections:
        time.sleep(0.001)
