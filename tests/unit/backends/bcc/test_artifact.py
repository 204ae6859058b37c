"""What the bcc backend can run, and the artifact that it makes of it."""

import pytest

from orchestrator.backends import BACKENDS, backend
from tests.support.bcc_maps import recorded_program
from tests.support.recorded import recorded


def test_a_key_too_large_for_the_stack_is_refused() -> None:
    """By the metric's name, before anything is compiled."""
    facts = recorded("6.1")
    plan = """
let: {name: "str(args.filename, 400)"}
probes:
  p: {attach: "syscall:openat", metrics: {files: {count: true, by: [name]}}}
"""
    findings = backend("bcc").unsupported(recorded_program(plan), facts, user_space=True)
    assert any("p.files" in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("plan", "position"),
    [
        (
            "probes: {p: {attach: 'syscall:openat', metrics: {m: {count: true, by: [name]}}, "
            "let: {name: 'str(args.filename, 512)'}}}",
            5,
        ),
        (
            """probes:
  a: {attach: "entry:vfs_read", let: {name: "str(user(args.buf), 512)"}}
  b: {attach: "entry:vfs_write", let: {name: "str(user(args.buf), 512)"}}
spans:
  s: {start: a, end: b, key: [name], emit: {}}""",
            9,
        ),
    ],
)
def test_a_key_that_does_not_fit_is_shown_in_the_plan(plan: str, position: int) -> None:
    findings = backend("bcc").unsupported(recorded_program(plan), recorded("6.1"), user_space=True)
    assert [(f.code, f.position.line) for f in findings if "its key takes" in f.message] == [
        ("PP110", position)
    ]


def test_a_program_with_more_maps_than_the_kernel_allows_is_refused() -> None:
    """Probes at one place are one program: 31 histograms by key have 62 maps, and with control and
    ledger 64; one metric more is too much, and so are stacks."""

    def plan(histograms: int, counts: int, key: str) -> str:
        many = "".join(
            f"      h{i}: {{histogram: args.count, by: [{key}]}}\n" for i in range(histograms)
        )
        more = "".join(f"      c{i}: {{count: true, by: [pid]}}\n" for i in range(counts))
        probe = "attach: entry:vfs_read\n    metrics:\n"
        second = f"  q:\n    {probe}{more}" if more else ""
        return f"probes:\n  p:\n    {probe}{many}{second}"

    def refused(text: str) -> list[str]:
        facts = recorded("6.1")
        findings = backend("bcc").unsupported(recorded_program(text), facts, user_space=True)
        return [finding.message for finding in findings]

    assert refused(plan(31, 0, "pid")) == []
    assert ["65 maps" in message for message in refused(plan(31, 1, "pid"))] == [True]
    assert ["67 maps" in message for message in refused(plan(31, 0, "kstack"))] == [True]


def test_backends_are_two_and_lazy() -> None:
    """Both by name; asking for one imports it."""
    assert sorted(BACKENDS) == ["bcc", "tracefs"]
    assert BACKENDS["bcc"].NAME == "bcc"
    assert backend("tracefs").NAME == "tracefs"
    with pytest.raises(KeyError):
        backend("other")
