"""The page about several runs: the first is what the others are compared with."""

from collections.abc import Iterator, Sequence

from orchestrator.accounting.count import Count, is_known
from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES
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
from orchestrator.html_report.metric_sections import PageData, table_of_keys
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
from orchestrator.html_report.run_sections import describe_verdict, is_output_limited
from orchestrator.html_report.stack_trees import MOST_NODES, compare_trees
from orchestrator.output.terminal.human_units import choose_unit, format_amount

__all__ = ["make_comparison_page"]


def make_comparison_page(sources: Sequence[RunSource]) -> str:
    """The page. All results have to be whole ones."""
    data = PageData()
    metrics = [_metric_part(metric, data) for metric in compare_metrics(sources)]
    sections: list[tuple[str, str, Html | None]] = [
        ("summary", "Runs", _summary_section(sources)),
        ("figures", "Figures", _figure_section(sources)),
        ("metrics", "Metrics", make_section("metrics", "Metrics", *metrics) if metrics else None),
        ("ledger", "Events", _ledger_section(sources)),
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
    return make_section("summary", "Runs", table, notes(list_differences(sources)))


def _describe_run(source: RunSource) -> Iterator[str]:
    run = source.run
    made = run["outcome"] not in UNMADE_OUTCOMES
    yield str(run["host"])
    yield str(run["kernel"])
    yield describe_moment(run["armed_at"]) if made else "-"
    yield format_amount(run["duration_ns"], "ns") if made else "-"
    yield describe_verdict(run)


# ---------------------------------------------------------------- metrics


def _metric_part(metric: ComparedMetric, data: PageData) -> Html:
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
    drawn = [*_draw_stacks(metric, data), *_draw_histograms(metric, data)]
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


# ---------------------------------------------------------------- figures and events


def _figure_section(sources: Sequence[RunSource]) -> Html | None:
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
    return make_section("figures", "Figures", static_table("Derived figures", columns, rows))


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
    shown = [
        [
            f"{maker}: {name}",
            *(show_count(one, is_loss=name == "lost") for one in found),
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


def _ratio_of_counts(first: Count | None, value: Count | None) -> str:
    if first is None or value is None or not is_known(first) or not is_known(value):
        return "-"
    return _describe_ratio(first, value)
