"""The files of a merge: which are found, and which are refused before anything of them is used."""

import json
import os
from pathlib import Path

import pytest

from orchestrator.fleet import reading
from orchestrator.fleet.reading import InputFile, UnreadFile, list_inputs, read_document
from tests.support.fleet import a_result, write_results


def names(files: list[InputFile], folder: Path) -> list[str]:
    return [str(Path(file.path).relative_to(folder)) for file in files]


def test_all_json_files_below_a_directory_are_found_once_merges_first(tmp_path: Path) -> None:
    """Sorted; neither other files of a run nor the directory of the output, nor linked ones."""
    write_results(tmp_path, [a_result(2), a_result(1)])
    for name in ("events.jsonl", "plan.yaml", "result.json.partial"):
        (tmp_path / "host01" / name).write_text("{}")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "merged.json").write_text("{}")
    (tmp_path / "zone.json").write_text('{"format":"probeplan-merge/1"}')
    (tmp_path / "again").symlink_to(tmp_path / "host01")
    files = list_inputs([str(tmp_path), str(tmp_path / "zone.json")], str(tmp_path / "out"))
    assert names(files, tmp_path) == [
        "zone.json",
        "host01/00000000000001/result.json",
        "host02/00000000000002/result.json",
    ]
    assert [file.is_merge for file in files] == [True, False, False]


def refused(path: Path, *, linked: bool = False) -> tuple[str, str]:
    with pytest.raises(UnreadFile) as why:
        read_document(InputFile(path=str(path), is_merge=False, linked=linked))
    return why.value.reason, why.value.detail


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "torn"),
        (b'{"run": {', "torn"),
        (b'{"run": "\xff"}', "torn"),
        (b'{"a": NaN}', "torn"),
        (b"\x7fELF", "foreign"),
        (b"[1]", "foreign"),
        (b"{" * 100_000, "torn"),
        (b"[" * 100_000, "foreign"),
    ],
)
def test_what_is_no_document_is_torn_or_foreign(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "f").write_bytes(content)
    assert refused(tmp_path / "f")[0] == reason


def test_every_torn_result_is_noticed(tmp_path: Path) -> None:
    """Cut off anywhere but in the white space at its end."""
    text = json.dumps(a_result(metric="calls"), indent=2)
    for size in range(0, len(text) - 1, 97):
        (tmp_path / "f").write_text(text[:size])
        assert refused(tmp_path / "f")[0] == "torn"


def test_a_file_that_is_read_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: read(descriptor, min(size, 3)))
    (tmp_path / "f").write_text('{"a": [1, 2, 3]}')
    file = InputFile(path=str(tmp_path / "f"), is_merge=False)
    assert read_document(file) == {"a": [1, 2, 3]}


def test_huge_files_pipes_links_and_closed_files_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe is not waited for; a link is followed only where the user named it."""
    monkeypatch.setattr(reading, "MOST_RESULT_BYTES", 10)
    (tmp_path / "huge").write_text(" " * 11)
    assert refused(tmp_path / "huge") == ("huge", "it has 11 bytes, and at most 10 are read")
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == ("foreign", "it is no regular file")
    assert refused(tmp_path)[0] == "foreign"
    (tmp_path / "small").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "small")
    assert refused(tmp_path / "link")[0] == "unreadable"
    assert read_document(InputFile(path=str(tmp_path / "link"), is_merge=False, linked=True)) == {}
    assert refused(tmp_path / "missing") == ("unreadable", "No such file or directory")
