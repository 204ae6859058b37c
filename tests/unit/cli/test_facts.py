"""facts: recording a kernel and summarizing a recording."""

import os
from pathlib import Path

from orchestrator.cli import main
from orchestrator.kernel.facts import facts_bytes, load_facts
from tests.support.paths import KERNELS


def test_a_recording_without_root_is_told_to_be_partial(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("orchestrator.cli.facts.facts_bytes", lambda _facts: b"")
    for user, reported in ((1000, True), (0, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert main(["facts", "-o", str(tmp_path / "facts")]) == 0
        assert ("recorded as unknown" in capsys.readouterr().err) is reported


def test_a_recording_is_summarized(capsys) -> None:
    """The kernel, the numbers of what plans can name, and each feature."""
    assert main(["facts", "--show", str(KERNELS / "6.1.facts.xz")]) == 0
    text = capsys.readouterr().out
    assert " functions, " in text.splitlines()[1]
    assert any(line.split()[:2] == ["fentry", "yes"] for line in text.splitlines())


def test_what_is_not_a_recording_is_refused_with_the_cure(tmp_path: Path, capsys) -> None:
    (tmp_path / "x").write_text("no facts")
    assert main(["facts", "--show", str(tmp_path / "x")]) == 2
    assert "hint: record a host with `probeplan facts -o FILE`" in capsys.readouterr().err


def test_a_recording_is_not_written_to_a_terminal(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["facts"]) == 2
    assert "this is a terminal" in capsys.readouterr().err


def test_a_recording_can_be_read_again(tmp_path: Path, monkeypatch) -> None:
    facts = load_facts(KERNELS / "6.1.facts.xz")
    monkeypatch.setattr("orchestrator.cli.facts.live_facts", lambda: facts)
    monkeypatch.setattr("orchestrator.cli.facts.facts_bytes", lambda of: facts_bytes(of, 0))
    assert main(["facts", "-o", str(tmp_path / "x.xz")]) == 0
    assert load_facts(tmp_path / "x.xz").release == facts.release
