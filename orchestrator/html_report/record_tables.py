"""Records as tables: each value as a row of a terminal shows it, with its unit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from orchestrator.html_report.budget import Budget
from orchestrator.html_report.log_digest import LogDigest
from orchestrator.html_report.markup import Html, element
from orchestrator.html_report.parts import static_table
from orchestrator.output.fields import ShownField
from orchestrator.output.log import LogRecord
from orchestrator.output.rows.values import show_logged

__all__ = ["TimeColumn", "draw_records"]

_SCALED = ("ns", "bytes")
_PLAIN = ShownField()


class TimeColumn(NamedTuple):
    """How the times of records are shown."""

    heading: str
    text_of: Callable[[LogRecord], str]


def draw_records(
    log: LogDigest,
    budget: Budget,
    *,
    of: str = "",
    most: int | None = None,
    time: TimeColumn | None = None,
) -> tuple[list[Html], int]:
    """A table for each probe of the first records of a log, at most so many of each, as long as
    `budget` has room; and how many records they have. `of`: whose records they are; `time`: how
    their times are shown, by default as the time of day."""
    time = time or TimeColumn("time (UTC)", _time_of_day)
    tables: list[Html] = []
    drawn = 0
    for probe in dict.fromkeys(str(record["probe"]) for record in log.records):
        own = [record for record in log.records if str(record["probe"]) == probe][:most]
        heads = _list_heads(own, time.heading)
        fields = _list_fields(own, log.fields.get(probe, {}))
        rows = list(_make_rows(own, fields, budget, heads, time))
        drawn += len(rows)
        if rows:
            numbers = [
                len(heads) + place
                for place, (name, field) in enumerate(fields.items())
                if _holds_numbers(field, name, own)
            ]
            numbers += [at for at, head in enumerate(heads) if head == "weight"]
            columns = [*heads, *fields]
            caption = f"Records of {probe}{of}"
            tables.append(static_table(caption, columns, rows, numbers=numbers))
    return tables, drawn


def _time_of_day(record: LogRecord) -> str:
    """With microseconds; the date is that of the run."""
    return str(record["ts"])[11:26]


def _list_heads(records: Sequence[LogRecord], time: str) -> list[str]:
    """The columns that are of no field. Weights are shown where there was sampling."""
    weighted = any(record.get("weight", 1) != 1 for record in records)
    has_task = any("comm" in record for record in records)
    return [time, *(["task"] if has_task else []), *(["weight"] if weighted else [])]


def _list_fields(
    records: Sequence[LogRecord], known: Mapping[str, ShownField]
) -> dict[str, ShownField]:
    names = dict.fromkeys(name for record in records for name in record["data"])
    return {name: known.get(name, _PLAIN) for name in names}


def _holds_numbers(field: ShownField, name: str, records: Sequence[LogRecord]) -> bool:
    """Whether a column is of digits: a number without a name, such as of an error, may be among
    texts."""
    values = [record["data"].get(name) for record in records]
    return field.is_number and not any(isinstance(value, str | list | dict) for value in values)


def _make_rows(
    records: Sequence[LogRecord],
    fields: Mapping[str, ShownField],
    budget: Budget,
    heads: Sequence[str],
    time: TimeColumn,
) -> Iterator[list[Html]]:
    """The rows that there is room for."""
    for record in records:
        cut = record.get("truncated", ())
        row = [element("span", time.text_of(record), title=record["ts"])]
        row += [_show_head(record, head) for head in heads[1:]]
        row += [
            _show_field(field, record["data"].get(name), is_cut=name in cut)
            for name, field in fields.items()
        ]
        if not budget.takes(row):
            return
        yield row


def _show_head(record: LogRecord, head: str) -> Html:
    if head == "weight":
        return element("span", record.get("weight", 1))
    return element(
        "span", f"{record['comm']} ({record.get('pid', '?')})" if "comm" in record else "-"
    )


def _show_field(field: ShownField, value: Any, *, is_cut: bool) -> Html:
    """The value in its style; the exact number where the text has fewer digits."""
    cell = show_logged(field, value, is_cut=is_cut)
    is_scaled = isinstance(value, int) and not isinstance(value, bool) and field.unit in _SCALED
    exact = f"{value} {field.unit}" if is_scaled else None
    return element("span", cell.text, class_=cell.style or None, title=exact)
