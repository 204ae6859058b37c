"""What each program of a session has cost so far, for the cost governor."""

from collections.abc import Mapping, Sequence

from orchestrator.backends.bcc.counts.counting import Accounts
from orchestrator.backends.bcc.counts.reading import Rows
from orchestrator.backends.bcc.design.groups import WITNESS_PRICE, price_kind_of
from orchestrator.backends.bcc.design.joining import JOINING
from orchestrator.backends.bcc.handles.attachment import AttachedSide, sides_by_program
from orchestrator.backends.prices import Price
from orchestrator.backends.protocol import Expense
from orchestrator.kernel.abi import bpf

__all__ = ["read_expenses"]


def read_expenses(
    sides: Sequence[AttachedSide], accounts: Accounts, prices: Mapping[str, Price]
) -> list[Expense]:
    """One for each attached program. `prices`: per hit, by how a program is attached."""
    rows = accounts.reader.read_rows()
    return [
        _read_expense(of_program, rows, accounts, prices) for of_program in sides_by_program(sides)
    ]


def _read_expense(
    sides: Sequence[AttachedSide],
    rows: Sequence[Rows],
    accounts: Accounts,
    prices: Mapping[str, Price],
) -> Expense:
    first = sides[0]
    statistics = bpf.program_statistics(first.program)
    price = prices[price_kind_of(first.side, first.attachment.mechanism)]
    watching = 0.0 if first.witness is None else prices[WITNESS_PRICE].ns
    joined = first.attachment.mechanism in JOINING  # events at other places, one side each
    counted = sides if joined else sides[:1]
    return Expense(
        number=first.side.index,
        probes=tuple(dict.fromkeys(attached.side.hook.probe for attached in sides)),
        hits=sum(accounts.count_fired(rows[attached.side.index]) for attached in counted),
        price_ns=price.ns + watching,
        calibrated=price.calibrated,
        run_ns=statistics.run_time_ns,
        runs=statistics.run_count,
        idle_ns=price.run_ns,
    )
