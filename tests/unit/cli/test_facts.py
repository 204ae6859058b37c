"""facts: recording a kernel and summarizing a recording."""

import os
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.kernel.facts import facts_bytes, load_facts
from tests.support.paths import KERNELS


def test_a_recording_without_root_is_told_to_be_partial(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("orchestrator.cli.facts.facts_bytes", lambda _facts, _preset: b"")
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
    monkeypatch.setattr(
        "orchestrator.cli.facts.facts_bytes", lambda of, _preset: facts_bytes(of, 0)
    )
    assert main(["facts", "-o", str(tmp_path / "x.xz")]) == 0
    assert load_facts(tmp_path / "x.xz").release == facts.release


def test_a_summary_says_which_kernel_it_is_and_whether_types_were_left_out(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    assert main(["facts", "--show", str(KERNELS / "6.1.facts.xz")]) == 0
    assert "  build id unknown, types trimmed: some were left out\n" in capsys.readouterr().out
    facts = load_facts(KERNELS / "6.1.facts.xz")
    facts.build_id, facts.trimmed = "7c" * 20, None
    monkeypatch.setattr("orchestrator.cli.facts.load_named", lambda _path: facts)
    assert main(["facts", "--show", "x"]) == 0
    assert f"build id {'7c' * 20}, types perhaps trimmed" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "preset"), [([], 9 | 1 << 31), (["--quick"], 1)])
def test_a_quick_recording_is_packed_less(options: list[str], preset: int, monkeypatch) -> None:
    """xz -9e takes most of the time that recording takes."""
    packed = []
    monkeypatch.setattr("orchestrator.cli.facts.live_facts", lambda: "facts")
    monkeypatch.setattr(
        "orchestrator.cli.facts.facts_bytes", lambda *given: packed.append(given) or b""
    )
    assert main(["facts", "-o", "/dev/null", *options]) == 0
    assert packed == [("facts", preset)]
