"""What is in place before the first probe; nothing is left of it when a part is refused."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.plan.findings import HostError, PlanError
from orchestrator.policy.model import Policy
from orchestrator.run.choice import Prepared, choose_backend
from orchestrator.run.groundwork import Groundwork, lay_groundwork
from orchestrator.run.options import RunOptions
from orchestrator.run.safety.journal import Journal, JournalError, read_journals
from tests.support.fake_backend import FakeBackend, program
from tests.support.fake_runs import a_plan
from tests.support.recorded import recorded

FACTS = recorded("6.1")


def prepared(*policies: Policy) -> Prepared:
    choice = choose_backend(program(), FACTS, "bcc", {"bcc": FakeBackend()})
    return Prepared(plan=a_plan(), facts=FACTS, policies=policies, program=program(), choice=choice)


def laid(
    journals: Sequence[Path], *policies: Policy, command: tuple[str, ...] = ()
) -> tuple[Groundwork, list[str]]:
    notes: list[str] = []
    options = RunOptions(command=command, journals=tuple(journals), notify=notes.append)
    return lay_groundwork("run1", prepared(*policies), options), notes


def test_the_journal_is_open_and_names_the_run(tmp_path: Path) -> None:
    groundwork, notes = laid([tmp_path / "journals"])
    [record] = read_journals((tmp_path / "journals",))
    assert (record.run_id, record.plan, record.backend) == ("run1", "fake-plan", "bcc")
    assert not record.dead
    assert (groundwork.command, notes) == (None, [])
    groundwork.journal.close()


def test_a_journal_elsewhere_than_usual_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    groundwork, [note] = laid([tmp_path / "file", tmp_path / "journals"])
    assert f"the journal is kept in {tmp_path / 'journals'}" in note
    groundwork.journal.close()


class _Bar:
    """A progress bar that keeps what it was to show."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def announce(self, text: str) -> None:
        self.shown.append(text)

    def follow(self, look: object, program: object) -> None:
        raise AssertionError("nothing is armed")

    def update(self, elapsed_s: float, events: int, lost: object) -> None:
        raise AssertionError("nothing is armed")

    def hide(self) -> None:
        self.shown.clear()


def test_that_a_program_is_compiled_is_shown_where_progress_is(tmp_path: Path) -> None:
    bar = _Bar()
    options = RunOptions(journals=(tmp_path / "journals",), progress=bar)
    groundwork = lay_groundwork("run1", prepared(), options)
    groundwork.attach_options().compiling()
    assert bar.shown == ["compiling (first time)"]
    groundwork.journal.close()


def test_no_journal_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError):
        laid([tmp_path / "file"])


def test_a_run_too_many_leaves_no_journal(tmp_path: Path) -> None:
    """The run that is live already keeps its own."""
    directory = tmp_path / "journals"
    other = Journal("other", plan="p", backend="bcc", probes=1, directories=(directory,))
    policy = Policy(file="policy.yaml", sha256="", max_runs=1)
    with pytest.raises(HostError, match="PP125"):
        laid([directory], policy, command=("true",))
    assert [record.run_id for record in read_journals((directory,))] == ["other"]
    other.close()


def test_a_command_that_does_not_exist_leaves_no_journal(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(PlanError, match="no-such-program"):
        laid([tmp_path / "journals"], command=("no-such-program",))
    assert list((tmp_path / "journals").iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_command_is_parked_and_is_the_root_of_the_target(tmp_path: Path) -> None:
    groundwork, _ = laid([tmp_path / "journals"], command=("true",))
    assert groundwork.command is not None
    assert not groundwork.command.has_ended()
    assert groundwork.attach_options().root_pid == groundwork.command.pid
    groundwork.command.close()
    os.waitpid(groundwork.command.pid, 0)
    groundwork.journal.close()
