"""The page about several runs: the first is what the others are compared with."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.accounting.count import Count, is_known
from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES
from orchestrator.html_report.budget import Budget
from orchestrator.html_report.comparison import (
    ComparedMetric,
    compare_metrics,
    compare_table,
    letter_of,
    list_compared_histograms,
    list_differences,
)
from orchestrator.html_report.ledger_view import summarize_makers
from orchestrator.html_report.markup import Html, clean_value, element
from orchestrator.html_report.metric_sections import PageData, draw_windows, table_of_keys
from orchestrator.html_report.metric_table import metric_title
from orchestrator.html_report.model import RunSource
from orchestrator.html_report.page import make_page
from orchestrator.html_report.parts import (
    chart,
    describe_moment,
    make_section,
    notes,
    show_count,
    static_table,
)
from orchestrator.html_report.record_tables import TimeColumn, draw_records
from orchestrator.html_report.run_sections import describe_verdict, is_output_limited
from orchestrator.html_report.stack_trees import MOST_NODES, compare_trees
from orchestrator.html_report.windows.chart import Chart
from orchestrator.html_report.windows.compared import (
    RunWindows,
    compare_lines,
    compare_windows,
    read_moment,
)
from orchestrator.html_report.windows.series import WindowSeries
from orchestrator.output.log import LogRecord
from orchestrator.output.terminal.human_units import choose_unit, format_amount

__all__ = ["make_comparison_page"]

#: Records of each probe in each run.
_MOST_RECORDS = 50


def make_comparison_page(sources: Sequence[RunSource]) -> str:
    """The page. All results have to be whole ones."""
    data = PageData()
    metrics = [_metric_part(metric, sources, data) for metric in compare_metrics(sources)]
    sections: list[tuple[str, str, Html | None]] = [
        ("summary", "Runs", _summary_section(sources)),
        ("figures", "Figures", _figure_section(sources, data)),
        ("metrics", "Metrics", make_section("metrics", "Metrics", *metrics) if metrics else None),
        ("ledger", "Events", _ledger_section(sources)),
        ("records", "Records", _records_section(sources, data)),
    ]
    shown = [(name, title, content) for name, title, content in sections if content is not None]
    plans = " and ".join(dict.fromkeys(str(source.run["plan"]) for source in sources))
    heading = f"{plans}: {len(sources)} runs compared"
    return make_page(f"{heading} - probeplan", heading, shown, data.as_json())


def _summary_section(sources: Sequence[RunSource]) -> Html:
    table = static_table(
        "The runs",
        ["", "result", "host", "kernel", "began", "ran for", "verdict"],
        (
            [letter_of(number), source.name, *_describe_run(source)]
            for number, source in enumerate(sources)
        ),
        texts=7,
    )
    read = (
        f"{letter_of(number)}: {text}"
        for number, source in enumerate(sources)
        for text in source.notes
    )
    return make_section("summary", "Runs", table, notes([*list_differences(sources), *read]))


def _describe_run(source: RunSource) -> Iterator[str]:
    run = source.run
    made = run["outcome"] not in UNMADE_OUTCOMES
    yield str(run["host"])
    yield str(run["kernel"])
    yield describe_moment(run["armed_at"]) if made else "-"
    yield format_amount(run["duration_ns"], "ns") if made else "-"
    yield describe_verdict(run)


# ---------------------------------------------------------------- metrics


def _metric_part(metric: ComparedMetric, sources: Sequence[RunSource], data: PageData) -> Html:
    title = metric_title(metric.record)
    heading = element("h3", f"{title} ({metric.record['kind']})")
    missing = [letter_of(number) for number, one in enumerate(metric.records) if one is None]
    said = [f"{', '.join(missing)} has no such metric." if missing else ""]
    if metric.hashed:
        names = ", ".join(metric.hashed)
        said.append(
            f"Values of {names} are digests, which differ from run to run: no keys compare."
        )
        return element("article", heading, notes(said))
    if not metric.list_identities():
        return element("article", heading, element("p", "Nothing was counted."), notes(said))
    drawn = [
        *_draw_stacks(metric, data),
        *_draw_histograms(metric, data),
        _draw_windows(metric, sources, data),
    ]
    caption = f"{metric_title(metric.record)}: changes by key"
    changes = table_of_keys(caption, compare_table(metric), data)
    return element("article", heading, notes(said), *drawn, changes)


def _draw_stacks(metric: ComparedMetric, data: PageData) -> Iterator[Html | None]:
    """A flame graph of each run with the first; both have to have the metric."""
    first, *others = metric.records
    if first is None:
        return
    for number, record in enumerate(others, 1):
        scale = metric.scale_of(number)
        tree = record and compare_trees(first, record, scale=scale, most=MOST_NODES // len(others))
        if not tree:
            continue
        letter = letter_of(number)
        counted = metric.record["kind"] in ("count", "histogram")
        source = {
            "unit": "" if counted else clean_value(choose_unit(metric.record)),
            "runs": ["A", letter],
            "scale": scale,
            "nodes": clean_value(tree.nodes),
            "hottest": clean_value(tree.changed),
        }
        title = f"{metric_title(metric.record)}: call paths of A and {letter}"
        yield chart(f"{title}, as a flame graph", "flame", source=data.add_chart(source))
        rates = "" if metric.has_same_time else ", by rates"
        said = f"{tree.paths:,} call paths; a frame is as wide as what both runs have of it. "
        said += f"Orange: more in {letter} than in A{rates}; blue: less."
        if tree.omitted:
            said += f" {tree.omitted:,} frames with less than {tree.least:,} each are not drawn."
        yield notes([said])


def _draw_histograms(metric: ComparedMetric, data: PageData) -> Iterator[Html | None]:
    if metric.record["kind"] != "histogram":
        return
    shown, omitted = list_compared_histograms(metric, data.histograms)
    if not shown:
        yield notes([f"The histograms of {omitted:,} keys are not on this page."])
        return
    runs = [letter_of(number) for number in range(len(metric.records))]
    unit = clean_value(choose_unit(metric.record))
    number = data.add_chart({"unit": unit, "runs": runs, "cells": shown})
    title = metric_title(metric.record)
    yield chart(f"{title}: percentiles", "percentiles", source=number)
    yield chart(f"{title}: how the values are distributed", "histogram", source=number)
    if omitted:
        yield notes([f"Histograms of {len(shown):,} keys; {omitted:,} more are in the results."])


# ---------------------------------------------------------------- windows


def _draw_windows(
    metric: ComparedMetric, sources: Sequence[RunSource], data: PageData
) -> Html | None:
    name = (str(metric.record["probe"]), str(metric.record["metric"]))
    runs = [
        _windows_of(number, source, source.log.series.get(name) if source.log and record else None)
        for number, (source, record) in enumerate(zip(sources, metric.records, strict=True))
    ]
    drawn = compare_windows(metric.record, runs)
    return None if drawn is None else _draw_chart(metric_title(metric.record), drawn, runs, data)


def _windows_of(number: int, source: RunSource, series: WindowSeries | None) -> RunWindows:
    began = _moment_of_start(source)
    return RunWindows(letter_of(number), began or 0.0, None if began is None else series)


def _moment_of_start(source: RunSource) -> float | None:
    """When the run began, in seconds since 1970; None for one that did not."""
    armed_at = None if source.run["outcome"] in UNMADE_OUTCOMES else source.run["armed_at"]
    return None if armed_at is None else read_moment(armed_at)


def _draw_chart(
    title: str, drawn: Chart, runs: Sequence[RunWindows], data: PageData
) -> Html | None:
    said = [f"Time since each run began; one column is {drawn['width']}."]
    if drawn["uneven"]:
        said.append("The runs' windows are not as long: each is in the column of its middle.")
    shown = {run["name"] for run in drawn["runs"]}
    if missing := [run.name for run in runs if run.name not in shown]:
        said.append(f"{', '.join(missing)} has no windows of it.")
    return draw_windows(f"{title}: over time, by window, in each run", drawn, data, said)


# ---------------------------------------------------------------- figures and events


#: What is compared of notes, in words.
_NOTE_COUNTS = {"set": "set", "full": "no room", "found": "found", "missed": "not found"}
_LOSSES = ("lost", _NOTE_COUNTS["full"])


def _figure_section(sources: Sequence[RunSource], data: PageData) -> Html | None:
    values: dict[str, list[float | None]] = {}
    units: dict[str, str] = {}
    for number, source in enumerate(sources):
        figures = source.document["figures"]
        for name, value in figures["values"].items() if figures else ():
            values.setdefault(name, [None] * len(sources))[number] = value
            units.setdefault(name, figures["display_units"].get(name, ""))
    if not values:
        return None
    letters = [letter_of(number) for number in range(len(sources))]
    rows = (
        [
            name,
            *("-" if one is None else format_amount(one, units[name]) for one in found),
            *(_describe_ratio(found[0], one) for one in found[1:]),
        ]
        for name, found in values.items()
    )
    columns = ["figure", *letters, *(f"{letter} / A" for letter in letters[1:])]
    table = static_table("Derived figures", columns, rows)
    lines = [_draw_figure(name, units[name], sources, data) for name in values]
    return make_section("figures", "Figures", table, *lines)


def _draw_figure(name: str, unit: str, sources: Sequence[RunSource], data: PageData) -> Html | None:
    runs = [
        _windows_of(number, source, source.log.figures.get(name) if source.log else None)
        for number, source in enumerate(sources)
    ]
    drawn = compare_lines(unit, runs)
    return None if drawn is None else _draw_chart(name, drawn, runs, data)


def _describe_ratio(first: float | None, value: float | None) -> str:
    if first is None or value is None or not first:
        return "-"
    return f"{value / first:.3g}"


def _ledger_section(sources: Sequence[RunSource]) -> Html | None:
    """What fired, was kept, was delivered and was lost, of each probe and span."""
    rows: dict[tuple[str, str], list[Count | None]] = {}
    for number, source in enumerate(sources):
        if source.run["outcome"] in UNMADE_OUTCOMES:
            continue
        limited = is_output_limited(source)
        for maker in summarize_makers(source.run["ledger"], output_limited=limited):
            counts = (maker.fired, maker.kept, maker.delivered, maker.lost)
            for name, count in zip(("fired", "kept", "delivered", "lost"), counts, strict=True):
                row = rows.setdefault((maker.name, name), [None] * len(sources))
                row[number] = count
        for note, words, count in _count_notes(source.run["ledger"]):
            row = rows.setdefault((f"{note} (note)", words), [None] * len(sources))
            row[number] = count
    shown = [
        [
            f"{maker}: {name}",
            *(show_count(one, is_loss=name in _LOSSES) for one in found),
            *(_ratio_of_counts(found[0], one) for one in found[1:]),
        ]
        for (maker, name), found in rows.items()
        if any(one is not None for one in found)
    ]
    if not shown:
        return None
    letters = [letter_of(number) for number in range(len(sources))]
    columns = ["", *letters, *(f"{letter} / A" for letter in letters[1:])]
    caption = "What fired, what was kept, what was lost"
    return make_section(
        "ledger", "What became of the events", static_table(caption, columns, shown)
    )


def _count_notes(ledger: Mapping[str, Any]) -> Iterator[tuple[str, str, Count]]:
    """Note, what is counted, and the count."""
    for note, row in ledger.get("notes", {}).items():
        for name, words in _NOTE_COUNTS.items():
            yield note, words, row[name]


def _ratio_of_counts(first: Count | None, value: Count | None) -> str:
    if first is None or value is None or not is_known(first) or not is_known(value):
        return "-"
    return _describe_ratio(first, value)


# ---------------------------------------------------------------- records


def _records_section(sources: Sequence[RunSource], data: PageData) -> Html | None:
    """The first records of each run, each run's share of the room at most."""
    share = data.records.left // len(sources)
    parts = [
        _records_of(letter_of(number), source, Budget(share))
        for number, source in enumerate(sources)
    ]
    shown = [part for part in parts if part is not None]
    return make_section("records", "Records", *shown) if shown else None


def _records_of(letter: str, source: RunSource, budget: Budget) -> Html | None:
    log, began = source.log, _moment_of_start(source)
    if log is None or not log.records or began is None:
        return None

    def measure_time(record: LogRecord) -> str:
        try:
            return f"{read_moment(record['ts']) - began:+.6f} s"
        except (TypeError, ValueError):
            return str(record["ts"])

    after = TimeColumn("since the run began", measure_time)
    tables, drawn = draw_records(log, budget, of=f" in {letter}", most=_MOST_RECORDS, time=after)
    more = log.records_omitted + len(log.records) - drawn
    said = f"{letter}: the first {drawn:,}; {more:,} more are in its log." if more else ""
    return element("div", notes([said]), *tables)
