"""cleanup: what is removed is printed, and what cannot be removed ends with 6."""

from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.run.safety.journal import Journal, read_journals
from orchestrator.run.safety.leftovers import clean_up_dead_runs


@pytest.fixture
def journal_directory(tmp_path: Path, monkeypatch) -> Path:
    """A directory of journals of the test's own, which the commands look at."""
    directories = (tmp_path / "journals",)

    def ours() -> list:
        return list(read_journals(directories))

    monkeypatch.setattr("orchestrator.cli.status.read_journals", ours)
    monkeypatch.setattr(
        "orchestrator.cli.cleanup.clean_up_dead_runs",
        lambda *, dry_run: clean_up_dead_runs(dry_run=dry_run, directories=directories),
    )
    return directories[0]


@pytest.mark.root
def test_cleanup_tells_first_and_then_does(journal_directory: Path, capsys) -> None:
    dead = Journal("dead1", plan="b", backend="tracefs", probes=1, directories=(journal_directory,))
    dead.add("instance", "probeplan-never-made")
    dead.close()
    assert main(["cleanup", "--dry-run"]) == 0
    assert "would remove instance probeplan-never-made" in capsys.readouterr().out
    assert dead.path.exists()
    assert main(["cleanup"]) == 0
    assert "nothing was left in the kernel" in capsys.readouterr().out
    assert not dead.path.exists()
    assert main(["cleanup"]) == 0
    assert capsys.readouterr().out == "nothing to clean up\n"


@pytest.mark.root
def test_cleanup_that_cannot_remove_everything_ends_with_6(journal_directory, capsys) -> None:
    dead = Journal("dead1", plan="b", backend="tracefs", probes=1, directories=(journal_directory,))
    dead.add("instance", "anothers")
    dead.close()
    [reported] = clean_up_dead_runs(directories=(journal_directory,))
    assert "could not remove instance anothers: its name is not one of ours" in str(reported)
    assert main(["cleanup"]) == 6
    assert "could not remove instance anothers" in capsys.readouterr().err
