"""Records that a plan's own bounds kept out of the log, and what to do about it. Pure.

They are no loss: the events are counted, in metrics and in the ledger. But the log is not all there
was, so it is said how many records are missing and which bound to raise.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.accounting.count import Count, add_counts, at_least, is_known, subtract_counts
from orchestrator.accounting.vocabulary import Ledger, LedgerRow
from orchestrator.compile.program import Program
from orchestrator.plan.units import format_bytes, format_count, format_rate
from orchestrator.values import dataclass

__all__ = ["HeldBack", "describe_held_back", "find_held_back", "judge_records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """`records` that the limit (rate, events, output, or keys of `once`) held back. `probe`: the
    one whose own bound it was; None: the plan's. `bound`: the limit as plans write it."""

    limit: str
    probe: str | None
    bound: str
    records: int

    def __str__(self) -> str:
        held = f"{self.records:,} held back by {self.limit} {self.bound}"
        if self.probe is not None:
            return f"{held} of {self.probe}; raise it in the plan"
        return f"{held}; raise it with --limit {self.limit}=…"


def find_held_back(
    ledger: Ledger, program: Program, unwritten: Mapping[str, int]
) -> tuple[HeldBack, ...]:
    """What each bound held back. `unwritten`: by probe or span, records that limits.output left
    out. A probe's own rate or cap is tested before the plan's, and is named where it has one."""
    held: Counter[tuple[str, str | None, str]] = Counter()
    limits = program.limits
    own_rates = {probe.name: probe.rate for probe in program.probes if probe.rate}
    own_caps = {probe.name: probe.events for probe in program.probes if probe.events is not None}
    own_keys = {probe.name: probe.once.keys for probe in program.probes if probe.once}
    for name, row in _records(ledger):
        if name in own_keys:
            by_keys = (name, format_count(own_keys[name]))
            held["keys", *by_keys] += at_least(row.get("keys_full", 0))
        rate, cap = own_rates.get(name), own_caps.get(name)
        by_rate = (name if rate else None, format_rate(rate or limits.rate))
        held["rate", *by_rate] += at_least(row["rate_limited"])
        own = cap is not None and at_least(row["recorded"]) >= cap
        by_cap = (name if own else None, format_count((cap if own else None) or limits.events))
        held["events", *by_cap] += at_least(row["over_cap"])
        held["output", None, format_bytes(limits.output)] += unwritten.get(name, 0)
    return tuple(
        HeldBack(limit=limit, probe=probe, bound=bound, records=records)
        for (limit, probe, bound), records in held.items()
        if records
    )


def judge_records(ledger: Ledger) -> tuple[Count, str | None]:
    """How many records the plan's events make, and whether the log has them: `all`, `part`, or
    `unknown`; None where the plan makes none."""
    rows = [row for _, row in _records(ledger)]
    if not rows:
        return 0, None
    made = add_counts(subtract_counts(row["accepted"], row.get("repeated", 0)) for row in rows)
    delivered = add_counts(row["delivered"] for row in rows)
    if not is_known(made) or not is_known(delivered):
        return made, "unknown"
    return made, "all" if made == delivered else "part"


def describe_held_back(delivered: int, made: Count, held: Sequence[HeldBack]) -> str:
    """`103 of 500 records; 397 held back by rate 1k/s; raise it with --limit rate=…`; "" where
    nothing was held back."""
    if not held:
        return ""
    total = f"{made:,}" if is_known(made) else "an unknown number of"
    return f"{delivered:,} of {total} records; {'; '.join(map(str, held))}"


def _records(ledger: Ledger) -> Iterator[tuple[str, LedgerRow]]:
    """The rows of records, by probe or span."""
    for name, maker in (*ledger["probes"].items(), *ledger["spans"].items()):
        if maker["emit"] is not None:
            yield name, maker["emit"]
