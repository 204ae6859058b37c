"""Choosing a backend: the first that can do all of it, with every reason against the others."""

from dataclasses import replace

import pytest

from orchestrator.plan.findings import Finding, HostError
from orchestrator.plan.model import Limits
from orchestrator.run.choice import choose_backend
from tests.support.fake_backend import FakeBackend, Script, program
from tests.support.recorded import recorded

FACTS = recorded("6.1")
REASON = Finding(code="PP110", message="it cannot")


def backends(bcc: Script | None = None, tracefs: Script | None = None) -> dict[str, FakeBackend]:
    return {"bcc": FakeBackend(bcc, "bcc"), "tracefs": FakeBackend(tracefs, "tracefs")}


def test_auto_takes_bcc_if_it_can() -> None:
    choice = choose_backend(program(), FACTS, "auto", backends())
    assert choice.artifact.backend == "bcc"
    assert choice.refused == {}


def test_auto_takes_the_next_and_keeps_the_reason() -> None:
    choice = choose_backend(program(), FACTS, "auto", backends(Script(refusal=(REASON,))))
    assert choice.artifact.backend == "tracefs"
    assert choice.refused == {"bcc": (REASON,)}


def test_a_backend_that_is_named_may_work_in_user_space() -> None:
    """The fake refuses only what it would have to do there."""
    choice = choose_backend(program(), FACTS, "bcc", backends(Script(refusal=(REASON,))))
    assert choice.artifact.backend == "bcc"


def test_every_reason_of_every_backend_is_given() -> None:
    refusing = backends(Script(refusal=(REASON,)), Script(refusal=(REASON, REASON)))
    with pytest.raises(HostError) as caught:
        choose_backend(program(), FACTS, "auto", refusing)
    messages = [finding.message for finding in caught.value.findings]
    assert messages == ["the bcc backend: it cannot", *["the tracefs backend: it cannot"] * 2]


def test_a_forbidden_backend_is_not_asked() -> None:
    forbidden = {"bcc": replace(REASON, code="PP126")}
    choice = choose_backend(program(), FACTS, "auto", backends(), forbidden)
    assert choice.artifact.backend == "tracefs"
    with pytest.raises(HostError, match="PP126"):
        choose_backend(program(), FACTS, "bcc", backends(), forbidden)


def test_too_little_memory_is_refused_with_what_is_needed() -> None:
    """The fake needs 4,096 bytes."""
    with pytest.raises(HostError, match=r"PP091.*needs 4,096 bytes.*\(ring 4,096\)") as caught:
        choose_backend(program(Limits(memory=4095)), FACTS, "bcc", backends())
    assert "limits.memory to at least 1MiB" in caught.value.findings[0].hint
