"""Packets on recorded kernels: members, and what is refused."""

from collections.abc import Callable

import pytest

from orchestrator.compile.expressions.network.packets import PACKET_MEMBERS
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import every_kernel


@every_kernel
def test_all_members_compile_to_c_on_every_kernel(kernel: str) -> None:
    """By bcc, through a definition and from a pointer to nothing in particular."""
    from orchestrator.backends.bcc import artifact

    fields = ", ".join(f"{name}: p.{name}" for name in PACKET_MEMBERS)
    text = f"""
probes:
  p:
    attach: tracepoint:net:net_dev_queue
    let: {{p: packet(args.skbaddr)}}
    emit: {{{fields}}}
"""
    facts = recorded(kernel)
    program = compile_plan(load_plan((HEAD + text).encode()), facts)
    assert [field.name for field in program.emits[0].fields] == list(PACKET_MEMBERS)
    assert "let_" in artifact.emit(program, facts).text


def test_headers_are_found_once_an_event(compiled: Callable[..., Program]) -> None:
    """Two members share what leads to the header."""
    one, both = (
        compiled(f"probes: {{p: {{attach: 'tracepoint:net:net_dev_queue', emit: {{{emit}}}}}}}")
        for emit in (
            "a: packet(args.skbaddr).ttl",
            "a: packet(args.skbaddr).ttl, b: packet(args.skbaddr).tos",
        )
    )
    assert len(one.hooks[0].body.lets) == len(both.hooks[0].body.lets)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("packet(args.skb).port", "has no member 'port'"),
        ("packet(args.sk).src", "is not a struct sk_buff"),
        ("packet(tid).src", "needs a pointer"),
        ("packet(args.skb)", "is a whole packet"),
    ],
)
def test_what_is_no_packet_is_a_finding(
    compiled: Callable[..., Program], value: str, reason: str
) -> None:
    with pytest.raises(PlanError, match=reason):
        compiled(
            f"probes: {{p: {{attach: 'function:tcp_v4_rcv', emit: {{x: '{value}'}}}}}}".replace(
                "function:tcp_v4_rcv", "rawtracepoint:tcp_send_reset"
            )
        )
