"""What the losses of a ledger are called."""

from typing import Any

import pytest

from orchestrator.accounting.count import UNKNOWN
from orchestrator.accounting.losses import losses_of_ledger
from orchestrator.accounting.vocabulary import (
    METRIC,
    NOTE,
    RECORDS,
    SIDE,
    SPAN,
    STACKS,
    Ledger,
    RowKind,
)
from orchestrator.run.report.verdict import LOSS_TEXTS, describe_losses, judge_ledger


def row(kind: RowKind, **others: int | str) -> dict:
    return {**dict.fromkeys(kind.counts, 0), **others}


def ledger(side: dict | None = None, span: dict | None = None, **run: int | str) -> Ledger:
    """A ledger of one paired probe and one span, in which nothing was lost but what is given."""
    sides = {"entry": row(SIDE) | (side or {}), "return": row(SIDE)}
    hook = {"to": "function:f", "mechanism": "fexit", "sides": sides}
    maker = {"emit": row(RECORDS), "metrics": {"latency": row(METRIC)}}
    totals = dict.fromkeys(
        ("faulted", "truncated", "divisions_by_zero", "children_lost", "lost_unattributed"), 0
    )
    whole: Any = {
        "probes": {"p": {"hooks": [hook], **maker}},
        "spans": {"s": {"counts": row(SPAN) | (span or {}), "emit": None, "metrics": {}}},
        "notes": {"n": row(NOTE)},
        "stacks": row(STACKS),
        **totals,
        **run,
    }
    return whole  # type: ignore[no-any-return]  # made of parts


def test_every_loss_has_its_place_and_its_text() -> None:
    losses = list(losses_of_ledger(ledger(), {}))
    texts = [str(loss) for loss in describe_losses(ledger(), {})]
    assert len(losses) == len(texts)
    assert {(loss.kind, loss.name) for loss in losses} == set(LOSS_TEXTS)
    assert "p: 0 times function:f (entry) happened and the kernel did not run the probe" in "".join(
        texts
    )
    assert "p: 0 updates of latency were lost: the kernel could not update the map" in texts


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        (
            ledger({"map_full": 3}),
            "p: 3 calls of function:f (entry) could not be followed: no room",
        ),
        (ledger(span={"map_full": 3}), "s: 3 starts were lost: the map was full"),
        (ledger(children_lost=3), "3 descendants of the command could not be followed"),
        (ledger(lost_unattributed=3), "3 events were lost because the buffer was full"),
    ],
)
def test_a_loss_makes_a_run_incomplete_and_says_where(lost: Ledger, reason: str) -> None:
    verdict = judge_ledger(lost, {})
    assert (verdict.complete, verdict.lost) == (False, 3)
    assert any(one.startswith(reason) for one in verdict.reasons)


@pytest.mark.parametrize("emits", [True, False])
@pytest.mark.parametrize("lost", [3, UNKNOWN])
def test_an_event_whose_record_was_lost_is_lost_once(emits: bool, lost: int | str) -> None:
    """Whatever was made of it: a record, and two metrics that are computed from it."""
    made = ledger()
    probe = made["probes"]["p"]
    probe["hooks"][0]["sides"] = {"hit": row(SIDE, fired=lost, accepted=lost)}
    probe["emit"] = row(RECORDS, accepted=lost, ring_lost=lost) if emits else None
    probe["metrics"] = {name: row(METRIC, ring_lost=lost) for name in ("calls", "most")}
    verdict = judge_ledger(made, {})
    assert (verdict.lost, len(verdict.reasons)) == (lost, 1)
    assert verdict.counted == ("part" if lost == 3 else UNKNOWN)


def test_what_may_have_been_lost_leaves_completeness_unknown() -> None:
    verdict = judge_ledger(ledger({"kernel_missed": UNKNOWN}), {})
    assert (verdict.complete, verdict.lost) == (UNKNOWN, UNKNOWN)
    assert verdict.reasons == (
        "p: it is not known how often function:f (entry) happened and the kernel did not run the "
        "probe",
    )


@pytest.mark.parametrize(
    ("mechanism", "likely"),
    [
        ("perf tracepoint", "only inside the handler of another probe on that CPU, which is rare"),
        ("perf clock", "only while another BPF program runs on that CPU, which takes microseconds"),
    ],
)
def test_where_misses_are_unknown_it_is_said_how_likely_they_are(
    mechanism: str, likely: str
) -> None:
    unsure = ledger({"kernel_missed": UNKNOWN})
    unsure["probes"]["p"]["hooks"][0]["mechanism"] = mechanism
    assert judge_ledger(unsure, {}).reasons[0].endswith(f"did not run the probe: {likely}")
