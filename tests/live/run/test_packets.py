"""Packets on this machine's kernel: what their headers say, in a network namespace of the test."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.product import run_cli

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: packets, summary: for tests}
limits: {duration: 1m, cpu: 100%, rate: 1M/s}
"""
FIELDS = """
      family: label(p.family, "AF_")
      proto: label(p.proto, "IPPROTO_")
      src: p.src
      dst: p.dst
      sport: p.sport
      dport: p.dport
      ttl: p.ttl
      tos: p.tos
      len: p.len
"""
#: Datagrams of 40 bytes, refused connections, and pings to no one of both families.
SEND = """
import socket, subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for family, address, level, option, tos in (
    (socket.AF_INET, "127.0.0.9", socket.IPPROTO_IP, socket.IP_TOS, 0x28),
    (socket.AF_INET6, "::1", socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x48),
):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.setsockopt(level, option, tos)
        one.bind((address, 4001))
        for _ in range(3):
            one.sendto(b"x" * 40, (address, 4002))
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.bind((address, 4003))
        one.connect_ex((address, 4004))
"""


@pytest.mark.skipif(not shutil.which("ip"), reason="needs ip")
def test_headers_say_what_was_sent(tmp_path: Path) -> None:
    """Ends, protocol, ttl, class and length of datagrams and resets of both families."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + """
probes:
  queued:
    attach: tracepoint:net:net_dev_queue
    let: {p: packet(args.skbaddr)}
    where: p.dport == 4002
    emit:""" + FIELDS + """
    metrics:
      inside: {count: 'p.dst in ("127.0.0.0/8",)'}
      ports: {count: true, by: [p.dst, p.dport]}
  reset:
    task: none
    attach: rawtracepoint:tcp_send_reset
    let: {p: "packet(either(args.skb__nullable, args.skb))"}
    where: p.dport == 4004
    emit:""" + FIELDS)  # fmt: skip
    command = ["unshare", "--net", sys.executable, "-c", SEND]
    ran = run_cli(str(plan), "--backend", "bcc", command=command)
    v4, v6 = ("127.0.0.9", 20, 0x28), ("::1", 40, 0x48)
    expected = [
        {
            "family": "AF_INET" if header == 20 else "AF_INET6", "proto": "IPPROTO_UDP",
            "src": address, "dst": address, "sport": 4001, "dport": 4002, "ttl": 64, "tos": tos,
            "len": header + 8 + 40,
        }
        for address, header, tos in (v4, v6)
        for _ in range(3)
    ]  # fmt: skip
    assert ran.data("queued") == expected
    assert ran.value("queued", "inside") == 3
    assert ran.value("queued", "ports", **{"p.dst": "::1", "p.dport": 4002}) == 3
    resets = ran.data("reset")
    assert [(one["src"], one["dport"], one["proto"]) for one in resets] == [
        ("127.0.0.9", 4004, "IPPROTO_TCP"),
        ("::1", 4004, "IPPROTO_TCP"),
    ]
    assert {one["sport"] for one in resets} == {4003}
