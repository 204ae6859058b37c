"""What the kernel refuses is explained in terms of the plan, and leaves nothing behind."""

import errno
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.bcc.attach import hooks, load
from orchestrator.backends.protocol import OpenNumber, ProgramRefused
from orchestrator.plan.findings import HostError
from tests.support.bcc_maps import fake_maps, recorded_program

PLAN = "probes: {p: {attach: 'fentry:vfs_read', where: args.count == 3, emit: {n: args.count}}}"
LOG = [f"{n}: (bf) r{n % 10} = r1" for n in range(500)]
STATISTICS = ["verification time 90 usec", "processed 500 insns (limit 1000000) max_states 1"]


def refuse_program(
    monkeypatch: pytest.MonkeyPatch, log: str, numbers: Sequence[OpenNumber] = ()
) -> HostError:
    """What is raised for a program that the kernel refuses with this log."""

    def refuse(*_: object, **__: object) -> int:
        raise load.LoadError(errno.EACCES, log, name="hook_0_hit")

    monkeypatch.setattr(load, "load_program", refuse)
    map_layout, _ = fake_maps(recorded_program(PLAN))
    with pytest.raises(HostError) as refused:
        hooks.load_side(map_layout.sides[0], "fentry", b"", {}, numbers)
    return refused.value


def refusal(monkeypatch: pytest.MonkeyPatch, log: str, numbers: Sequence[OpenNumber] = ()) -> Any:
    """The finding about it."""
    [finding] = refuse_program(monkeypatch, log, numbers).findings
    return finding


def test_a_refusal_shows_the_end_of_the_verifiers_log_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message has the last lines, the hint some more; statistics are none of them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    finding = refusal(monkeypatch, "\n".join([*LOG, *STATISTICS, ""]))
    assert finding.message.endswith("; ".join(LOG[-3:]))
    assert "fentry:vfs_read" in finding.message
    assert "args.count" in finding.hint
    assert finding.hint.endswith("the verifier's log ends with\n" + "\n".join(LOG[-20:]))
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_names_the_numbers_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log shows offsets alone."""
    numbers = [OpenNumber(name="task_struct.pid", value=2464), *_many(40)]
    finding = refusal(monkeypatch, "\n".join(LOG), numbers)
    assert "; the numbers filled in are task_struct.pid = 2464, n0 = 0, n1 = 1" in finding.hint
    assert "n28 = 28 and 11 more; the verifier's log" in finding.hint


def _many(count: int) -> list[OpenNumber]:
    return [OpenNumber(name=f"n{value}", value=value) for value in range(count)]


def test_a_refusal_without_a_log_gives_the_kernels_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = refusal(monkeypatch, "")
    assert "Permission denied" in finding.message
    assert finding.hint == ""


def test_only_what_the_verifier_has_judged_is_a_refused_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A plan whose program it refused is not run again unattended; want of memory or of a right
    says nothing of the plan."""
    assert type(refuse_program(monkeypatch, "\n".join(LOG))) is ProgramRefused
    for log in ("", "\n".join(STATISTICS)):
        assert type(refuse_program(monkeypatch, log)) is HostError
