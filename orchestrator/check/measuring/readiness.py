"""Whether a server is ready, found without talking to it: it must not count what we ask."""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.check.processes.tree import find_descendants

__all__ = ["is_at_rest", "listens", "make_test"]

_LISTEN = "0A"  # include/net/tcp_states.h
_LOOKS, _BETWEEN_S = 3, 0.01


def make_test(ready: str, read_output: Callable[[], bytes]) -> Callable[[int], bool]:
    """The test that `ready` (tcp:HOST:PORT, file:PATH or line:TEXT) stands for, of a server's
    process. `read_output`: what it has written so far. Raises ValueError, OSError."""
    kind, _, rest = ready.partition(":")
    match kind:
        case "tcp":
            host, _, port = rest.rpartition(":")
            addresses, number = _resolve(host.strip("[]")), int(port)
            return lambda pid: listens(pid, addresses, number)
        case "file":
            return lambda _pid: Path(rest).exists()
        case "line":
            text = rest.encode()
            return lambda _pid: any(text in line for line in read_output().splitlines())
    raise ValueError(ready)


def _resolve(host: str) -> frozenset[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return frozenset(str(ipaddress.ip_address(entry[4][0])) for entry in found)


def listens(pid: int | str, addresses: frozenset[str], port: int) -> bool:
    """Whether some socket of the network namespace of `pid` waits for connections to one of
    `addresses` there. Source: net/ipv4/tcp_ipv4.c, get_tcp4_sock."""
    return any(
        number == port and (address in addresses or ipaddress.ip_address(address).is_unspecified)
        for address, number in _list_listening(pid)
    )


def _list_listening(pid: int | str) -> Iterator[tuple[str, int]]:
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:  # it has ended, or there is no IPv6
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTEN:
                address, _, port = words[1].partition(":")
                yield _parse_address(address), int(port, 16)


def _parse_address(text: str) -> str:
    """Words of 32 bits, each as the machine keeps it."""
    words = (bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    return str(ipaddress.ip_address(b"".join(words)))


def is_at_rest(pid: int, patience_s: float) -> bool:
    """Wait until a process and its descendants sleep at several looks in a row; whether they did
    within `patience_s`."""
    until, looks = time.monotonic() + patience_s, 0
    while looks < _LOOKS:
        looks = looks + 1 if _is_asleep(pid) else 0
        if time.monotonic() > until:
            return False
        time.sleep(_BETWEEN_S)
    return True


def _is_asleep(pid: int) -> bool:
    """Every thread of them (proc(5): S asleep, T stopped)."""
    for process in (pid, *find_descendants(pid)):
        for stat in Path(f"/proc/{process}/task").glob("*/stat"):
            try:
                state = stat.read_bytes().rpartition(b")")[2].split()[0]
            except OSError:
                return False
            if state not in (b"S", b"T", b"I", b"Z"):
                return False
    return True
