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


def test_backends_are_two_and_lazy() -> None:
    """Both by name; asking for one imports it."""
    assert sorted(BACKENDS) == ["bcc", "tracefs"]
    assert BACKENDS["bcc"].NAME == "bcc"
    assert backend("tracefs").NAME == "tracefs"
    with pytest.raises(KeyError):
        backend("other")
