"""What counts as lost: the counts of a ledger that are losses, each with its place."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from orchestrator.accounting.count import Count
from orchestrator.accounting.vocabulary import (
    METRIC,
    NOTE,
    RECORDS,
    RUN,
    SIDE,
    SPAN,
    STACKS,
    HookLedger,
    Ledger,
    LedgerRow,
    MakerLedger,
    RowKind,
)

__all__ = ["LossCount", "losses_of_ledger"]


class LossCount(NamedTuple):  # quicker to define than a dataclass, by 0.7 ms at start-up
    """One count that is a loss if it is not 0. `owner`: the probe, span or note (None: the run
    as a whole); `part`: the attach point with its side, or the metric, within it; `row`: the row
    that holds `name`; `mechanism`: how an attach point is attached; `is_repeated`: it counts events
    that another loss counts already, and adds nothing to their sum."""

    kind: RowKind
    name: str
    row: LedgerRow
    owner: str | None = None
    part: str = ""
    mechanism: str = ""
    is_repeated: bool = False

    @property
    def lost(self) -> Count:
        """How much was, or may have been, lost."""
        return self.row[self.name]


def losses_of_ledger(ledger: Ledger, undelivered: Mapping[str, Count]) -> Iterator[LossCount]:
    """Every count that is a loss, in a fixed order, also those of 0. `undelivered`: by probe or
    span, records that the output did not take; left out where that is no loss, since limits.output
    held them back."""
    yield from _losses(RUN, {name: ledger[name] for name in RUN.losses})  # type: ignore[literal-required]  # names of the row
    if stacks := ledger.get("stacks"):
        yield from _losses(STACKS, stacks)
    for name, probe in ledger["probes"].items():
        for hook in probe["hooks"]:
            yield from _of_hook(name, hook)
        yield from _of_maker(name, probe, undelivered.get(name, 0))
    for name, span in ledger["spans"].items():
        yield from _losses(SPAN, span["counts"], name)
        yield from _of_maker(name, span, undelivered.get(name, 0))
    for name, note in ledger.get("notes", {}).items():
        yield from _losses(NOTE, note, name)


def _losses(
    kind: RowKind, row: LedgerRow, owner: str | None = None, part: str = ""
) -> Iterator[LossCount]:
    for name in kind.losses:
        yield LossCount(kind=kind, name=name, row=row, owner=owner, part=part)


def _of_hook(owner: str, hook: HookLedger) -> Iterator[LossCount]:
    for side, row in hook["sides"].items():
        place = f"{hook['to']} ({side})" if side != "hit" else hook["to"]
        for name in SIDE.losses:
            yield LossCount(
                kind=SIDE,
                name=name,
                row=row,
                owner=owner,
                part=place,
                mechanism=hook["mechanism"],
            )


def _of_maker(owner: str, maker: MakerLedger, undelivered: Count) -> Iterator[LossCount]:
    if records := maker["emit"]:
        yield from _losses(RECORDS, {**records, "undelivered": undelivered}, owner)
    yield from _of_metrics(owner, maker)


def _of_metrics(owner: str, maker: MakerLedger) -> Iterator[LossCount]:
    """Events whose records were lost are lost to all metrics that are computed from these."""
    is_counted = bool(maker["emit"])
    for metric, row in maker["metrics"].items():
        for loss in _losses(METRIC, row, owner, metric):
            yield loss._replace(is_repeated=is_counted and loss.name == "ring_lost")
        is_counted = True
