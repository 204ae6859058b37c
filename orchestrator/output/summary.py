"""What a run found, for people: tables on standard error, made of the log's own records."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.output.people import amount, count, ending, harmless, histogram_rows

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["print_summary"]

Record = Mapping[str, Any]
_BAR = 40
_CELLS = 20
_HISTOGRAMS = 4


def print_summary(
    finished: Record,
    metrics: Sequence[Record] = (),
    limits: Sequence[Record] = (),
    *,
    file: TextIO,
    width: int | None = None,
) -> None:
    """Print the summary of one run to `file`: the `run.finished` record, the total `metric`
    records and the `limit.reached` records, as in the log schema."""
    from rich.console import Console  # lazy: 23 ms, paid once the run is over

    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    _probes(console, finished["ledger"]["probes"])
    for metric in metrics:
        _metric(console, metric)
    for limit in limits:
        console.print(_limit(limit))
    _verdict(console, finished)


def _probes(console: "Console", probes: Record) -> None:
    table = _table(["probe", "mechanism"], ["fired", "kept", "delivered", "lost"])
    for name, account in probes.items():
        mechanisms = dict.fromkeys(hook["mechanism"] for hook in account["hooks"])
        emit = account["emit"] or {}
        table.add_row(
            harmless(name),
            harmless(", ".join(mechanisms)),
            count(_total(_side(hook, first=True)["fired"] for hook in account["hooks"])),
            count(_total(_side(hook, first=False)["accepted"] for hook in account["hooks"])),
            count(emit.get("delivered")),
            count(_total(_losses(account))),
        )
    if probes:
        console.print(table)


def _side(hook: Record, *, first: bool) -> Record:
    """The side on which a hook fires first, or the one on which it is kept."""
    sides: Record = hook["sides"]
    order = ("entry", "hit", "return") if first else ("return", "hit", "entry")
    side: Record = next(sides[name] for name in order if name in sides)
    return side


def _losses(account: Record) -> Iterable[int | str]:
    for hook in account["hooks"]:
        for side in hook["sides"].values():
            yield side["kernel_missed"]
            yield side["map_full"]
    emit = account["emit"]
    if emit:
        yield emit["ring_lost"]
        yield _difference(emit["recorded"], emit["delivered"])
    for metric in account["metrics"].values():
        yield metric["map_busy"]


def _difference(more: int | str, less: int | str) -> int | str:
    return more - less if isinstance(more, int) and isinstance(less, int) else "unknown"


def _total(counts: Iterable[int | str]) -> int | str:
    """The sum; what is known and a plus sign where some are unknown."""
    known, unknown = 0, False
    for number in counts:
        if isinstance(number, int):
            known += number
        else:
            unknown = True
    if unknown:
        return f"{known:,} + unknown" if known else "unknown"
    return known


def _metric(console: "Console", metric: Record) -> None:
    title = f"{harmless(metric['probe'])}.{harmless(metric['metric'])} ({metric['kind']})"
    if not any(cell.get("count", 1) for cell in metric["cells"]):
        console.print(f"{title}: nothing counted")
        return
    keys = list(dict.fromkeys(key for cell in metric["cells"] for key in cell["key"]))
    histogram = metric["kind"] == "histogram"
    values = ["count", "p50", "p90", "p99", "p99.9"] if histogram else [metric["kind"]]
    table = _table([harmless(key) for key in keys], values)
    for cell in metric["cells"][:_CELLS]:
        shown = _histogram_values(cell, metric["unit"]) if histogram else [_value(cell, metric)]
        table.add_row(*_key(cell, keys), *shown)
    console.print(title)
    console.print(table)
    left_out = metric["cells_left_out"] + max(0, len(metric["cells"]) - _CELLS)
    if left_out:
        console.print(f"… and {left_out:,} more")
    if histogram:
        for cell in metric["cells"][:_HISTOGRAMS]:
            _bars(console, cell, metric["unit"], keys)


def _key(cell: Record, keys: list[str]) -> list[str]:
    if cell["other"]:
        return ["(other)", *[""] * (len(keys) - 1)] if keys else []
    return [harmless(cell["key"].get(key, "")) for key in keys]


def _value(cell: Record, metric: Record) -> str:
    if metric["kind"] == "count":
        return count(cell["value"])
    return amount(cell["value"], metric["unit"])


def _histogram_values(cell: Record, unit: str) -> list[str]:
    return [count(cell["count"]), *(amount(v, unit) for v in cell["percentiles"].values())]


def _bars(console: "Console", cell: Record, unit: str, keys: list[str]) -> None:
    rows = histogram_rows(cell["buckets"], linear=cell["relative_error"] is None)
    if not rows:
        return
    most = max(number for _, number in rows)
    edges = [f"≤ {amount(upper, unit)}" for upper, _ in rows]
    if keys:
        console.print(" ".join(_key(cell, keys)).strip())
    for edge, (_, number) in zip(edges, rows, strict=True):
        bar = "█" * -(-number * _BAR // most)
        console.print(f"  {edge:>{max(map(len, edges))}} │{bar:<{_BAR}}│ {number:,}")
    for where in ("below", "above"):
        if cell[where]:
            console.print(f"  {where} the buckets: {cell[where]:,}")


def _limit(limit: Record) -> str:
    whose = f" of {harmless(limit['probe'])}" if limit.get("probe") else ""
    detail = f": {harmless(limit['detail'])}" if limit.get("detail") else ""
    bound = amount(limit["value"], _LIMIT_UNITS.get(limit["limit"], ""))
    return (
        f"limit reached: {limit['limit']} {bound}{whose}, by the "
        f"{limit['enforced']}, {limit['action']}{detail}"
    )


_LIMIT_UNITS = {"duration": "ns", "memory": "bytes", "output": "bytes"}


def _verdict(console: "Console", finished: Record) -> None:
    took = amount(finished["duration_ns"], "ns")
    records = "record" if finished["delivered"] == 1 else "records"
    verdict = {True: "complete", False: "INCOMPLETE", "unknown": "completeness unknown"}
    console.print(
        f"{harmless(finished['plan'])}: {verdict[finished['complete']]}. "
        f"{count(finished['delivered'])} {records} in {took}, {count(finished['lost'])} lost; "
        f"ended by {ending(finished['outcome'])}"
    )
    for reason in finished["why_incomplete"]:
        console.print(f"  {harmless(reason)}")
    if finished["saw_nothing"]:
        console.print(f"nothing was seen: {harmless(finished['saw_nothing'])}")
    if finished.get("error"):
        console.print(f"error: {harmless(finished['error'])}")


def _table(texts: list[str], numbers: list[str]) -> "Table":
    from rich import box  # lazy: see print_summary
    from rich.table import Table  # lazy: see print_summary

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for text in texts:
        table.add_column(text, overflow="fold")
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table
