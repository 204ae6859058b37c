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


#: Packets of IPv6 with the extension headers that the arguments name, from a raw socket: numbers of
#: headers, `44+` for a later fragment, the last that of the protocol. The source port says which.
SEND_CHAINS = """
import socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
own = socket.inet_pton(socket.AF_INET6, "::1")
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    for at, text in enumerate(sys.argv[1:]):
        names = text.split(",")
        numbers = [int(name.rstrip("+")) for name in names]
        rest = b""
        for name, number, following in zip(names, numbers, numbers[1:]):
            if number == 44:
                rest += bytes((following, 0, 1 if name == "44+" else 0, 1)) + bytes(4)
            elif number == 51:
                rest += bytes((following, 4)) + bytes(22)
            else:  # of sixteen bytes, of which all but two are one padding option
                rest += bytes((following, 1, 1, 12)) + bytes(12)
        ports = (5000 + at).to_bytes(2) + (4002).to_bytes(2)
        rest += ports + (8 + at).to_bytes(2) + bytes(2 + at)
        head = b"\\x60\\0\\0\\0" + len(rest).to_bytes(2) + bytes((numbers[0], 77)) + own + own
        raw.sendto(head + rest, ("::1", 0))
"""
#: What is sent, and the protocol and the source port that are seen.
CHAINS = [
    ("17", 17, 5000),
    ("0,17", 17, 5001),
    ("43,6", 6, 5002),
    ("60,60,17", 17, 5003),
    ("44,17", 17, 5004),
    ("44+,17", 17, None),
    ("44+,60,17", 60, None),
    ("51,6", 6, 5007),
    ("0,60,43,44,51,60,17", 17, 5008),
    (",".join(["60"] * 8 + ["17"]), 17, 5009),
    (",".join(["60"] * 9 + ["17"]), None, None),
    ("0,58", 58, None),
    ("50", 50, None),
    ("59", 59, None),
]


@pytest.mark.skipif(not shutil.which("ip"), reason="needs ip")
def test_extension_headers_are_followed(tmp_path: Path) -> None:
    """To the ports behind eight of them, and to none behind more, or in a later fragment. What is
    null counts as faulted, in each field and metric."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + """
probes:
  queued:
    attach: tracepoint:net:net_dev_queue
    let: {p: packet(args.skbaddr)}
    where: p.ttl == 77     # the answers of ICMP have another one
    emit: {proto: p.proto, sport: p.sport, dport: p.dport}
    metrics:
      known: {count: p.sport >= 5000}
      ports: {count: true, by: [p.sport]}
""")  # fmt: skip
    command = ["unshare", "--net", sys.executable, "-c", SEND_CHAINS]
    command += [text for text, *_ in CHAINS]
    ran = run_cli(str(plan), "--backend", "bcc", command=command)
    expected = [
        {"proto": proto, "sport": sport, "dport": None if sport is None else 4002}
        for _, proto, sport in CHAINS
    ]
    assert ran.data("queued") == expected
    seen = [sport for *_, sport in CHAINS if sport is not None]
    assert ran.value("queued", "known") == len(seen) == 8
    assert all(ran.value("queued", "ports", **{"p.sport": sport}) == 1 for sport in seen)
    nulls = sum(value is None for record in expected for value in record.values())
    without = len(CHAINS) - len(seen)  # in both metrics
    assert ran.finished["ledger"]["faulted"] == nulls + 2 * without
