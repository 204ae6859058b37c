"""A merge as a document: what was added up, and what follows from it. It can be merged again.

The same results give the same bytes, in whatever order they were read: everything is sorted, and
nothing says when or from where it was merged.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from orchestrator.fleet.census import (
    RunState,
    find_missing,
    find_shared_identities,
    find_state,
    survey_clocks,
)
from orchestrator.fleet.host_result import (
    GroupName,
    HostRun,
    check_metric_name,
    check_run,
    check_settings,
    check_text,
    check_whole,
)
from orchestrator.fleet.merging import (
    GroupSum,
    KernelName,
    KernelSum,
    Merge,
    MetricSum,
    NotAdded,
    RunFigures,
    RunRow,
    count_hosts,
)
from orchestrator.fleet.outliers import OutlyingHost, find_outliers
from orchestrator.fleet.reading import UnreadFile, UnreadReason, expect_whole
from orchestrator.fleet.sums import (
    MetricName,
    describe_key,
    describe_sum,
    find_reader,
    identify_cell,
)

__all__ = ["MERGE_FORMAT", "merge_document", "merge_from_document", "render_document"]

MERGE_FORMAT = "probeplan-merge/1"
_NUMBER = re.compile(r"\d[\d,.]*")

MergeDocument = dict[str, Any]


def merge_document(merge: Merge, *, with_runs: bool = True) -> MergeDocument:
    """The document of a merge. Without its runs it is enough for a report, and cannot be merged."""
    places = _Places(merge)
    rows = merge.list_rows()
    runs = [row.run for row in rows]
    by_group: dict[GroupName, list[RunRow]] = {}
    for row in rows:
        by_group.setdefault(row.run.group, []).append(row)
    ids, names = find_shared_identities(runs)
    return {
        "format": MERGE_FORMAT,
        "hosts": {
            "all": count_hosts(rows),
            **_count_states(rows),
        },
        "runs_added": sum(run.was_made for run in runs),
        "groups": [_describe_group(group, by_group[group.identity]) for group in places.groups],
        "missing": find_missing(merge.expected, runs),
        "ids_of_several_names": ids,
        "names_of_several_ids": names,
        "not_added": [file._asdict() for file in sorted(merge.not_added)],
        "duplicates": [
            {"path": path, "run_id": run_id} for path, run_id in sorted(merge.duplicates)
        ],
        "expected": sorted(merge.expected),
        "runs": [_describe_row(row, places) for row in rows] if with_runs else [],
    }


def render_document(document: MergeDocument) -> Iterator[str]:
    """The document as JSON: a line for each part, each group and each run."""
    opening = "{"
    for name, value in document.items():
        yield f"{opening}{json.dumps(name)}:"
        opening = ",\n"
        if name in ("groups", "runs", "not_added") and value:
            yield "[\n"
            for number, item in enumerate(value):
                yield (",\n" if number else "") + _to_json(item)
            yield "\n]"
        else:
            yield _to_json(value)
    yield "}\n"


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class _Places:
    """Groups and their metrics in the order of the document, and the place of each."""

    def __init__(self, merge: Merge) -> None:
        self.groups = sorted(merge.groups.values(), key=lambda group: group.identity)
        self.group_at = {group.identity: place for place, group in enumerate(self.groups)}
        self.metric_at = {
            group.identity: {name: place for place, name in enumerate(sorted(group.metrics))}
            for group in self.groups
        }
        self.kernel_at = {
            (group.identity, metric.identity): {
                name: place for place, name in enumerate(sorted(metric.kernels))
            }
            for group in self.groups
            for metric in group.metrics.values()
        }


def _count_states(rows: Iterable[RunRow]) -> dict[str, int]:
    """How many hosts there are of each state. A host with several runs has that of its worst; one
    of which a run was made is not skipped."""
    order: Sequence[str] = get_args(RunState)
    worst = ("incomplete", "unknown", "complete", "quarantined", "refused", "skipped")
    states: dict[str, RunState] = {}
    for row in rows:
        state, host = find_state(row.run), row.run.identity
        if host not in states or worst.index(state) < worst.index(states[host]):
            states[host] = state
    counts = dict.fromkeys(order, 0)
    for state in states.values():
        counts[state] += 1
    return counts


# ---------------------------------------------------------------- rows


_RUN_FIELDS = tuple(name for name in HostRun._fields if name != "group")


def _describe_row(row: RunRow, places: _Places) -> MergeDocument:
    run = row.run
    metrics = places.metric_at[run.group]
    shown = {name: getattr(run, name) for name in _RUN_FIELDS}
    return {
        **shown,
        "because": list(run.because),
        "group": places.group_at[run.group],
        "figures": [
            [
                metrics[of_run.metric],
                places.kernel_at[run.group, of_run.metric][of_run.kernel],
                of_run.events,
                of_run.p50,
                of_run.p99,
            ]
            for of_run in row.figures
        ],
    }


# ---------------------------------------------------------------- groups


_FiguresOfRuns = list[tuple[HostRun, RunFigures]]


def _describe_group(group: GroupSum, rows: Sequence[RunRow]) -> MergeDocument:
    made = [row for row in rows if row.run.was_made]
    figures: dict[MetricName, _FiguresOfRuns] = {name: [] for name in group.metrics}
    for row in made:
        for of_run in row.figures:
            figures[of_run.metric].append((row.run, of_run))
    settings = json.loads(group.identity.settings)
    every_ns = settings["every_ns"] if settings else None
    return {
        "plan": group.identity.plan,
        "plan_sha256": group.identity.sha256,
        "settings": settings,
        "runs": len(made),
        "hosts": {"all": count_hosts(rows), "counted": count_hosts(made), **_count_states(rows)},
        "reasons": _list_reasons(rows),
        "clocks": _describe_clocks([row.run for row in rows], every_ns),
        "metrics": [
            _describe_metric(group.metrics[name], figures[name]) for name in sorted(group.metrics)
        ],
    }


def _list_reasons(rows: Sequence[RunRow]) -> list[MergeDocument]:
    """Why runs are not complete, or were not made, those of most runs first; reasons that differ
    only in numbers are one."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for run, _ in rows:
        state = find_state(run)
        if state not in ("complete", "unknown"):
            for reason in run.because or ("the reason is not known",):
                hosts.setdefault((state, _NUMBER.sub("…", reason)), []).append(run.host)
    listed = sorted(hosts.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {"state": state, "reason": reason, "runs": len(names), "hosts": sorted(set(names))}
        for (state, reason), names in listed
    ]


def _describe_clocks(runs: Sequence[HostRun], every_ns: int | None) -> MergeDocument:
    census = survey_clocks(runs, every_ns)
    return {
        "window_ns": census.window_ns,
        "first_start": census.first,
        "last_start": census.last,
        "spread_ns": census.spread_ns,
        "unsynchronised": _name_runs(census.unsynchronised),
        "unknown": len(census.unknown),
        "inexact": _name_runs(census.inexact),
        "stepped": _name_runs(census.stepped),
        "apart": _name_runs(census.apart),
    }


def _name_runs(runs: Iterable[HostRun]) -> list[MergeDocument]:
    return [
        {"host": run.host, "run_id": run.run_id, "start": run.start, "error_ns": run.error_ns}
        for run in runs
    ]


def _describe_metric(metric: MetricSum, figures: _FiguresOfRuns) -> MergeDocument:
    identity = metric.identity
    hosts: dict[KernelName, set[str]] = {name: set() for name in metric.kernels}
    for run, of_run in figures:
        hosts[of_run.kernel].add(run.identity)
    cells = sorted(
        metric.list_cells().items(),
        key=lambda item: (item[0][0], -item[1].weigh(identity.kind), repr(item[0])),
    )
    return {
        **identity._asdict(),
        "layout": identity.layout or None,
        "hosts": len(set().union(*hosts.values())),
        "runs": metric.runs,
        "estimated_runs": metric.estimated,
        "cut_runs": metric.cut,
        "incomplete_runs": metric.incomplete,
        "at_least": bool(metric.cut or metric.incomplete),
        "cells": [
            {
                **describe_key(name),
                "runs": cell.runs,
                **describe_sum(cell.numbers, identity),
            }
            for name, cell in cells
        ],
        "by_kernel": [
            _describe_kernel(metric.kernels[name], identity, len(hosts[name]))
            for name in sorted(metric.kernels)
        ],
        "outliers": [_describe_outlier(one) for one in find_outliers(identity, figures)],
    }


def _describe_kernel(kernel: KernelSum, identity: MetricName, hosts: int) -> MergeDocument:
    of_kernel = kernel.identity
    rate = None
    if kernel.cpu_ns and identity.kind not in ("min", "max"):
        rate = kernel.cell.events / (kernel.cpu_ns / 10**9)
    return {
        "kernel": of_kernel.kernel,
        "kernel_build_id": of_kernel.kernel_build_id or None,
        "arch": of_kernel.arch,
        "mechanisms": of_kernel.mechanisms,
        "hosts": hosts,
        "runs": kernel.cell.runs,
        "cpu_ns": kernel.cpu_ns,
        "per_second_and_cpu": rate,
        **describe_sum(kernel.cell.numbers, identity),
    }


def _describe_outlier(outlier: OutlyingHost) -> MergeDocument:
    run = outlier.run
    return {
        "host": run.host,
        "host_id": run.host_id,
        "run_id": run.run_id,
        "kernel": run.kernel,
        "figure": outlier.figure,
        "value": outlier.value,
        "median": outlier.median,
        "compared": outlier.compared,
        "of_kernel": outlier.of_kernel,
    }


# ---------------------------------------------------------------- and back


def merge_from_document(document: Mapping[str, Any]) -> Merge:
    """The merge of which this is the document. Raises UnreadFile for what is no such document."""
    form = document.get("format")
    if form != MERGE_FORMAT:
        raise UnreadFile("newer", f"its format is {form!r:.60}")
    with expect_whole("merge"):
        return _rebuild(document)


def _rebuild(document: Mapping[str, Any]) -> Merge:
    merge = Merge(
        not_added={_rebuild_not_added(file) for file in document["not_added"]},
        duplicates={
            (check_text(file["path"]), check_text(file["run_id"]))
            for file in document["duplicates"]
        },
        expected=set(map(check_text, document["expected"])),
    )
    identities: list[tuple[GroupName, list[tuple[MetricName, list[KernelName]]]]] = []
    for described in document["groups"]:
        identity = GroupName(
            check_text(described["plan"]),
            check_text(described["plan_sha256"]),
            check_settings(described["settings"]),
        )
        group = merge.find_group(identity)
        metrics = [_rebuild_metric(group, metric) for metric in described["metrics"]]
        identities.append((identity, metrics))
    for described in document["runs"]:
        identity, metrics = identities[described["group"]]
        run = check_run({name: described[name] for name in _RUN_FIELDS}, identity)
        figures = [
            RunFigures(metrics[metric][0], metrics[metric][1][kernel], *map(_check_number, numbers))
            for metric, kernel, *numbers in described["figures"]
        ]
        merge.rows[run.run_id] = RunRow(run, figures)
    return merge


def _rebuild_not_added(file: Mapping[str, Any]) -> NotAdded:
    if file["reason"] not in get_args(UnreadReason):
        raise ValueError(f"a reason is {file['reason']!r:.40}")
    return NotAdded(check_text(file["path"]), file["reason"], check_text(file["detail"]))


def _check_number(value: Any) -> Any:
    if value is not None and type(value) not in (int, float):
        raise ValueError(f"{value!r:.40} is no number")
    return value


def _rebuild_metric(
    group: GroupSum, described: Mapping[str, Any]
) -> tuple[MetricName, list[KernelName]]:
    identity = check_metric_name(*(described[name] or "" for name in MetricName._fields))
    metric = group.find_metric(identity)
    metric.runs = check_whole(described["runs"])
    metric.estimated = check_whole(described["estimated_runs"])
    metric.cut = check_whole(described["cut_runs"])
    metric.incomplete = check_whole(described["incomplete_runs"])
    read = find_reader(identity)
    for cell in described["cells"]:
        name = identify_cell(
            cell["key"], other=cell["other"] is True, redacted=cell["redacted"] is True
        )
        metric.add_cell(name, read(cell), check_whole(cell["runs"]))
    kernels = []
    for kernel in described["by_kernel"]:
        build_id = kernel["kernel_build_id"] or ""
        names = (kernel["kernel"], build_id, kernel["arch"], kernel["mechanisms"])
        of_kernel = KernelName(*map(check_text, names))
        cpu_ns = None if kernel["cpu_ns"] is None else check_whole(kernel["cpu_ns"])
        metric.find_kernel(of_kernel).add(read(kernel), check_whole(kernel["runs"]), cpu_ns)
        kernels.append(of_kernel)
    return identity, kernels
