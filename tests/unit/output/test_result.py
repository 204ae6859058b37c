"""The directory of a run's results."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from orchestrator.output import sink as sink_module
from orchestrator.output.result import ResultDirectory, ResultDirectoryError
from orchestrator.output.sink import OutputLost


def fill(path: Path, plan: bytes = b"plan: 1\n") -> None:
    """One run's results, all of them."""
    with ResultDirectory(path) as results:
        results.write_plan(plan)
        results.write_program("program.c", "int x;\n")
        results.open_events().write(b'{"event":"event.recorded"}\n', 1)
        results.write_result({"complete": True})


def test_a_run_leaves_four_files_for_its_owner_alone(tmp_path: Path) -> None:
    """Contents, names and modes, whatever the umask."""
    before = os.umask(0)
    try:
        fill(tmp_path / "out")
    finally:
        os.umask(before)
    out = tmp_path / "out"
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
    assert files == dict.fromkeys(["plan.yaml", "program.c", "events.jsonl", "result.json"], 0o600)
    assert (out / "plan.yaml").read_bytes() == b"plan: 1\n"
    assert json.loads((out / "result.json").read_text()) == {"complete": True}


def test_an_earlier_run_s_results_are_replaced_as_a_whole(tmp_path: Path) -> None:
    """No file of the earlier run stays alongside those of the later."""
    fill(tmp_path / "out")
    with ResultDirectory(tmp_path / "out") as results:
        assert list((tmp_path / "out").iterdir()) == []
        results.write_plan(b"plan: 2\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plan.yaml"]


@pytest.mark.parametrize(
    "names", [["notes.txt"], ["plan.yaml", "notes.txt"], ["events.jsonl"], ["program.c"]]
)
def test_other_people_s_files_are_left_alone(tmp_path: Path, names: list[str]) -> None:
    """A directory that is not surely ours is refused, and nothing in it or of it changes."""
    tmp_path.chmod(0o755)
    for name in names:
        (tmp_path / name).write_text("precious")
    with pytest.raises(ResultDirectoryError, match="name a directory that is empty"):
        ResultDirectory(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        names, "precious"
    )
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither for the directory nor for a file that appears in it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ResultDirectoryError, match="link"):
        ResultDirectory(tmp_path / "link")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with ResultDirectory(tmp_path / "out") as results:
        (tmp_path / "out" / "plan.yaml").symlink_to(victim)
        with pytest.raises(OutputLost) as caught:
            results.write_plan(b"overwritten")
    assert caught.value.errno == errno.EEXIST
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(("path", "why"), [("file", "a file"), ("no/such", "does not exist")])
def test_what_cannot_hold_results_is_named_with_the_reason(
    tmp_path: Path, path: str, why: str
) -> None:
    """A file, or a place that does not exist."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultDirectoryError, match=why):
        ResultDirectory(tmp_path / path)


def test_a_result_that_does_not_fit_is_not_there_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while result.json is written leaves no half of it."""

    def full(self: object, lines: bytes, records: int) -> None:
        raise OutputLost(errno.ENOSPC, records)

    with ResultDirectory(tmp_path / "out") as results:
        monkeypatch.setattr(sink_module.Sink, "write", full)
        with pytest.raises(OutputLost, match="full"):
            results.write_result({"complete": True})
    assert list((tmp_path / "out").iterdir()) == []


def test_only_our_own_names_are_programs(tmp_path: Path) -> None:
    """A name is never a path."""
    with ResultDirectory(tmp_path / "out") as results, pytest.raises(ValueError, match="evil"):
        results.write_program("../evil", "")


def test_the_files_of_a_run_elsewhere_are_taken_over(tmp_path: Path) -> None:
    """All that there are, for their owner alone; no link is followed, and nothing else is taken."""
    elsewhere = tmp_path / "elsewhere"
    fill(elsewhere)
    elsewhere.chmod(0o755)
    (elsewhere / "plan.yaml").chmod(0o644)
    (elsewhere / "notes.txt").write_text("not ours")
    (elsewhere / "program.c").unlink()
    (elsewhere / "program.c").symlink_to(elsewhere / "notes.txt")
    with ResultDirectory(tmp_path / "out") as results:
        results.copy_from(elsewhere)
    out = tmp_path / "out"
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
    assert files == dict.fromkeys(["plan.yaml", "events.jsonl", "result.json"], 0o600)
    for name in files:
        assert (out / name).read_bytes() == (elsewhere / name).read_bytes()


def test_a_run_elsewhere_that_was_cut_short_leaves_what_it_wrote(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "events.jsonl").write_text("one\n")
    with ResultDirectory(tmp_path / "out") as results:
        results.copy_from(elsewhere)
        results.copy_from(tmp_path / "none")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["events.jsonl"]
