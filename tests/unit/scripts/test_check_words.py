"""The check of words: its list is the table in docs/style.md, and every tracked text is read."""

from pathlib import Path

import pytest

from scripts.check_words import STYLE, check_file, list_files, main, read_rules

RULES = read_rules(STYLE.read_text())


def found(tmp_path: Path, text: str) -> list[str]:
    """The words found in a file with this text."""
    file = tmp_path / "page.md"
    file.write_text(text)
    return [line.split("'")[1] for line in check_file(file, RULES, tmp_path)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The log told them.", ["told"]),  # words: ok
        ("Nobody reads it.", ["Nobody"]),  # words: ok
        ("It stands there.", ["stands "]),  # words: ok
        ("run beside it", ["beside"]),  # words: ok
        ("Besides, x stands for y, in an outstanding way.", []),
        ("uid of NOBODY", []),
        ("A quotation: 'who told you'.  # words: ok", []),
        ("untold, retell, undear", []),
    ],
)
def test_a_word_is_found_as_a_whole_word_unless_the_line_allows_it(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    assert found(tmp_path, text) == words


def test_a_finding_names_place_word_and_advice(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("fine\nwhat it told us\n")  # words: ok
    [line] = check_file(file, RULES, tmp_path)
    assert line == "page.md:2: 'told': write reported, reports, shows; returns"  # words: ok


def test_sources_texts_and_schemas_are_all_read() -> None:
    names = {str(path.relative_to(STYLE.parents[1])) for path in list_files()}
    assert {"README.md", "Makefile", ".ci/run", "schema/log-v1.schema.json"} <= names
    assert {"orchestrator/cli/run.py", "plans/README.md", "scripts/setup.sh"} <= names
    assert "docs/style.md" not in names


def test_an_empty_table_is_an_error_and_not_a_clean_result() -> None:
    with pytest.raises(ValueError, match="no table"):
        read_rules("# Style\n")


def test_a_folder_can_be_checked_alone() -> None:
    assert main([str(STYLE.parents[1] / "plans")]) == 0
