"""A merge as text for people, made of its document. Pure."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.output.terminal.human_units import (
    choose_unit,
    format_amount,
    format_count,
    make_printable,
)

__all__ = ["describe_merge"]

MergeFields = Mapping[str, Any]
_MOST_CELLS, _MOST_NAMES, _MOST_LINES, _MOST_GROUPS = 20, 5, 10, 20
_MOST_KEY = 48
_SHOWN_PERCENTILES = ("p50", "p90", "p99", "p99.9")
#: What is in a column of numbers.
_AMOUNT = re.compile(r"-|(≥ )?-?\d[\d,.]*(e[+-]\d+)?( [a-zA-Zµ%]+)?")
_REASON_WORDS = {
    "torn": "torn, or not JSON",
    "foreign": "not a result",
    "huge": "too large",
    "unreadable": "cannot be read",
    "newer": "of a later version",
    "overlapping": "a merge of runs that are counted already",
}
_FIGURE_WORDS = {"rate": "events per second and CPU", "p50": "p50", "p99": "p99"}


def describe_merge(document: MergeFields, *, by_kernel: bool = False) -> Iterator[str]:
    """The lines of the text. `by_kernel`: with a table of kernels for each metric."""
    yield from _describe_hosts(document)
    differing = _find_differing(document["groups"])
    groups = sorted(document["groups"], key=lambda group: -group["runs"])
    for group in groups[:_MOST_GROUPS]:
        yield ""
        yield from _describe_group(group, differing[group["plan_sha256"]])
        named: set[tuple[str, str, float]] = set()
        for metric in group["metrics"]:
            yield ""
            yield from _describe_metric(metric)
            if by_kernel:
                yield from _indent(_table(_list_kernels(metric)), 4)
            yield from _describe_outliers(metric, named)
    if (more := len(groups) - _MOST_GROUPS) > 0:
        yield ""
        yield f"and {_number(more, 'group')} more, of other plans or settings, with fewer runs each"


# ---------------------------------------------------------------- hosts


def _describe_hosts(document: MergeFields) -> Iterator[str]:
    hosts = document["hosts"]
    states = [
        f"{hosts[state]:,} {word}"
        for state, word in (
            ("complete", "complete"),
            ("incomplete", "incomplete"),
            ("unknown", "of which completeness is not known"),
            ("skipped", "skipped"),
            ("quarantined", "quarantined"),
            ("refused", "refused"),
        )
        if hosts[state]
    ]
    yield f"{_number(hosts['all'], 'host')}: {', '.join(states) or 'none'}"
    if expected := document["expected"]:
        missing = document["missing"]
        names = f": {_list_names(missing)}" if missing else ""
        yield f"missing: {len(missing):,} of {_number(len(expected), 'expected host')}{names}"
    for host_id, names in document["ids_of_several_names"].items():
        yield f"one host under several names ({host_id}): {_list_names(names)}"
    for name, ids in document["names_of_several_ids"].items():
        yield f"several hosts are called {make_printable(name)}: {_list_names(ids)}"
    if document["duplicates"]:
        count = _number(len(document["duplicates"]), "further file")
        yield f"counted once: {count} of the same runs"
    if refused := document["not_added"]:
        yield f"not added: {_number(len(refused), 'file')}"
        yield from _bounded(
            (
                f"  {make_printable(file['path'])}: {_REASON_WORDS[file['reason']]}: "
                f"{make_printable(file['detail'])}"
                for file in refused
            ),
            len(refused),
        )


def _list_names(names: Sequence[str]) -> str:
    shown = ", ".join(make_printable(name) for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _bounded(lines: Iterable[str], count: int) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == _MOST_LINES:
            yield f"  and {count - _MOST_LINES:,} more"
            return
        yield line


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# ---------------------------------------------------------------- groups


def _find_differing(groups: Iterable[MergeFields]) -> dict[str, set[str]]:
    """By digest of a plan: the settings in which its groups differ, or which some do not have."""
    texts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes: Counter[str] = Counter()
    for group in groups:
        sizes[group["plan_sha256"]] += 1
        for name, text in _flatten_settings(group["settings"]).items():
            texts[group["plan_sha256"]][name].append(text)
    return {
        digest: {
            name
            for name, values in texts[digest].items()
            if len(values) < size or len(set(values)) > 1
        }
        for digest, size in sizes.items()
    }


def _flatten_settings(settings: MergeFields | None) -> dict[str, str]:
    if settings is None:
        return {"settings": "not known"}
    flat = {name: str(value) for name, value in settings["params"].items()}
    for name, value in settings["target"].items():
        values = value if isinstance(value, list) else [value]
        flat[f"target {name}"] = ",".join(map(str, values))
    for name, limit in settings["limits"].items():
        flat[name] = _format_limit(name, limit)
    if settings["command"]:
        flat["command"] = json.dumps(" ".join(settings["command"]))
    if settings["every_ns"]:
        flat["every"] = format_amount(settings["every_ns"], "ns")
    return flat


def _format_limit(name: str, limit: MergeFields) -> str:
    value = limit["value"]
    if not isinstance(value, (int, float)):
        return str(value)
    if name == "duration":
        return format_amount(value, "ns")
    if name in ("memory", "output"):
        return format_amount(value, "bytes")
    if name == "cpu":
        return f"{value * 100:g}%"
    per = f" per {format_amount(limit['per_ns'], 'ns')}" if "per_ns" in limit else ""
    return f"{format_count(value)}{per}"


def _describe_group(group: MergeFields, differing: set[str]) -> Iterator[str]:
    flat = _flatten_settings(group["settings"])
    always = {"settings", "duration", "every", "command", *_list_chosen(group["settings"])}
    shown = [f"{name} {text}" for name, text in flat.items() if name in always | differing]
    yield make_printable(
        f"plan {group['plan']} ({group['plan_sha256'][:12]}), {', '.join(shown)}: "
        f"{_number(group['runs'], 'run')} on {_number(group['hosts']['counted'], 'host')}"
    )
    yield from _describe_reasons(group["reasons"])
    yield from _describe_clocks(group["clocks"])


def _list_chosen(settings: MergeFields | None) -> Iterator[str]:
    if settings is not None:
        yield from settings["params"]
        yield from (f"target {name}" for name in settings["target"])


def _describe_reasons(reasons: Sequence[MergeFields]) -> Iterator[str]:
    yield from _bounded(
        (
            f"  {reason['state']}: {_number(reason['runs'], 'run')}: "
            f"{make_printable(reason['reason'])} ({_list_names(reason['hosts'])})"
            for reason in reasons
        ),
        len(reasons),
    )


def _describe_clocks(clocks: MergeFields) -> Iterator[str]:
    if clocks["spread_ns"] is not None:
        yield (
            f"  clocks: synchronised hosts began within {format_amount(clocks['spread_ns'], 'ns')}"
            f", from {clocks['first_start']} on"
        )
    window = clocks["window_ns"]
    what = f"a window of {format_amount(window, 'ns')}" if window else "their run"
    for name, text in (
        (
            "unsynchronised",
            "not synchronised: counted in the totals, and their times are not used",
        ),
        ("inexact", f"the clock may be off by more than {what}"),
        ("stepped", "the clock was set during the run"),
        ("apart", "the run began a day or more before or after most"),
    ):
        if runs := clocks[name]:
            names = _list_names(sorted({run["host"] for run in runs}))
            yield f"  clocks: {_number(len(runs), 'run')}: {text} ({names})"
    if clocks["unknown"]:
        yield f"  clocks: {_number(clocks['unknown'], 'run')}: not known whether synchronised"


# ---------------------------------------------------------------- metrics


def _describe_metric(metric: MergeFields) -> Iterator[str]:
    notes = [f"on {_number(metric['hosts'], 'host')}"]
    if metric["cut_runs"]:
        notes.append(f"at least: {_number(metric['cut_runs'], 'run')} kept only some cells")
    if metric["incomplete_runs"]:
        notes.append(f"at least: {_number(metric['incomplete_runs'], 'run')} lost data")
    if metric["estimated_runs"]:
        notes.append(f"an estimate: {_number(metric['estimated_runs'], 'run')} sampled")
    unit = f" in {metric['unit']}" if metric["unit"] else ""
    layout = f", {metric['layout']}" if metric["layout"] else ""
    name = make_printable(f"{metric['probe']}.{metric['metric']}")
    yield f"  {name} ({metric['kind']}{unit}{layout}), {'; '.join(notes)}"
    yield from _indent(_table(_list_cells(metric)), 4)
    if (more := len(metric["cells"]) - _MOST_CELLS) > 0:
        yield f"    and {_number(more, 'cell')} more"


def _list_cells(metric: MergeFields) -> Iterator[list[str]]:
    names = list(dict.fromkeys(name for cell in metric["cells"] for name in cell["key"]))
    yield [*names, *_value_heads(metric["kind"]), "runs"]
    for cell in metric["cells"][:_MOST_CELLS]:
        key = [_show_key(cell, name) for name in names]
        yield [*key, *_show_values(cell, metric), format_count(cell["runs"])]


def _show_key(cell: MergeFields, name: str) -> str:
    if cell["other"]:
        return "(other)"
    value = cell["key"].get(name)
    if isinstance(value, list):
        value = " < ".join(map(str, value))
    text = make_printable("-" if value is None else str(value))
    return text if len(text) <= _MOST_KEY else f"{text[: _MOST_KEY - 1]}…"


def _value_heads(kind: str) -> list[str]:
    match kind:
        case "histogram":
            return ["events", *_SHOWN_PERCENTILES]
        case "sum":
            return ["sum", "events"]
        case "avg":
            return ["average", "events"]
    return [kind]


def _show_values(cell: MergeFields, metric: MergeFields) -> list[str]:
    unit = choose_unit(metric)
    match metric["kind"]:
        case "histogram":
            shown = [cell["percentiles"][name] for name in _SHOWN_PERCENTILES]
            return [format_count(cell["count"]), *(format_amount(one, unit) for one in shown)]
        case "sum" | "avg":
            return [_show_sum(cell, unit), format_count(cell["count"])]
        case "count":
            return [_show_sum(cell, "")]
    return [format_amount(cell["value"], unit)]


def _show_sum(cell: MergeFields, unit: str) -> str:
    value = cell["value"]
    if "exact" in cell and not isinstance(value, float):
        value = int(cell["exact"])
    mark = "≥ " if cell.get("inexact") else ""
    return f"{mark}{format_amount(value, unit)}"


def _list_kernels(metric: MergeFields) -> Iterator[list[str]]:
    heads = ["kernel", "mechanism", "hosts", *_value_heads(metric["kind"]), "per s and CPU"]
    yield heads
    for kernel in metric["by_kernel"]:
        rate = kernel["per_second_and_cpu"]
        build = f" {kernel['kernel_build_id'][:8]}" if kernel["kernel_build_id"] else ""
        yield [
            make_printable(f"{kernel['kernel']}{build} {kernel['arch']}"),
            make_printable(kernel["mechanisms"]),
            format_count(kernel["hosts"]),
            *_show_values(kernel, metric),
            "-" if rate is None else f"{rate:,.4g}",
        ]


def _describe_outliers(metric: MergeFields, named: set[tuple[str, str, float]]) -> Iterator[str]:
    """Those that were not `named` with another metric: metrics of a probe count the same events."""
    unit = choose_unit(metric)
    outliers = [
        outlier
        for outlier in metric["outliers"]
        if (outlier["run_id"], outlier["figure"], outlier["value"]) not in named
    ]
    named |= {(one["run_id"], one["figure"], one["value"]) for one in outliers}
    if not outliers:
        return
    yield f"    {_number(len(outliers), 'outlier')}:"
    yield from _indent(
        _bounded((_describe_outlier(one, unit) for one in outliers), len(outliers)), 4
    )


def _describe_outlier(outlier: MergeFields, unit: str) -> str:
    figure, value, median = outlier["figure"], outlier["value"], outlier["median"]
    shown = [
        f"{one:,.4g}" if figure == "rate" else format_amount(one, unit) for one in (value, median)
    ]
    whom = "with its kernel and mechanism" if outlier["of_kernel"] else "in all"
    times = f", {value / median:.3g} times as much" if median > 0 else ""
    return make_printable(
        f"  {outlier['host']}: {_FIGURE_WORDS[figure]} {shown[0]}, where {shown[1]} is the median "
        f"of {outlier['compared']:,} runs {whom}{times}"
    )


# ---------------------------------------------------------------- tables


def _table(rows: Iterable[list[str]]) -> Iterator[str]:
    """Lines of aligned columns: numbers to the right, texts to the left."""
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    right = [
        len(listed) > 1 and all(_is_number(row[place]) for row in listed[1:])
        for place in range(len(widths))
    ]
    for row in listed:
        cells = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _is_number(text: str) -> bool:
    return _AMOUNT.fullmatch(text) is not None


def _indent(lines: Iterable[str], by: int) -> Iterator[str]:
    return (" " * by + line for line in lines)
