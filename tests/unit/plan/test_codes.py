"""The table of finding codes: what `lint --explain` and the reference page say is true."""

import re
import shlex
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.plan.codes import CODES, GROUPS, FindingCode
from tests.support.paths import KERNELS

SHOWN = [entry for entry in CODES.values() if entry.example]


@pytest.mark.parametrize("entry", SHOWN, ids=lambda entry: entry.code)
def test_an_example_gives_its_code(
    entry: FindingCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command, run over the example, prints findings with that code and no other."""
    (tmp_path / "plan.yaml").write_text(entry.plan)
    (tmp_path / "policy.yaml").write_text(entry.policy)
    for recording in KERNELS.glob("*.facts.xz"):
        (tmp_path / recording.name).symlink_to(recording)
    monkeypatch.chdir(tmp_path)
    main(shlex.split(entry.command)[1:])
    output = "".join(capsys.readouterr())
    assert set(re.findall(r"\[(PP\d{3})\]", output)) == {entry.code}


def test_every_code_has_an_example_or_says_how_it_comes_about() -> None:
    """One of the two, never both."""
    for entry in CODES.values():
        assert bool(entry.example) != bool(entry.arises), entry.code


def test_texts_are_sentences() -> None:
    """Titles are short and begin lines; the rest are whole sentences."""
    for entry in CODES.values():
        assert 0 < len(entry.title) < 50
        for text in filter(None, (entry.meaning, entry.cure, entry.arises)):
            assert text.endswith("."), entry.code


def test_groups_hold_each_code_once() -> None:
    """Codes are unique, and in order within their group."""
    for entries in GROUPS.values():
        assert [entry.code for entry in entries] == sorted(entry.code for entry in entries)
    assert sum(map(len, GROUPS.values())) == len(CODES)
