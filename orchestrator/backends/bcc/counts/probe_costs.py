"""What each program of a session has cost so far: what the governor goes by."""

from collections.abc import Mapping, Sequence

from orchestrator.backends.bcc.attach.attachments import by_program
from orchestrator.backends.bcc.attach.hooks import Placed
from orchestrator.backends.bcc.counts.counting import Accounts
from orchestrator.backends.bcc.counts.reading import Rows
from orchestrator.backends.bcc.design.groups import Group, price_kind, price_kind_of
from orchestrator.backends.prices import Price, prices
from orchestrator.backends.protocol import Expense
from orchestrator.kernel.abi import bpf

__all__ = ["expenses", "prices_of"]


def prices_of(programs: Sequence[Group]) -> Mapping[str, Price]:
    """What a hit of each costs, by how it is attached."""
    return prices({price_kind(group) for group in programs}, _measured)


def _measured(kind: str) -> tuple[float, float] | None:
    from orchestrator.backends.bcc.attach.calibration import measure  # at first use on a host only

    return measure(kind)


def expenses(
    placed: Sequence[Placed], accounts: Accounts, paid: Mapping[str, Price]
) -> list[Expense]:
    """One for each program that is attached; `paid`: what `prices_of` told."""
    rows = accounts.reader.rows()
    return [_expense(sides, rows, accounts, paid) for sides in by_program(placed)]


def _expense(
    sides: Sequence[Placed], rows: Sequence[Rows], accounts: Accounts, paid: Mapping[str, Price]
) -> Expense:
    first = sides[0]
    told = bpf.program_statistics(first.program)
    price = paid[price_kind_of(first.side, first.attachment.mechanism)]
    return Expense(
        number=first.side.index,
        probes=tuple(dict.fromkeys(one.side.hook.probe for one in sides)),
        hits=accounts.fired(rows[first.side.index]),
        price_ns=price.ns,
        calibrated=price.calibrated,
        run_ns=told.run_time_ns,
        runs=told.run_count,
        idle_ns=price.run_ns,
    )
