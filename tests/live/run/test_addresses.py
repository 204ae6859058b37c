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
