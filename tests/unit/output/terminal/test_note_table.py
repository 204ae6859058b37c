"""The accounts of notes in words."""

from orchestrator.accounting.count import UNKNOWN, Count
from orchestrator.accounting.vocabulary import NOTE, LedgerRow
from orchestrator.output.terminal.note_table import describe_looks, make_note_table


def account(**counts: Count) -> LedgerRow:
    """What is not named is zero."""
    return {**dict.fromkeys(NOTE.counts, 0), **counts}


def looks(**counts: Count) -> list[tuple[str, bool]]:
    return [(line.text, line.warns) for line in describe_looks({"call": account(**counts)})]


def test_what_never_happened_has_no_column() -> None:
    table = make_note_table({"call": account(set=1240, dropped=1238, kept=2, found=12, missed=4)})
    assert table.headings == ["set", "dropped", "still kept", "found", "not found"]
    assert table.rows == [("call", ["1,240", "1,238", "2", "12", "4"], False)]


def test_a_column_that_one_note_needs_is_there_for_all() -> None:
    notes = {"a": account(absent=3), "b": account(full=UNKNOWN), "c": account(full=7)}
    table = make_note_table(notes)
    shown = ["set", "dropped", "still kept", "nothing to drop", "no room", "found", "not found"]
    assert table.headings == shown
    assert [(name, counts[4], lost) for name, counts, lost in table.rows] == [
        ("a", "0", False), ("b", "unknown", True), ("c", "7", True),
    ]  # fmt: skip


def test_every_count_of_a_note_has_a_heading() -> None:
    table = make_note_table({"call": account(**dict.fromkeys(NOTE.counts, 1))})
    assert len(set(table.headings)) == len(NOTE.counts)


def test_looks_that_all_found_it_are_not_mentioned() -> None:
    assert looks(found=5) == []


def test_looks_that_found_nothing_say_what_that_means() -> None:
    [(text, warns)] = looks(found=12, missed=4)
    assert text == (
        "call: 4 of 16 looks found nothing: nothing was kept by their key since the run began, and "
        "its values are null"
    )
    assert not warns


def test_a_note_that_was_full_or_never_found_is_a_warning() -> None:
    full = "call: 4 of 16 looks found nothing: there was no room for some of what should be kept"
    assert looks(found=12, missed=4, full=1) == [(full, True)]
    [(text, warns)] = looks(missed=1)
    assert text.startswith("call: the only look found nothing: its key may differ")
    assert warns


def test_unknown_looks_are_said_to_be_unknown() -> None:
    [(text, _)] = looks(found=12, missed=UNKNOWN)
    assert text.startswith("call: an unknown number of looks found nothing")
