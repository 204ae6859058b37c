"""The accounts of notes in words, for the summary and for reports: how often each was set and
dropped, and how often a look found it. Pure; the texts are not yet printable."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from orchestrator.accounting.count import Count, add_counts, is_known
from orchestrator.accounting.vocabulary import NOTE, LedgerRow
from orchestrator.output.terminal.human_units import format_count

__all__ = ["LookLine", "NoteTable", "describe_looks", "make_note_table"]

_HEADINGS: Mapping[str, str] = {
    "set": "set",
    "replaced": "replaced",
    "dropped": "dropped",
    "kept": "still kept",
    "repeated": "set again",
    "absent": "nothing to drop",
    "full": "no room",
    "found": "found",
    "missed": "not found",
}
#: Also where they are 0: they say what became of all sets and looks.
_ALWAYS = ("set", "dropped", "kept", "found", "missed")


class NoteTable(NamedTuple):
    """Headings, and a row for each note: its name, its counts in words, and whether one of them is
    a loss."""

    headings: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str], bool]]


class LookLine(NamedTuple):
    """What has to be known of the looks at one note. `warns`: an answer may be wrong or missing."""

    text: str
    warns: bool


def make_note_table(notes: Mapping[str, LedgerRow]) -> NoteTable:
    """The table of `notes` of a ledger. What never happened to any of them has no column."""
    shown = [
        name
        for name in NOTE.counts
        if name in _ALWAYS or any(row[name] != 0 for row in notes.values())
    ]
    rows = [
        (note, [format_count(row[name]) for name in shown], _has_loss(row))
        for note, row in notes.items()
    ]
    return NoteTable([_HEADINGS[name] for name in shown], rows)


def describe_looks(notes: Mapping[str, LedgerRow]) -> Iterator[LookLine]:
    """A line for each note that was not found by every look."""
    for note, row in notes.items():
        if row["missed"] == 0:
            continue
        looks = add_counts((row["found"], row["missed"]))
        head = f"{note}: {_name_looks(row['missed'], looks)} found nothing"
        if _has_loss(row):
            yield LookLine(f"{head}: there was no room for some of what should be kept", True)
        elif row["found"] == 0:
            why = "its key may differ from that of the looks, or it is dropped before them"
            yield LookLine(f"{head}: {why}", True)
        else:
            why = "nothing was kept by their key since the run began, and its values are null"
            yield LookLine(f"{head}: {why}", False)


def _has_loss(row: LedgerRow) -> bool:
    return any(row[name] != 0 for name in NOTE.losses)


def _name_looks(missed: Count, looks: Count) -> str:
    if not is_known(missed) or not is_known(looks):
        return "an unknown number of looks"
    if missed == looks:
        return "the only look" if looks == 1 else f"all {looks:,} looks"
    return f"{missed:,} of {looks:,} looks"
