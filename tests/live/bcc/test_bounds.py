"""Maps that are full, addresses, and other PID namespaces."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.backends.bcc.attach.identity import check_namespace, own_tgid
from orchestrator.backends.bcc.design import layout
from orchestrator.compile.program import ResolvedTarget
from orchestrator.plan.findings import HostError
from tests.live.bcc.test_counts import LIMITS
from tests.support.bcc_runs import balanced, run
from tests.support.paths import ROOT


def test_calls_that_find_no_room_are_counted(load: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four frames for twelve threads that sleep in read: eight are map_full at the entry, and
    unpaired at the return."""
    monkeypatch.setattr(layout, "OPEN_ENTRIES", 4)
    made = run(LIMITS + f"target: {{comm: {load.name}}}\n" + """
probes:
  p:
    attach: syscall:read
    where: entry(args.count == 1)
    emit: {ret: retval}
""", [str(load), "threads", "12"])  # fmt: skip
    balanced(made)
    assert (made.side(0, "entry").accepted, made.side(0, "entry").map_full) == (4, 8)
    assert [r["ret"] for r in made.records] == [1] * 4


def test_children_that_find_no_room_are_counted(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the command and one child: all 30 grandchildren are reported as lost."""
    monkeypatch.setattr(layout, "TASK_ENTRIES", 2)
    made = run(LIMITS + """
target: {children: true}
probes: {p: {attach: "syscall:getppid", emit: {r: retval}}}
""", [str(calls), "forks 30"], root=True)  # fmt: skip
    balanced(made)
    assert made.counts.children_lost == 30
    assert len(made.records) == 30


def test_addresses_are_told_in_network_order() -> None:
    """A connection on the loopback, by both versions, with its ports."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]

    def act(_session: object) -> None:
        socket.create_connection(("127.0.0.1", port)).close()

    made = run(LIMITS + "target: {exclude_self: false}\n" + f"""
probes:
  p:
    attach: tracepoint:sock:inet_sock_set_state
    where: args.newstate == 2 and args.dport == {port}
    emit: {{four: ipv4(args.daddr), six: ipv6(args.daddr_v6), port: args.dport}}
""", during=act)  # fmt: skip
    listening.close()
    balanced(made)
    assert [(r["four"], r["six"], r["port"]) for r in made.records] == [
        (bytes([127, 0, 0, 1]), bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1]), port)
    ]


def test_we_know_our_own_number_in_another_namespace() -> None:
    """In a private PID namespace a process is 1 to itself, and something else to programs."""
    assert own_tgid() == os.getpid()
    code = (
        "import json, os; from orchestrator.backends.bcc.attach.identity import own_tgid;"
        "print(json.dumps([os.getpid(), own_tgid()]))"
    )
    child = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    inside, outside = json.loads(child.stdout)
    assert inside == 1
    assert outside not in (0, 1)


def test_numbers_of_another_namespace_are_refused() -> None:
    """target.pid there would name other processes than meant; comm would not."""
    check_namespace(ResolvedTarget(comm=("a",)), os.getpid() + 1)
    check_namespace(ResolvedTarget(pid=(5,)), os.getpid())
    with pytest.raises(HostError, match="PID namespace"):
        check_namespace(ResolvedTarget(pid=(5,)), os.getpid() + 1)
