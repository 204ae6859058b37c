"""Building blocks of a report's page: sections, tables, places for charts."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.accounting.count import Count
from orchestrator.html_report.markup import Html, element, join
from orchestrator.html_report.metric_table import TableColumn
from orchestrator.output.terminal.human_units import format_amount, format_count

__all__ = [
    "chart",
    "describe_moment",
    "facts",
    "make_section",
    "metric_rows",
    "notes",
    "show_count",
]
__all__ += ["sortable_table", "static_table"]

#: Rows that are on the page before its script runs.
FIRST_ROWS = 20


def make_section(name: str, title: str, *content: Html | None) -> Html:
    """A section of the page, with a heading that the table of contents names."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, *content, id=name, aria_labelledby=f"{name}-title")


def static_table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    texts: int = 1,
    numbers: Container[int] | None = None,
) -> Html:
    """A table. `texts`: so many columns, from the left, hold texts; the first is a row's name.
    `numbers`: those that hold numbers, where texts are among them."""
    digits = range(texts, len(columns)) if numbers is None else numbers
    head = (
        element("th", name, scope="col", class_="number" if number in digits else None)
        for number, name in enumerate(columns)
    )
    body = (element("tr", *_row(row, digits)) for row in rows)
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *head)),
            element("tbody", *body),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _row(row: Sequence[Any], numbers: Container[int]) -> Iterable[Html]:
    for number, value in enumerate(row):
        if number == 0:
            yield element("th", value, scope="row")
        else:
            yield element("td", value, class_="number" if number in numbers else None)


def show_count(count: Count | None, *, is_loss: bool = False) -> Html:
    """A count; a loss that is not 0 is marked."""
    lost = is_loss and count is not None and count != 0
    return element("span", format_count(count), class_="lost" if lost else None)


def facts(items: Iterable[tuple[str, Any]]) -> Html:
    """Names with their values; those without a value are left out."""
    pairs = (
        element("div", element("dt", name), element("dd", value))
        for name, value in items
        if value not in (None, "")
    )
    return element("dl", *pairs, class_="facts")


def describe_moment(armed_at: str | None) -> str:
    """When a run began, to the millisecond: `2026-11-28 07:33:30.675 UTC`."""
    return f"{armed_at[:10]} {armed_at[11:23]} UTC" if armed_at else "never armed"


def notes(texts: Iterable[str], kind: str = "note") -> Html | None:
    """Paragraphs that say what has to be known; None without any."""
    shown = [element("p", text, class_=kind) for text in texts if text]
    return join(shown) if shown else None


# ---------------------------------------------------------------- what the script fills


def sortable_table(  # noqa: PLR0913  # a table has this many properties
    caption: str,
    columns: Sequence[TableColumn],
    rows: Sequence[Sequence[Any]],
    *,
    number: int,
    sort: int,
    omitted: int = 0,
) -> Html:
    """A table that the page's script sorts, filters and fills from its data; the first rows are
    there before. `number`: its place among the tables in the data; `omitted`: rows that the page
    does not have."""
    head = element(
        "tr",
        *(element("th", column.name, scope="col", class_=_class_of(column)) for column in columns),
    )
    body = join(
        element("tr", *(_cell(value, column) for value, column in zip(row, columns, strict=True)))
        for row in rows[:FIRST_ROWS]
    )
    missing = (
        f"{omitted:,} more rows are not on this page: the result has all of them."
        if omitted
        else ""
    )
    more = len(rows) - FIRST_ROWS
    return element(
        "div",
        element(
            "div",
            element(
                "table",
                element("caption", caption),
                element("thead", head),
                element("tbody", body),
            ),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label=caption,
        ),
        element("p", f"and {more:,} more rows", class_="more") if more > 0 else None,
        notes([missing]),
        class_="sortable",
        data_table=number,
        data_sort=sort,
    )


def metric_rows(columns: Sequence[TableColumn], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """A table's data for the script."""
    return {"columns": [column.as_json() for column in columns], "rows": rows}


def _class_of(column: TableColumn) -> str:
    return "key" if column.unit is None else "number"


def _cell(value: Any, column: TableColumn) -> Html:
    return element("td", format_cell(value, column), class_=_class_of(column))


def format_cell(value: Any, column: TableColumn) -> str:
    """A value as the table shows it."""
    if column.unit is None:
        return str(value)
    if value is None:
        return "-"
    if column.form == "ratio":
        return value if isinstance(value, str) else f"{value:.3g}"
    number = float(value) if isinstance(value, float) else int(value)
    if column.form == "share":
        return f"{100 * number:.1f} %"
    shown = format_amount(number, column.unit)
    return f"+{shown}" if column.form == "change" and number > 0 else shown


def chart(title: str, form: str, **data: Any) -> Html:
    """A place for a chart, which is drawn when it is scrolled to, and has its numbers as a table.
    `data` becomes its data attributes."""
    attributes: Mapping[str, Any] = {f"data_{name}": value for name, value in data.items()}
    return element(
        "figure",
        element("figcaption", title),
        element("div", class_="canvas", role="img", aria_label=title),
        element(
            "details",
            element("summary", "The same as a table"),
            element("div", class_="numbers"),
        ),
        class_=f"chart {form}",
        data_chart=form,
        **attributes,
    )
