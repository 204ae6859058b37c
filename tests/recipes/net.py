"""Rows of plans/net."""

import contextlib
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.plans import workloads
from tests.recipes.recipe import Recipe, longest, total

if TYPE_CHECKING:
    from tests.live.product import Ran

LOOPBACK = "::ffff:127.0.0.1"


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
    assert [one["to"] for one in opened] == [LOOPBACK] * 4


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
    """Each question and each answer is a segment received, a fraction of a second away."""
    [cell] = ran.cells("segment", "rtt")
    assert cell["count"] == ran.value("segment", "segments") >= 400
    assert 0 < longest(cell) < 1_000_000_000


def packet_drops() -> None:
    """60 datagrams to a port where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = unused.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(60):
            with contextlib.suppress(ConnectionRefusedError):
                sender.sendto(b"x", nobody)


def packet_drops_seen(ran: "Ran") -> None:
    """At one place, for one reason."""
    assert max(cell["value"] for cell in ran.cells("drop", "drops")) >= 60
    assert total(ran, "drop", "drops") >= 60


ROWS: Mapping[str, Recipe] = {
    "tcp-connects": Recipe(work=workloads.tcp_connects, judge=tcp_connects_seen),
    "tcp-retransmits": Recipe(work=workloads.tcp_retransmits, judge=tcp_retransmits_seen),
    "tcp-states": Recipe(work=tcp_states, judge=tcp_states_seen),
    "tcp-listens": Recipe(
        work=tcp_listens, judge=tcp_listens_seen, tracefs_cannot="memory behind this pointer"
    ),
    "tcp-rtt": Recipe(work=tcp_rtt, judge=tcp_rtt_seen),
    "packet-drops": Recipe(work=packet_drops, judge=packet_drops_seen),
}
