"""Addresses compared with constant ones on this machine's kernel, against ipaddress."""

import random
import sys
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest

from tests.support.product import run_cli

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: addresses, summary: for tests}
limits: {duration: 1m, cpu: 100%}
"""
#: Addresses at which a socket listens; the third is IPv4 in a socket of IPv6.
LISTENING = ["127.0.0.1", "127.9.8.7", "::ffff:127.0.0.5", "::1", "127.0.0.1"]
LISTEN = """
import socket, sys
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as one:
        one.bind((address, 0))
        one.listen()
"""
CONNECT = """
import socket, sys
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect((address, 9))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
    one.connect_ex("/nowhere")
"""


def networks_of(dice: random.Random) -> list[list[str]]:
    """Lists of networks, most of which have some of the addresses."""
    lists = [["127.0.0.0/8"], ["::/0"], ["0.0.0.0/0"], ["::1"], ["127.0.0.5", "::1/128"]]
    for _ in range(6):
        chosen = dice.sample(LISTENING, 2)
        lists.append(
            [
                str(ip_network((one, dice.choice((8, 16, 23, 31, 32))), strict=False))
                if ":" not in one
                else str(ip_network((one, dice.choice((0, 64, 97, 119, 128))), strict=False))
                for one in chosen
            ]
        )
    return lists


def inside(address: str, networks: list[str]) -> bool:
    own = ip_address(address)
    own = getattr(own, "ipv4_mapped", None) or own
    for text in networks:
        network: IPv4Network | IPv6Network = ip_network(text)
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= 96:
            network = ip_network((mapped, network.prefixlen - 96))
        if network.version == own.version and own in network:
            return True
    return False


def metrics_for(lists: list[list[str]], expression: str) -> str:
    quoted = (", ".join(f'"{one}"' for one in networks) for networks in lists)
    return "".join(
        f"      m{i}: {{count: '{expression} in ({texts},)'}}\n" for i, texts in enumerate(quoted)
    )


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_fields_of_a_tracepoint_are_compared(tmp_path: Path, backend: str) -> None:
    """Each list of networks counts the sockets whose address is in it, and `==` one address."""
    lists = networks_of(random.Random(7))  # noqa: S311  # a fixed choice
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + """
let:
  v4: ipv4(args.saddr)
  ip: ipv6(args.saddr_v6)
probes:
  p:
    attach: tracepoint:sock:inet_sock_set_state
    where: args.newstate == TCP_LISTEN
    emit: {ip: ip}
    metrics:
      one: {count: 'ip == "127.0.0.1"'}
      other: {count: 'v4 != "127.0.0.1"'}
""" + metrics_for(lists, "ip"))  # fmt: skip
    command = [sys.executable, "-c", LISTEN, *LISTENING]
    ran = run_cli(str(plan), "--backend", backend, command=command)
    assert len(ran.data("p")) == len(LISTENING)
    assert ran.value("p", "one") == 2
    assert ran.value("p", "other") == 3
    for index, networks in enumerate(lists):
        wanted = sum(inside(address, networks) for address in LISTENING)
        assert ran.value("p", f"m{index}") == wanted, networks


def test_sockets_and_addresses_that_programs_pass_are_compared(tmp_path: Path) -> None:
    """In conditions, through `let` and `entry`, by a param, in a span; a Unix socket has none."""
    lists = networks_of(random.Random(8))  # noqa: S311  # a fixed choice
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + """
params: {nets: {type: net, default: "10.0.0.0/8"}}
let: {ip: "sockaddr(args.uservaddr).ip"}
probes:
  c:
    attach: syscall:connect
    metrics:
      all: {count: true}
      by_param: {count: ip in params.nets}
      not_in: {count: ip not in params.nets}
""" + metrics_for(lists, "ip") + """
  s:
    attach: rawtracepoint:inet_sock_set_state
    where: args.newstate == TCP_LISTEN and local(args.sk).ip in params.nets
    emit: {to: local(args.sk)}
""")  # fmt: skip
    nets = "127.0.0.0/16, ::1"
    sent = [*LISTENING, "::1"]
    script = LISTEN.replace("sys.argv[1:]", repr(LISTENING)) + CONNECT
    command = [sys.executable, "-c", script, *sent]
    ran = run_cli(str(plan), "--backend", "bcc", "--set", f"nets={nets}", command=command)
    assert ran.value("c", "all") == len(sent) + 1
    of_param = sum(inside(address, nets.split(", ")) for address in sent)
    assert ran.value("c", "by_param") == of_param
    assert ran.value("c", "not_in") == len(sent) - of_param
    for index, networks in enumerate(lists):
        wanted = sum(inside(address, networks) for address in sent)
        assert ran.value("c", f"m{index}") == wanted, networks
    listened = sum(inside(address, nets.split(", ")) for address in LISTENING)
    assert len(ran.data("s")) == listened


#: Connected sockets of both families, of which some are connected to their own address, and two
#: datagrams each from a socket to the one that listens, which closes.
PAIRS = """
import socket
for family, own, other in (
    (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
    (socket.AF_INET, "127.0.0.1", "127.0.0.2"),
    (socket.AF_INET6, "::1", "::1"),
    (socket.AF_INET6, "::ffff:127.0.0.3", "::ffff:127.0.0.3"),
    (socket.AF_INET6, "::ffff:127.0.0.3", "::ffff:127.0.0.4"),
):
    with socket.socket(family) as listening, socket.socket(family) as one:
        listening.bind((other, 0))
        listening.listen()
        one.bind((own, 0))
        one.connect(listening.getsockname())
"""


def test_two_addresses_are_compared(tmp_path: Path) -> None:
    """Both ends of sockets, in conditions, keys, `once` and lists, with fields, at a span's end and
    with what a note keeps: the same answers everywhere."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + """
let: {sk: 'cast(args.skaddr, "struct sock")'}
notes:
  opened:
    set: opening
    key: [io]
    keep: {own: local(sk).ip, to: ipv6(args.daddr_v6)}
probes:
  opening:
    attach: tracepoint:sock:inet_sock_set_state
    where: args.oldstate == TCP_CLOSE and args.newstate == TCP_SYN_SENT
    let: {io: args.skaddr, own: local(sk).ip, to: remote(sk).ip, v4: ipv4(args.saddr)}
  opened:
    attach: tracepoint:sock:inet_sock_set_state
    where: args.oldstate == TCP_SYN_SENT and args.newstate == TCP_ESTABLISHED
    let: {io: args.skaddr, to: remote(sk).ip}
    once: {by: [{same: local(sk).ip == remote(sk).ip}]}
    emit: {same: local(sk).ip == remote(sk).ip}
    metrics:
      all: {count: true}
      same: {count: local(sk).ip == remote(sk).ip}
      of_fields: {count: ipv6(args.saddr_v6) == ipv6(args.daddr_v6)}
      of_both: {count: ipv4(args.saddr) == remote(sk).ip}
      listed: {count: 'remote(sk).ip in (local(sk).ip, "127.0.0.4")'}
      not_listed: {count: 'remote(sk).ip not in (local(sk).ip,)'}
      by: {count: true, by: [{same: local(sk).ip == remote(sk).ip}]}
      noted: {count: note.opened.to == remote(sk).ip and note.opened.own == local(sk).ip}
      noted_same: {count: note.opened.to == note.opened.own}
      noted_v4: {count: 'note.opened.to in ("127.0.0.0/8",)'}
spans:
  opening_to_open:
    start: opening
    end: opened
    key: [io]
    where: start.to == end.to
    emit: {same: start.own == end.to, v4: start.v4 == end.to, four: 'start.to == "127.0.0.4"'}
    metrics: {both: {count: start.own == start.to}}
""")  # fmt: skip
    ran = run_cli(str(plan), "--backend", "bcc", command=[sys.executable, "-c", PAIRS])
    assert ran.value("opened", "all") == 5
    for name in ("same", "of_fields"):
        assert ran.value("opened", name) == 3, name
    assert ran.value("opened", "of_both") == 2  # a field of IPv4, in a socket of IPv6 0.0.0.0
    assert ran.value("opened", "listed") == 4
    assert ran.value("opened", "not_listed") == 2
    assert [ran.value("opened", "by", same=same) for same in (True, False)] == [3, 2]
    assert [one["same"] for one in ran.data("opened")] == [True, False]
    assert [ran.value("opened", f"noted{name}") for name in ("", "_same", "_v4")] == [5, 3, 4]
    spans = ran.data("opening_to_open")
    assert [one["same"] for one in spans] == [True, False, True, True, False]
    assert [one["four"] for one in spans] == [False] * 4 + [True]
    assert ran.value("opening_to_open", "both") == 3


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_two_fields_of_a_tracepoint_are_compared(tmp_path: Path, backend: str) -> None:
    """By tracefs in user space, of both families: one of IPv6 that is mapped is that of IPv4."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + """
probes:
  p:
    attach: tracepoint:sock:inet_sock_set_state
    where: args.oldstate == TCP_CLOSE and args.newstate == TCP_SYN_SENT
    emit: {a: ipv4(args.saddr), b: ipv4(args.daddr), c: ipv6(args.saddr_v6), d: ipv6(args.daddr_v6)}
    metrics:
      same: {count: ipv6(args.saddr_v6) == ipv6(args.daddr_v6)}
      of_v4: {count: ipv4(args.saddr) == ipv4(args.daddr)}
      mapped: {count: ipv6(args.saddr_v6) == ipv4(args.saddr)}
""")  # fmt: skip
    ran = run_cli(str(plan), "--backend", backend, command=[sys.executable, "-c", PAIRS])
    seen = [[ip_address(one[name]) for name in "abcd"] for one in ran.data("p")]
    assert [str(one[2]) for one in seen] == ["127.0.0.1"] * 2 + ["::1"] + ["127.0.0.3"] * 2
    assert ran.value("p", "same") == sum(one[2] == one[3] for one in seen) == 3
    assert ran.value("p", "of_v4") == sum(one[0] == one[1] for one in seen)
    assert ran.value("p", "mapped") == sum(one[0] == one[2] for one in seen) == 4


PASSING = """
import os, socket, sys
unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for address in (sys.argv[1], sys.argv[1] + "-longer"):
    unix.connect_ex(address)
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect((address, 0x2F61))
"""


def test_members_that_a_family_lacks_are_null(tmp_path: Path) -> None:
    """An address of IP has no path, and one of a Unix socket neither port nor IP address, though
    there are bytes in their places; tests of them are null as well."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + """
let: {to: sockaddr(args.uservaddr)}
probes:
  p:
    attach: syscall:connect
    emit: {path: to.path, short: "str(to.path, 6)", port: to.port, ip: to.ip, family: to.family}
    metrics:
      of_path: {count: 'startswith(to.path, "/")'}
      not_of_path: {count: 'not startswith(to.path, "/")'}
      by: {count: true, by: [to.path]}
""")  # fmt: skip
    place = "/no/such/place"
    ran = run_cli(str(plan), "--backend", "bcc", command=[sys.executable, "-c", PASSING, place])
    nothing = {"path": None, "short": None}
    assert ran.data("p") == [
        {"path": place, "short": place[:5], "port": None, "ip": None, "family": 1},
        {"path": f"{place}-longer", "short": place[:5], "port": None, "ip": None, "family": 1},
        {**nothing, "port": 0x2F61, "ip": "127.0.0.1", "family": 2},
        {**nothing, "port": 0x2F61, "ip": "::1", "family": 10},
    ]
    assert ran.value("p", "of_path") == 2
    assert ran.value("p", "not_of_path") == 0
    assert ran.value("p", "by", **{"to.path": place}) == 1
    assert ran.ledger("p")["metrics"]["by"]["counted"] == 2
