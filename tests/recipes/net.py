"""Rows of plans/net."""

import contextlib
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tests.recipes.recipe import Recipe, longest, most, result_of, total
from tests.support.workload import plans as workloads
from tests.support.workload.raw_calls import BIND, Ring
from tests.support.workload.waiting import wait_closed, wait_queued

if TYPE_CHECKING:
    from tests.support.product import Ran

LOOPBACK = "127.0.0.1"
SNAPSHOT_PORT = 28611  # below those that the kernel chooses


def tcp_connects_seen(ran: "Ran") -> None:
    """5 connections to one port over loopback."""
    connects = ran.data("connect")
    assert [connect["to"] for connect in connects] == [LOOPBACK] * 5
    assert {connect["family"] for connect in connects} == {"AF_INET"}
    assert len({connect["port"] for connect in connects}) == 1
    assert ran.value("connect", "connects", comm="python3") == 5


def tcp_retransmits_seen(ran: "Ran") -> None:
    """First segments that the full listener dropped, again after a second."""
    again = [one for one in ran.data("retransmit") if one["to"] == LOOPBACK]
    assert again
    assert {one["state"] for one in again} == {"TCP_SYN_SENT"}
    assert ran.value("retransmit", "segments") >= len(again)


def connections(count: int) -> None:
    """`count` connections over loopback; the client says a byte, hears it, and closes first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(count):
            client, accepted = connected(server)
            with client, accepted:
                client.sendall(b"x")
                accepted.sendall(accepted.recv(1))
                client.recv(1)
                client.shutdown(socket.SHUT_WR)
                accepted.recv(1)
        wait_closed(server.getsockname()[1])


def connected(server: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of a new connection to `server`."""
    client = socket.create_connection(server.getsockname())
    return client, server.accept()[0]


def tcp_states() -> None:
    """4 connections."""
    connections(4)


def tcp_states_seen(ran: "Ran") -> None:
    """Each opens and is accepted once, and is closed by the client first."""
    for was, becomes in (
        ("TCP_CLOSE", "TCP_SYN_SENT"),
        ("TCP_SYN_SENT", "TCP_ESTABLISHED"),
        ("TCP_SYN_RECV", "TCP_ESTABLISHED"),
        ("TCP_ESTABLISHED", "TCP_FIN_WAIT1"),
        ("TCP_ESTABLISHED", "TCP_CLOSE_WAIT"),
        ("TCP_CLOSE_WAIT", "TCP_LAST_ACK"),
    ):
        assert ran.value("change", "changes", was=was, becomes=becomes) >= 4, (was, becomes)
    opened = [one for one in ran.data("change") if one["becomes"] == "TCP_SYN_SENT"]
    places = Counter((one["to"], one["to_port"]) for one in opened)  # the host's, ours among them
    assert (LOOPBACK, 4) in [(address, count) for (address, _), count in places.items()]


def tcp_events() -> None:
    """5 connections that come about, and 3 that are refused."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        for _ in range(3):
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(unused.getsockname())
    connections(5)


def tcp_events_seen(ran: "Ran") -> None:
    """Each opened by the client, taken by the server and closed by both, the same five pairs of
    ports; and none for those that were refused. Other programs' connections are reported as
    well."""
    servers = Counter(one["to_port"] for one in ran.data("connect") if one["to"] == LOOPBACK)
    [port] = [port for port, count in servers.items() if count == 5]
    opened = ends(one for one in ran.data("connect") if one["to_port"] == port)
    taken = ends(one for one in ran.data("accept") if one["from_port"] == port)
    assert len(set(opened)) == 5
    assert sorted(taken) == sorted((to, origin) for origin, to in opened)
    closed = ends(one for one in ran.data("close") if port in (one["from_port"], one["to_port"]))
    assert sorted(closed) == sorted(opened + taken)
    for probe in ("connect", "accept", "close"):
        assert ran.value(probe, f"{probe}s") == len(ran.data(probe))


def ends(records: Iterable[Mapping[str, Any]]) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    """Address and port of this end and of the other one."""
    return [((one["from"], one["from_port"]), (one["to"], one["to_port"])) for one in records]


def tcp_sockets() -> None:
    """A listener with 3 connections, open for two windows."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((LOOPBACK, SNAPSHOT_PORT)))
        for end in (end for _ in range(3) for end in connected(server)):
            stack.enter_context(end)
        time.sleep(2.5)


def tcp_sockets_seen(ran: "Ran") -> None:
    key = {"port": SNAPSHOT_PORT}
    assert most(ran, "sockets", "ports", state="TCP_ESTABLISHED", **key) == 3
    assert most(ran, "sockets", "listening", user=os.getuid(), **key) == 1
    assert most(ran, "sockets", "states", state="TCP_ESTABLISHED") >= 6


def tcp_listens() -> None:
    """3 listeners on ports of the kernel's choice, with a queue of 7."""
    for _ in range(3):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(7)


def tcp_listens_seen(ran: "Ran") -> None:
    seen = ran.data("listen")
    assert [(one["family"], one["address"], one["backlog"]) for one in seen] == [
        ("AF_INET", LOOPBACK, 7)
    ] * 3
    assert all(one["port"] > 0 for one in seen)
    assert ran.value("listen", "listens", comm="python3") == 3


def tcp_rtt() -> None:
    """200 questions and answers over one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client, accepted = connected(server)
        with client, accepted:
            for _ in range(200):
                client.sendall(b"?")
                accepted.recv(1)
                accepted.sendall(b"!")
                client.recv(1)


def tcp_rtt_seen(ran: "Ran") -> None:
    """Each question and each answer is a segment received, a fraction of a second away: 200 from
    either port, alongside acknowledgements, which an end sends by themselves if it is late."""
    cells = ran.cells("segment", "rtt")
    assert sum(cell["count"] for cell in cells) == ran.value("segment", "segments")
    ours = [cell for cell in cells if cell["count"] >= 200]
    assert len(ours) >= 2
    assert all(0 < longest(cell) < 1_000_000_000 for cell in ours)


def packet_drops() -> None:
    """60 datagrams to a port where no one listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(60):
            with contextlib.suppress(ConnectionRefusedError):
                sender.sendto(b"x", closed)


def packet_drops_seen(ran: "Ran") -> None:
    """At one place, for one reason, which have names."""
    most = max(ran.cells("drop", "drops"), key=lambda cell: cell["value"])
    assert most["value"] >= 60
    assert most["key"]["reason"] in ("NO_SOCKET", "SKB_DROP_REASON_NO_SOCKET", 0)
    assert most["key"]["place"].startswith(("udp", "__udp4_lib"))
    assert total(ran, "drop", "drops") >= 60


def outside_connects() -> None:
    """5 connections to an address of the network that the run calls inside, and 7 to another."""
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))  # noqa: S104  # all of 127.0.0.0/8 is this host's
        server.listen(16)
        for address in ["127.0.0.1"] * 5 + ["127.0.0.9"] * 7:
            socket.create_connection((address, server.getsockname()[1])).close()


def outside_connects_seen(ran: "Ran") -> None:
    assert [one["to"] for one in ran.data("outside")] == ["127.0.0.9"] * 7
    assert ran.value("outside", "connects", comm="python3", to="127.0.0.9") == 7
    assert ran.value("inside", "connects", comm="python3") == 5


DNS_PORT = 25353  # which no name server has
NXDOMAIN = 3


def dns_queries() -> None:
    """12 queries that are answered, a quarter of them by "no such name", and 3 that are not; until
    these are old enough to be reported."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as us,
    ):
        server.bind(("127.0.0.1", DNS_PORT))
        for number in range(15):
            us.sendto(struct.pack(">6H", number, 0x0100, 1, 0, 0, 0), server.getsockname())
            query, client = server.recvfrom(512)
            if number < 12:
                result = NXDOMAIN if number % 4 == 0 else 0
                server.sendto(query[:2] + struct.pack(">5H", 0x8180 | result, 1, 0, 0, 0), client)
                assert us.recv(512)[:2] == query[:2]
        time.sleep(1.2)


def dns_queries_seen(ran: "Ran") -> None:
    results = [(one["server"], one["result"]) for one in ran.data("lookup")]
    assert results == [
        ("127.0.0.1", "NOERROR" if number % 4 else "NXDOMAIN") for number in range(12)
    ]
    assert all(one["took"] > 0 for one in ran.data("lookup"))
    key = {"comm": "python3", "server": "127.0.0.1"}
    assert ran.value("query", "queries", **key) == 15
    assert ran.value("lookup", "results", **key, result="NXDOMAIN") == 3
    reported = ran.of_kind("outstanding.reported")[-1]
    assert [(cell["key"], cell["count"]) for cell in reported["cells"]] == [(key, 3)]


def tcp_resets() -> None:
    """30 connections to ports on which no one listens, one to each."""
    with contextlib.ExitStack() as held:
        unused = [held.enter_context(socket.socket()) for _ in range(30)]
        for one in unused:
            one.bind(("127.0.0.1", 0))  # and does not listen; no other program gets the port
        for one in unused:
            with socket.socket() as client, contextlib.suppress(ConnectionRefusedError):
                client.connect(one.getsockname())


def tcp_resets_seen(ran: "Ran") -> None:
    """One peer that tries 30 ports, and the reason, where the kernel gives one."""
    resets = [one for one in ran.data("ipv4") if one["peer"] == "127.0.0.1"]
    assert len({one["port"] for one in resets}) >= 30
    assert {one["reason"] for one in resets} & {0, "NO_SOCKET", "SK_RST_REASON_NO_SOCKET"}
    ports = [cell for cell in ran.cells("ipv4", "ports") if cell["value"] == 1]
    assert len(ports) >= 30
    assert ran.value("ipv4", "peers", peer="127.0.0.1") >= 30


KPROBES = ("kprobes",)


def tcp_accepts() -> None:
    """6 connections."""
    connections(6)


def tcp_accepts_seen(ran: "Ran") -> None:
    """Taken one by one from one port, each from another."""
    accepts = ran.data("accept")
    assert [(one["address"], one["peer"]) for one in accepts] == [("127.0.0.1", "127.0.0.1")] * 6
    assert len({one["port"] for one in accepts}) == 1
    assert len({one["peer_port"] for one in accepts}) == 6
    assert ran.value("accept", "accepts", comm="python3") == 6


def tcp_backlog() -> None:
    """4 connections that wait in a queue of 7 until all are there."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(7)
        clients = []
        for count in range(1, 5):
            clients.append(socket.create_connection(server.getsockname()))
            wait_queued(server, count)
        for client in clients:
            server.accept()[0].close()
            client.close()


def tcp_backlog_seen(ran: "Ran") -> None:
    """Each finds one more before it."""
    [backlog] = [cell for cell in ran.cells("arrive", "backlog") if cell["count"] >= 4]
    assert backlog["count"] == 4
    assert sum(count for _, count in backlog["buckets"]) == 4
    assert longest(backlog) == 3
    assert ran.value("arrive", "arrivals", **backlog["key"]) == 4
    assert ran.value("arrive", "full", **backlog["key"]) == 0


def tcp_traffic() -> None:
    """25 messages of 1000 bytes over one connection, each taken whole."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client, accepted = connected(server)
        with client, accepted:
            for _ in range(25):
                client.sendall(bytes(1000))
                assert len(accepted.recv(1000, socket.MSG_WAITALL)) == 1000


def tcp_traffic_seen(ran: "Ran") -> None:
    assert total(ran, "send", "bytes") == 25_000
    assert total(ran, "receive", "bytes") == 25_000
    assert {cell["key"]["comm"] for cell in ran.cells("send", "bytes")} == {"python3"}
    assert {cell["key"]["peer"] for cell in ran.cells("send", "peers")} == {"127.0.0.1"}


def fd_passing() -> None:
    """7 times 3 descriptors sent to oneself, and received."""
    one, other = socket.socketpair()
    for _ in range(7):
        socket.send_fds(one, [b"x"], [0, 1, 2])
        for received in socket.recv_fds(other, 1, 3)[1]:
            os.close(received)


def fd_passing_seen(ran: "Ran") -> None:
    assert [one["descriptors"] for one in ran.data("send")] == [3] * 7
    assert [one["descriptors"] for one in ran.data("receive")] == [3] * 7
    assert ran.value("send", "sent", comm="python3") == 21
    assert ran.value("receive", "received", comm="python3") == 21


def binds() -> None:
    """3 sockets bound, one of them for IPv6; one that cannot be, since the port is taken; and a
    request, of no socket."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        with contextlib.suppress(OSError):
            second.bind(first.getsockname())
    with socket.socket() as another:
        another.bind(("127.0.0.1", 0))
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as six:
        six.bind(("::1", 34567))
    Ring().request(BIND, -1)


def binds_seen(ran: "Ran") -> None:
    seen = [(one["family"], one["address"], result_of(one)) for one in ran.data("bind")]
    assert seen[:3] == [
        ("AF_INET", "127.0.0.1", 0),
        ("AF_INET", "127.0.0.1", "EADDRINUSE"),
        ("AF_INET", "127.0.0.1", 0),
    ]
    assert ran.data("bind")[1]["port"] > 0
    assert all(one["port"] == 34567 and one["address"] == "::1" for one in ran.data("bind")[3:])
    assert ran.value("bind", "binds", comm="python3") == len(seen)
    assert ran.value("ring", "requests", comm="python3") in (0, 1)  # 0: unknown before Linux 6.11


def tcp_life() -> None:
    """3 connections that carry 3000 bytes one way and 50 the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(3):
            client, accepted = connected(server)
            with client, accepted:
                client.sendall(bytes(3000))
                accepted.recv(3000, socket.MSG_WAITALL)
                accepted.sendall(bytes(50))
                client.recv(50, socket.MSG_WAITALL)
                client.shutdown(socket.SHUT_WR)
                accepted.recv(1)
        wait_closed(server.getsockname()[1])


def tcp_life_seen(ran: "Ran") -> None:
    """Both ends of each; the end of the stream is counted as a byte."""
    lives = ran.data("life")
    received = sorted(one["received"] for one in lives)
    assert [one // 10 for one in received] == [5, 5, 5, 300, 300, 300]
    assert all(one["peer"] == LOOPBACK and one["took"] > 0 for one in lives)
    assert {one["comm"] for one in lives if one["received"] < 100} == {"python3"}
    assert ran.value("life", "received") == sum(received)


def tcp_connect_latency() -> None:
    """5 connections, 2 to a port where no one listens, and one of each by IPv6."""
    connections(5)
    for family, address, count in ((socket.AF_INET, LOOPBACK, 2), (socket.AF_INET6, "::1", 1)):
        with socket.socket(family) as unused:
            unused.bind((address, 0))
            for _ in range(count):
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(unused.getsockname()[:2])
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        socket.create_connection(server.getsockname()[:2]).close()


def tcp_connect_latency_seen(ran: "Ran") -> None:
    """Both ends of each, and why there is none."""
    connects = ran.data("connect")
    seen = [(one["comm"], one["peer"], one["opened"], one["error"]) for one in connects]
    assert seen == [
        *[("python3", LOOPBACK, True, None)] * 5,
        *[("python3", LOOPBACK, False, "ECONNREFUSED")] * 2,
        ("python3", "::1", False, "ECONNREFUSED"),
        ("python3", "::1", True, None),
    ]
    assert [one["family"] for one in connects] == ["AF_INET"] * 7 + ["AF_INET6"] * 2
    assert all(one["from"] == one["peer"] and one["from_port"] > 0 for one in connects)
    assert ran.value("connect", "opened", comm="python3") == 6
    assert ran.value("connect", "failed", comm="python3") == 3
    refused = Counter[str]()
    for cell in ran.cells("connect", "errors"):
        assert cell["key"]["error"] == "ECONNREFUSED"
        refused[cell["key"]["peer"]] += cell["value"]
    assert refused == {LOOPBACK: 2, "::1": 1}
    [latency] = ran.cells("connect", "latency")
    assert latency["count"] == 9
    assert sum(cell["count"] for cell in ran.cells("connect", "peers")) == 6


def connect_errors() -> None:
    """A connection that comes about, and one that has to be waited for; 4 to a port where no one
    listens, one by UDP to everyone, and 2 to a local socket that does not exist."""
    connections(1)
    with socket.socket() as unused, socket.create_server((LOOPBACK, 0)) as server:
        unused.bind((LOOPBACK, 0))
        for _ in range(4):
            with socket.socket() as one, contextlib.suppress(ConnectionRefusedError):
                one.connect(unused.getsockname())
        with socket.socket() as later, contextlib.suppress(BlockingIOError):
            later.setblocking(False)
            later.connect(server.getsockname())
    with socket.socket(type=socket.SOCK_DGRAM) as broadcast, contextlib.suppress(OSError):
        broadcast.connect(("255.255.255.255", 80))
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as local, contextlib.suppress(FileNotFoundError):
            local.connect("/nonexistent/probeplan")


def place_of(record: Mapping[str, Any]) -> str:
    """The path of a local socket, or the address of another."""
    return str(record["path"] or record["to"].partition(":")[0])


def connect_errors_seen(ran: "Ran") -> None:
    """As the program saw them; a datagram socket may not be connected to everyone, or there is no
    route at all."""
    seen = [(one["family"], result_of(one), place_of(one)) for one in ran.data("connect")]
    assert seen[:4] == [("AF_INET", "ECONNREFUSED", LOOPBACK)] * 4
    assert seen[4] in [("AF_INET", error, "255.255.255.255") for error in ("EACCES", "ENETUNREACH")]
    assert seen[5:] == [("AF_UNIX", "ENOENT", "/nonexistent/probeplan")] * 2
    assert ran.value("connect", "errors", comm="python3", error="ECONNREFUSED") == 4
    assert ran.value("connect", "errors", comm="python3", error="ENOENT") == 2
    assert total(ran, "connect", "places") == 7


ROWS: Mapping[str, Recipe] = {
    "tcp-connects": Recipe(work=workloads.tcp_connects, judge=tcp_connects_seen),
    "tcp-retransmits": Recipe(work=workloads.tcp_retransmits, judge=tcp_retransmits_seen),
    "connect-errors": Recipe(
        work=connect_errors, judge=connect_errors_seen, tracefs_cannot="address of a socket"
    ),
    "outside-connects": Recipe(
        work=outside_connects, judge=outside_connects_seen, settings={"inside": "::1,127.0.0.0/30"}
    ),
    "dns-queries": Recipe(
        work=dns_queries,
        judge=dns_queries_seen,
        settings={"port": str(DNS_PORT)},
        everywhere=True,
        tracefs_cannot="event joining",
    ),
    "tcp-resets": Recipe(
        work=tcp_resets,
        judge=tcp_resets_seen,
        tracefs_cannot="tracefs cannot",  # attach the one, or read the packet at the other
        differs=("6.12", "7.x"),
        everywhere=True,
    ),
    "tcp-states": Recipe(work=tcp_states, judge=tcp_states_seen),
    "tcp-events": Recipe(work=tcp_events, judge=tcp_events_seen),
    "tcp-sockets": Recipe(work=tcp_sockets, judge=tcp_sockets_seen, tracefs_cannot="iter"),
    "tcp-listens": Recipe(
        work=tcp_listens, judge=tcp_listens_seen, tracefs_cannot="memory behind this pointer"
    ),
    "tcp-rtt": Recipe(work=tcp_rtt, judge=tcp_rtt_seen, settings={"by": "port"}),
    "packet-drops": Recipe(work=packet_drops, judge=packet_drops_seen),
    "tcp-accepts": Recipe(
        work=tcp_accepts,
        judge=tcp_accepts_seen,
        needs=KPROBES,
        tracefs_cannot="address of a socket",
    ),
    "tcp-backlog": Recipe(work=tcp_backlog, judge=tcp_backlog_seen, needs=KPROBES),
    "tcp-traffic": Recipe(
        work=tcp_traffic,
        judge=tcp_traffic_seen,
        needs=KPROBES,
        tracefs_cannot="address of a socket",
    ),
    "fd-passing": Recipe(
        work=fd_passing,
        judge=fd_passing_seen,
        needs=KPROBES,
        tracefs_cannot="memory behind this pointer",
    ),
    "binds": Recipe(
        differs=("6.12", "7.x"),
        work=binds,
        judge=binds_seen,
        tracefs_cannot="memory behind this pointer",
    ),
    "tcp-life": Recipe(work=tcp_life, judge=tcp_life_seen, tracefs_cannot="event joining"),
    "tcp-connect-latency": Recipe(
        work=tcp_connect_latency, judge=tcp_connect_latency_seen, tracefs_cannot="event joining"
    ),
}
