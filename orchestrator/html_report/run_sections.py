"""The sections about one run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES
from orchestrator.html_report.budget import Budget
from orchestrator.html_report.ledger_view import (
    list_losses,
    list_tables,
    make_flow,
    summarize_makers,
)
from orchestrator.html_report.log_digest import LogDigest
from orchestrator.html_report.markup import Html, clean_value, element, lines_of_text
from orchestrator.html_report.model import RunSource
from orchestrator.html_report.parts import (
    chart,
    describe_moment,
    facts,
    make_section,
    notes,
    show_count,
    static_table,
)
from orchestrator.html_report.record_tables import draw_records
from orchestrator.output.json_codec import encode_json
from orchestrator.output.terminal.human_units import (
    choose_unit,
    collect_units,
    describe_ending,
    format_amount,
    format_bound,
    format_count,
    format_numbers,
)
from orchestrator.output.terminal.note_table import describe_looks, make_note_table
from orchestrator.output.terminal.summary import describe_limit, leave_out_explained
from orchestrator.output.terminal.verdict_text import describe_counts, describe_reasons

__all__ = ["describe_verdict", "ledger_section", "plan_section", "records_section"]
__all__ += ["is_output_limited", "summary_section", "verdict_class", "warning_section"]

_VERDICTS = {True: "Complete", False: "Incomplete", "unknown": "Completeness unknown"}
_CLASSES = {True: "complete", False: "incomplete", "unknown": "unknown"}


def is_output_limited(source: RunSource) -> bool:
    """Whether limits.output took effect."""
    return any(limit["limit"] == "output" for limit in source.document["limits"])


# ---------------------------------------------------------------- summary


def describe_verdict(run: Mapping[str, Any], outstanding: Sequence[str] = ()) -> str:
    """The verdict in a few words. `outstanding`: the spans that are resources."""
    if run["outcome"] in UNMADE_OUTCOMES:
        return f"Not made: {run['outcome']}"
    return f"{_VERDICTS[run['complete']]}: {describe_counts(run, outstanding)}"


def verdict_class(run: Mapping[str, Any]) -> str:
    """How it is marked."""
    return "unknown" if run["outcome"] in UNMADE_OUTCOMES else _CLASSES[run["complete"]]


def summary_section(source: RunSource) -> Html:
    """What ran where and when, and whether it saw everything."""
    run, document = source.run, source.document
    resources = [held["outstanding"] for held in document["outstanding"]]
    verdict = element(
        "p",
        element("strong", describe_verdict(run, resources)),
        class_=f"verdict {verdict_class(run)}",
    )
    return make_section(
        "summary",
        "Summary",
        verdict,
        notes(_explain_verdict(run)),
        facts([*_list_identity(run, document), *_list_course(run)]),
        notes(source.notes),
    )


def _explain_verdict(run: Mapping[str, Any]) -> Iterator[str]:
    if run["outcome"] in UNMADE_OUTCOMES:
        yield str(run["reason"])
        return
    yield from describe_reasons(run)
    if run["nothing_seen_because"]:
        yield f"Nothing was seen: {run['nothing_seen_because']}"
    if run["error"]:
        yield f"Error: {run['error']}"


def _list_identity(
    run: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    yield "Plan", run["plan"]
    yield "Host", run["host"]
    yield "Kernel", f"{run['kernel']} ({document['arch']}, {document['cpus']} CPUs)"
    yield "Label", document["label"]
    yield "Run", run["run_id"]


def _list_course(run: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if run["outcome"] in UNMADE_OUTCOMES:
        return
    yield "Began", describe_moment(run["armed_at"])
    yield "Ran for", format_amount(run["duration_ns"], "ns")
    yield "Ended by", describe_ending(run["outcome"])
    yield "Records", format_count(run["delivered"])
    yield "Lost", show_count(run["lost"], is_loss=True)
    if run["command_status"] is not None:
        yield "Command's exit status", str(run["command_status"])
    yield "Exit code", str(run["exit_code"])


# ---------------------------------------------------------------- warnings


def warning_section(source: RunSource) -> Html | None:
    """Warnings of the plan, limits that took effect, `stop_when`; None if there is none of it."""
    document = source.document
    figures = document["figures"]
    units = collect_units(document["metrics"], figures["display_units"] if figures else {})
    lines = [
        *_list_warnings(document["warnings"], units),
        *map(describe_limit, leave_out_explained(document["limits"], source.run)),
    ]
    if (stopped := document["stopped"]) is not None:
        numbers = format_numbers(stopped["numbers"], units)
        lines.append(f"stop_when held: {stopped['condition']}: {numbers}")
    lines.extend(_list_log_notices(source.log))
    if not lines:
        return None
    items = (element("li", line) for line in lines)
    return make_section("warnings", "Warnings and limits", element("ul", *items, class_="warnings"))


def _list_warnings(
    warnings: Sequence[Mapping[str, Any]], units: Mapping[str, str]
) -> Iterator[str]:
    for warning in warnings:
        owner = "" if warning["probe"] is None else f"{warning['probe']}."
        head = f"{owner}{warning['metric']}: {warning['condition']}"
        for cell in warning["cells"]:
            key = ", ".join(f"{name}={_in_line(value)}" for name, value in cell["key"].items())
            whose = f" for {key or '(other)'}" if key or cell["other"] else ""
            numbers = format_numbers(cell["numbers"], units, choose_unit(warning))
            yield f"{head}{whose}: {numbers}"
        if warning["cells_omitted"]:
            yield f"{head}: and {warning['cells_omitted']:,} more cells"


def _in_line(value: Any) -> str:
    return " < ".join(map(str, value[:3])) if isinstance(value, list) else str(value)


def _list_log_notices(log: LogDigest | None) -> Iterator[str]:
    if log is None:
        return
    windows: dict[str, int] = {}
    for record in log.warned:
        owner = "" if record["probe"] is None else f"{record['probe']}."
        head = f"{owner}{record['metric']}: {record['condition']}"
        windows[head] = windows.get(head, 0) + 1
    for head, count in windows.items():
        yield f"{head}: in {count:,} {'window' if count == 1 else 'windows'}"
    for step in log.steps_ns:
        yield f"The host's clock was set, by {format_amount(step, 'ns')}."
    for record in log.control:
        done = "paused" if record["event"] == "probe.paused" else "resumed"
        yield f"{record['probe']} was {done} by the user with the uid {record['uid']}."
    if log.notices_omitted:
        yield f"{log.notices_omitted:,} more notices are in the log."


# ---------------------------------------------------------------- ledger


def ledger_section(source: RunSource, flows: list[Any]) -> Html:
    """What became of events: in short, as a flow for each probe, and all accounts. The data of the
    flows are added to `flows`."""
    ledger = source.run["ledger"]
    limited = is_output_limited(source)
    makers = summarize_makers(ledger, output_limited=limited)
    short = static_table(
        "Probes and spans: what fired, what was kept, what was lost",
        ["probe or span", "mechanism", "fired", "kept", "delivered", "lost"],
        (
            [
                maker.name,
                maker.mechanisms or "span",
                show_count(maker.fired),
                show_count(maker.kept),
                show_count(maker.delivered),
                show_count(maker.lost, is_loss=True),
            ]
            for maker in makers
        ),
        texts=2,
    )
    drawn = [_draw_flow(ledger, maker.name, flows, limited=limited) for maker in makers]
    return make_section(
        "ledger",
        "What became of the events",
        short,
        *_notes_part(ledger.get("notes", {})),
        _losses_part(ledger, limited=limited),
        *drawn,
        element(
            "details",
            element("summary", "All accounts"),
            *(
                static_table(
                    table.title,
                    ["", *table.columns],
                    ([label, *map(format_count, counts)] for label, counts in table.rows),
                )
                for table in list_tables(ledger)
            ),
        ),
    )


def _notes_part(accounts: Mapping[str, Any]) -> Iterator[Html | None]:
    """What became of notes, and of the looks at them; nothing for a plan without any."""
    if not accounts:
        return
    table = make_note_table(accounts)
    yield static_table(
        "Notes: state kept at one event and read at others",
        ["note", *table.headings],
        (
            [name, *(element("span", count, class_="lost" if has_loss else None) for count in row)]
            for name, row, has_loss in table.rows
        ),
    )
    for line in describe_looks(accounts):
        yield notes([line.text], "warning" if line.warns else "note")


def _losses_part(ledger: Mapping[str, Any], *, limited: bool) -> Html:
    losses = list_losses(ledger, output_limited=limited)
    if not losses:
        return element("p", "Nothing was lost.")
    return static_table(
        "Losses",
        ["of", "where", "what", "count"],
        ([row.owner, row.part, row.what, show_count(row.events, is_loss=True)] for row in losses),
        texts=3,
    )


def _draw_flow(
    ledger: Mapping[str, Any], name: str, flows: list[Any], *, limited: bool
) -> Html | None:
    flow = make_flow(ledger, name, output_limited=limited)
    unknown = f"Not drawn, since the count is unknown: {', '.join(flow.unknown)}."
    said = notes([unknown if flow.unknown else ""])
    if len(flow.links) < 2:
        return said
    flows.append(clean_value([list(link) for link in flow.links]))
    drawn = chart(f"{name}: from what fired to what was kept", "flow", flow=len(flows) - 1)
    return element("div", drawn, said)


# ---------------------------------------------------------------- records


def records_section(source: RunSource, budget: Budget) -> Html | None:
    """The first records of the log, as long as `budget` has room, and how many more there are; None
    for a run without any."""
    log = source.log
    if log is None:
        if not source.run["delivered"]:
            return None
        text = f"The run has {format_count(source.run['delivered'])} records in its log, which "
        return make_section("records", "Records", notes([f"{text}is not at hand."]))
    if not log.records:
        return None
    tables, drawn = draw_records(log, budget)
    more = log.records_omitted + len(log.records) - drawn
    said = f"The first {drawn:,}; {more:,} more are in the log." if more else ""
    return make_section("records", "Records", notes([said]), *tables)


# ---------------------------------------------------------------- plan


def plan_section(source: RunSource) -> Html:
    """The plan, its settings, and what was attached where."""
    document, log = source.document, source.log
    return make_section(
        "plan",
        "The plan, and what was attached",
        _attached_part(source),
        facts(_list_settings(document["settings"], log)),
        _plan_text(source),
        facts(_list_origin(source.run, document)),
    )


def _attached_part(source: RunSource) -> Html | None:
    log = source.log
    if log is not None and log.attached:
        rows = [
            [
                str(record["probe"]),
                str(record["to"]),
                str(record["target"]),
                str(record["mechanism"]),
                str(record.get("detail", "")),
            ]
            for record in log.attached
        ]
        rows += [
            [str(record["probe"]), str(record["to"]), "", "not used", str(record["reason"])]
            for record in log.skipped
        ]
        columns = ["probe", "attach point", "in the kernel", "mechanism", "detail"]
    elif source.run["outcome"] in UNMADE_OUTCOMES:
        return None
    else:
        rows = [
            [name, hook["to"], hook["mechanism"]]
            for name, probe in source.run["ledger"]["probes"].items()
            for hook in probe["hooks"]
        ]
        columns = ["probe", "attach point", "mechanism"]
    return static_table("Attached", columns, rows, texts=len(columns))


def _list_settings(settings: Mapping[str, Any], log: LogDigest | None) -> Iterator[tuple[str, Any]]:
    for name in ("params", "target"):
        if settings[name]:
            yield name.capitalize(), _as_text(settings[name])
    if settings["command"]:
        yield "Command", " ".join(map(str, settings["command"]))
    if settings["every_ns"]:
        yield "Windows", format_amount(settings["every_ns"], "ns")
    enforced = log.enforced if log else {}
    for name, limit in settings["limits"].items():
        by = f" (enforced by: {enforced[name]})" if name in enforced else ""
        yield f"Limit: {name}", format_bound(name, limit) + by


def _as_text(value: Any) -> str:
    return encode_json(clean_value(value)).decode()


def _plan_text(source: RunSource) -> Html:
    if source.plan_text is None:
        text = f"The plan's text is not at hand; its SHA-256 is {source.run['plan_sha256']}."
        return element("p", text, class_="note")
    return element(
        "details",
        element("summary", "The plan's text"),
        element("pre", element("code", lines_of_text(source.plan_text)), tabindex="0"),
    )


def _list_origin(run: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "SHA-256 of the plan", run["plan_sha256"]
    yield "Backend", document["backend"]
    yield "probeplan", document["version"]
    if document["bundle"]:
        yield (
            "Bundle",
            f"{document['bundle']['file']}, by probeplan {document['bundle']['builder']}",
        )
    for signature in document["signatures"]:
        yield "Signature", f"{signature['status']}: {signature['principal'] or ''}".rstrip(": ")
