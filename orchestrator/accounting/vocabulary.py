"""The accounting vocabulary: every count of the ledger by name, the identities that the counts
satisfy, and which of them are losses.

It is declared here once. The backends fill in these counts (backends.protocol), the ledger lays
them out in rows (run.report.ledger), the verdict and the summary take from here what was lost
(accounting.losses), and tests compare the log schema and the backends' counters with it.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, NotRequired, TypedDict, get_args

from orchestrator.accounting.count import Count

__all__ = [
    "METRIC",
    "NOTE",
    "RECORDS",
    "RUN",
    "SIDE",
    "SPAN",
    "STACKS",
    "HookLedger",
    "Identity",
    "Ledger",
]
__all__ += ["LedgerRow", "MakerLedger", "ProbeLedger", "RowKind", "SpanLedger"]
__all__ += ["CALL_FATES", "METRIC_DISPOSITIONS", "RECORD_DISPOSITIONS", "SIDE_DISPOSITIONS"]
__all__ += ["SPAN_CLOSED", "SPAN_FATES", "SPAN_JUDGEMENTS", "UNMADE_OUTCOMES", "UnmadeOutcome"]
__all__ += ["ONCE_DISPOSITIONS", "list_mechanisms"]

#: Outcomes of runs that were not made, so that they have no accounts.
UnmadeOutcome = Literal["skipped", "quarantined", "refused"]
UNMADE_OUTCOMES: tuple[UnmadeOutcome, ...] = get_args(UnmadeOutcome)
#: What becomes of an event on a side of an attach point: exactly one of these.
SIDE_DISPOSITIONS = (
    "expired",
    "not_target",
    "filtered",
    "sampled_out",
    "unpaired",
    "map_full",
    "too_deep",
    "accepted",
)
#: What becomes of a call that was accepted at its entry and did not return: it was left by a jump
#: (longjmp, an exception) or ends in another way (rt_sigreturn); its program was replaced by exec;
#: its thread ended (exit, a signal that kills); or it is still open.
CALL_FATES = ("abandoned", "execed", "exited", "in_flight")
#: What becomes of the record of an accepted event.
RECORD_DISPOSITIONS = ("rate_limited", "over_cap", "ring_lost", "recorded")
#: And before these, where a probe makes records `once`: another one of its key was made in the
#: period, or there was no room for one more key.
ONCE_DISPOSITIONS = ("repeated", "keys_full")
#: What becomes of a recorded record. `undelivered`: the output did not take it; it is not in the
#: log, where it is `recorded` less `delivered`.
DELIVERIES = ("delivered", "undelivered")
#: What a metric makes of an accepted event. `ring_lost`: it is computed from records (tracefs), and
#: the event's was lost.
METRIC_DISPOSITIONS = ("counted", "filtered", "map_full", "map_busy", "ring_lost")
#: What becomes of a span that was started: it is closed in one of these ways, or still open.
SPAN_CLOSED = ("ended", "cancelled", "replaced", "not_target")
SPAN_FATES = (*SPAN_CLOSED, "in_flight")
#: What becomes of a span at its end.
SPAN_JUDGEMENTS = ("filtered", "accepted")


class Identity(NamedTuple):  # quicker to define than a dataclass, by 0.4 ms at start-up
    """The counts of `whole` add up to the same number as those of `parts`."""

    whole: tuple[str, ...]
    parts: tuple[str, ...]


class RowKind(NamedTuple):
    """One kind of row of the ledger: its counts in order, the identities that hold between them,
    and those of them that are losses.

    Not a loss is what the plan's own bounds held back (`rate_limited`, `over_cap`, `sampled_out`, a
    metric's events in the cell `other`): that was asked for.
    """

    counts: tuple[str, ...]
    identities: tuple[Identity, ...] = ()
    losses: tuple[str, ...] = ()


#: `kernel_missed`: the event happened and the program did not run, so that it is no part of
#: `fired`; `recursion_misses` of them because a program was already running on that CPU.
SIDE = RowKind(
    counts=("fired", *SIDE_DISPOSITIONS, "kernel_missed", "recursion_misses"),
    identities=(Identity(("fired",), SIDE_DISPOSITIONS),),
    losses=("kernel_missed", "map_full", "too_deep"),
)
#: `accepted` events of the last sides of a probe's hooks, or of a span.
RECORDS = RowKind(
    counts=("accepted", *RECORD_DISPOSITIONS, "delivered"),
    identities=(
        Identity(("accepted",), RECORD_DISPOSITIONS),
        Identity(("recorded",), DELIVERIES),
    ),
    losses=("ring_lost", "undelivered"),
)
#: `accepted` as in RECORDS; the row itself does not repeat it.
METRIC = RowKind(
    counts=METRIC_DISPOSITIONS,
    identities=(Identity(("accepted",), METRIC_DISPOSITIONS),),
    losses=("map_busy", "ring_lost"),
)
#: `raced`: judged at an end and then found to be gone. `repeated`: started again while open, and
#: left as it was. `no_start`: ends and the like of what was not open. `map_full`: not started.
SPAN = RowKind(
    counts=(
        *("started", *SPAN_FATES, *SPAN_JUDGEMENTS),
        *("raced", "repeated", "no_start", "map_full"),
    ),
    identities=(
        Identity(("started",), SPAN_FATES),
        Identity(("ended", "raced"), SPAN_JUDGEMENTS),
    ),
    losses=("map_full",),
)
#: `set`: notes that were kept, `replaced` of them in place of an earlier one; `kept` are there at
#: the end. `repeated`: set again and left as it was (`once`). `absent`: drops of what was not kept.
#: `full`: not set. `found` and `missed`: the looks at it, one an event and note.
NOTE = RowKind(
    counts=(
        *("set", "replaced", "dropped", "kept"),
        *("repeated", "absent", "full", "found", "missed"),
    ),
    identities=(Identity(("set",), ("replaced", "dropped", "kept")),),
    losses=("full",),
)
#: `kept`: different stacks; `incomplete`: of these, the ones with frames or names missing.
STACKS = RowKind(
    counts=("kept", "map_full", "map_busy", "incomplete"), losses=("map_full", "map_busy")
)
#: Counts of a run as a whole.
RUN = RowKind(
    counts=("faulted", "truncated", "divisions_by_zero", "children_lost", "lost_unattributed"),
    losses=("children_lost", "lost_unattributed"),
)

# ---------------------------------------------------------------- the ledger's shape

#: The counts of one row, by name.
LedgerRow = Mapping[str, Count]


class HookLedger(TypedDict):
    """One attach point: a row of SIDE by side (entry and return, or hit). Where calls are paired,
    CALL_FATES are those that were accepted and did not return."""

    to: str
    mechanism: str
    sides: dict[str, LedgerRow]
    abandoned: NotRequired[Count]
    execed: NotRequired[Count]
    exited: NotRequired[Count]
    in_flight: NotRequired[Count]


class MakerLedger(TypedDict):
    """What a probe or a span makes: its records (a row of RECORDS; None: it emits none) and its
    metrics (rows of METRIC by name)."""

    emit: LedgerRow | None
    metrics: dict[str, LedgerRow]


class ProbeLedger(MakerLedger):
    """One probe, with its attach points."""

    hooks: list[HookLedger]


class SpanLedger(MakerLedger):
    """One span or outstanding resource: `counts` is a row of SPAN."""

    counts: LedgerRow


class Ledger(TypedDict):
    """All accounts of a run, as the log schema has them: probes and spans by name, then a row of
    RUN; `notes` (rows of NOTE by name) where the plan has notes, and `stacks` (a row of STACKS)
    where stacks are taken."""

    probes: dict[str, ProbeLedger]
    spans: dict[str, SpanLedger]
    faulted: Count
    truncated: Count
    divisions_by_zero: Count
    children_lost: Count
    lost_unattributed: Count
    notes: NotRequired[dict[str, LedgerRow]]
    stacks: NotRequired[LedgerRow]


def list_mechanisms(ledger: Ledger) -> dict[str, list[str]]:
    """By probe: how its hooks are attached."""
    return {
        name: sorted({hook["mechanism"] for hook in probe["hooks"]})
        for name, probe in ledger["probes"].items()
    }
