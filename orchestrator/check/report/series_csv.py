"""The figures of checks as rows of a CSV file, one an invocation, as Apache Otava reads it. Pure.

Otava takes no empty cells: a row is whole, or there is none. And the columns of a file never change
their meaning: a row is appended only under the header that it would have itself.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.model import Check, Expectation
from orchestrator.check.report.check_report import CheckReport
from orchestrator.check.report.numbers import number_text
from orchestrator.check.verdict.model import ExpectationVerdict

__all__ = ["OtherColumns", "extend_csv", "list_columns", "make_row", "require_columns"]

_FIRST = ("time", "commit")
_RISING = ("<", "<=", "==", "!=")


class OtherColumns(Exception):
    """A CSV file has other columns. `added` and `gone` as seen from the file."""

    def __init__(self, found: Sequence[str], wanted: Sequence[str]) -> None:
        self.added = [name for name in wanted if name not in found]
        self.gone = [name for name in found if name not in wanted]
        super().__init__(self._describe())

    def _describe(self) -> str:
        parts = []
        if self.gone:
            parts.append(f"it has {_name_some(self.gone)}")
        if self.added:
            parts.append(f"it does not have {_name_some(self.added)}")
        return ", and ".join(parts) or "their order is another"


def _name_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more


def list_columns(checks: Sequence[Check]) -> list[str]:
    """The header: time, commit, and CHECK.EXPECTATION for each expectation; of one about each of
    two sizes of the workload, CHECK.EXPECTATION.ops_SIZE for both."""
    return [*_FIRST, *(name for check in checks for name in _list_own(check))]


def _list_own(check: Check) -> Iterator[str]:
    for expectation in check.expectations:
        for size in _list_sizes(check, expectation):
            yield _name_column(check, expectation, size)


def _name_column(check: Check, expectation: Expectation, size: int | None) -> str:
    return f"{check.name}.{expectation.name}" + ("" if size is None else f".ops_{size}")


def _list_sizes(check: Check, expectation: Expectation) -> list[int | None]:
    """The sizes that are judged apart; [None]: there is one value."""
    subject = read_claim(expectation.that).subject
    if len(check.workload.ops) < 2 or PlanNames(check.plan).reads_operations(subject):
        return [None]
    return list(check.workload.ops)


def make_row(reports: Sequence[CheckReport], now: datetime) -> list[str] | None:
    """The cells under `list_columns` of the same checks; None where an expectation has no valid
    figure. Of an expectation about each cell of a metric it is the value that is nearest to the
    bound, or furthest beyond it: the greatest, under a lower bound the least."""
    values: list[Fraction | None] = []
    for report in reports:
        judged = {one.expectation.name: one for one in report.judged}
        for expectation in report.check.expectations:
            for size in _list_sizes(report.check, expectation):
                values.append(_find_value(judged.get(expectation.name), size))
    figures = [number_text(value) for value in values if value is not None]
    if len(figures) < len(values):
        return None
    commit = next((report.commit for report in reports if report.commit), "")
    return [now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00"), commit, *figures]


def _find_value(judged: ExpectationVerdict | None, size: int | None) -> Fraction | None:
    if judged is None:
        return None
    label = "" if size is None else f"ops {size}"
    found = [one.value for one in judged.series if not label or _is_of_size(one.label, label)]
    if not found:
        return None
    rises = read_claim(judged.expectation.that).bounds[-1].op in _RISING
    return max(found) if rises else min(found)


def _is_of_size(label: str, size: str) -> bool:
    return label == size or label.endswith(f", {size}")


def require_columns(content: bytes, columns: Sequence[str]) -> None:
    """Raise OtherColumns where a file with this content has another header, ValueError where it is
    no text."""
    found = _read_header(content)
    if found and found != list(columns):
        raise OtherColumns(found, columns)


def extend_csv(content: bytes, columns: Sequence[str], row: Sequence[str]) -> bytes:
    """What to append to a file with this content: the row, in a new file after its header. Raises
    as `require_columns`."""
    require_columns(content, columns)
    new_line = "\n" if content and not content.endswith(b"\n") else ""
    rows = [row] if _read_header(content) else [columns, row]
    return (new_line + "".join(map(_show_row, rows))).encode()


def _read_header(content: bytes) -> list[str]:
    """The first row; [] of an empty file. A byte order mark, as spreadsheets write it, is none of
    its text."""
    first = content.partition(b"\n")[0].decode("utf-8-sig")
    return next(csv.reader([first.rstrip("\r")]), [])


def _show_row(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
