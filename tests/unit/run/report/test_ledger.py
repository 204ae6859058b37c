"""The ledger's identities and what is made of them, over random counts."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.count import UNKNOWN, Count, add_counts, at_least
from orchestrator.accounting.losses import losses_of_ledger
from orchestrator.accounting.vocabulary import SIDE_DISPOSITIONS, SPAN, SPAN_FATES, Ledger
from orchestrator.backends.protocol import (
    AttachedHook,
    Counts,
    EmitCounts,
    MetricCounts,
    SideCounts,
)
from orchestrator.compile.program import ResolvedTarget
from orchestrator.run.report.ledger import Delivery, find_imbalances, make_ledger
from orchestrator.run.report.verdict import explain_nothing_seen, judge_ledger
from tests.support.fake_backend import program
from tests.support.fake_runs import log_validator
from tests.support.product import RECURSION

ATTACHED = (AttachedHook(hook=0, mechanism="fake", target="open"),)
number = st.integers(0, 2**64)


@st.composite
def accounts(draw: st.DrawFn) -> tuple[Counts, dict[int, Delivery]]:
    """Counts in which every event went somewhere."""
    limited, over, lost, trimmed, undelivered, delivered = (draw(number) for _ in range(6))
    recorded = trimmed + undelivered + delivered
    accepted = limited + over + lost + recorded
    refused = {name: draw(number) for name in SIDE_DISPOSITIONS if name != "accepted"}
    missed = draw(st.just(UNKNOWN) | number)
    side = SideCounts(
        hook=0,
        side="hit",
        fired=sum(refused.values()) + accepted,
        accepted=accepted,
        kernel_missed=missed,
        **refused,
    )
    counted = draw(st.integers(0, accepted))
    busy = draw(st.integers(0, accepted - counted))
    metric = MetricCounts(
        metric=0, counted=counted, map_busy=busy, filtered=accepted - counted - busy
    )
    emit = EmitCounts(
        probe=0, rate_limited=limited, over_cap=over, ring_lost=lost, recorded=recorded
    )
    counts = Counts(sides=(side,), emits=(emit,), metrics=(metric,))
    read = Delivery(delivered=delivered, trimmed=trimmed, undelivered=undelivered)
    return counts, {0: read}


def made(counts: Counts, deliveries: dict[int, Delivery]) -> tuple[Ledger, dict[str, int]]:
    ledger = make_ledger(program(), ATTACHED, counts, deliveries)
    return ledger, {"opens": deliveries[0].undelivered}


@given(accounts())
def test_accounts_in_which_every_event_went_somewhere_find_imbalances(made_up) -> None:
    assert find_imbalances(*made(*made_up)) == []


@given(accounts(), st.integers(1, 2**32))
def test_an_event_that_went_nowhere_is_found(made_up, more: int) -> None:
    counts, deliveries = made_up
    side = counts.sides[0]
    leaking = replace(counts, sides=(replace(side, fired=side.fired + more),))
    [violation] = find_imbalances(*made(leaking, deliveries))
    assert "hit: fired" in violation


@given(accounts(), st.integers(1, 2**32))
def test_a_record_that_was_read_and_not_written_is_found(made_up, more: int) -> None:
    counts, deliveries = made_up
    emit, side = counts.emits[0], counts.sides[0]
    leaking = replace(
        counts,
        emits=(replace(emit, recorded=emit.recorded + more),),
        sides=(replace(side, accepted=side.accepted + more, fired=side.fired + more),),
        metrics=(replace(counts.metrics[0], counted=counts.metrics[0].counted + more),),
    )
    [violation] = find_imbalances(*made(leaking, deliveries))
    assert "recorded" in violation
    assert "delivered" in violation


@given(accounts())
def test_an_unknown_count_neither_proves_nor_refutes(made_up) -> None:
    counts, deliveries = made_up
    side = replace(counts.sides[0], filtered=UNKNOWN)
    ledger, undelivered = made(replace(counts, sides=(side,)), deliveries)
    assert find_imbalances(ledger, undelivered) == []
    assert ledger["probes"]["opens"]["hooks"][0]["sides"]["hit"]["filtered"] == "unknown"


@given(accounts())
def test_complete_is_true_only_if_nothing_was_lost_and_all_is_known(made_up) -> None:
    counts, deliveries = made_up
    ledger, undelivered = made(counts, deliveries)
    side, emit, metric = counts.sides[0], counts.emits[0], counts.metrics[0]
    lost = [emit.ring_lost, metric.map_busy, side.map_full, deliveries[0].undelivered]
    verdict = judge_ledger(ledger, undelivered)
    if any(lost) or at_least(side.kernel_missed):
        assert verdict.complete is False
    else:
        assert verdict.complete == ("unknown" if side.kernel_missed == UNKNOWN else True)


@given(accounts())
def test_the_ledger_is_what_the_schema_says(made_up) -> None:
    ledger, _ = made(*made_up)
    schema = log_validator().schema
    part = {"$ref": "#/$defs/ledger", "$defs": schema["$defs"]}
    log_validator().evolve(schema=part).validate(ledger)


def nothing(target: ResolvedTarget, faulted: Count = 0, **ends: Count) -> str | None:
    side = SideCounts(hook=0, side="hit", fired=add_counts(ends.values()), **ends)
    counts = Counts(sides=(side,), emits=(), metrics=(), faulted=faulted)
    return explain_nothing_seen(make_ledger(program(), ATTACHED, counts, {}), target)


def test_an_event_that_never_happened_is_said_to_have_fired_0_times() -> None:
    assert nothing(ResolvedTarget()) == "opens fired 0 times"


def test_the_target_that_filtered_everything_is_named() -> None:
    reported = nothing(ResolvedTarget(comm=("postgres",)), not_target=12345)
    assert reported == "opens fired 12,345 times: all filtered by target.comm"


def test_several_ends_are_told_with_their_numbers() -> None:
    reported = nothing(ResolvedTarget(pid=(1,)), not_target=10, filtered=5)
    assert reported == "opens fired 15 times: 10 filtered by target.pid, 5 filtered by where"


def test_a_condition_whose_values_could_not_be_read_is_not_blamed_alone() -> None:
    hint = "a condition on what cannot be read is false: user(p) reads a pointer to user memory"
    assert nothing(ResolvedTarget(), filtered=5, faulted=6) == (
        f"opens fired 5 times: all filtered by where (6 memory reads failed); {hint}"
    )
    assert nothing(ResolvedTarget(), filtered=5, not_target=2, faulted=1) == (
        "opens fired 7 times: 2 probeplan's own events, left out by target.exclude_self, "
        f"5 filtered by where (1 memory read failed); {hint}"
    )


def test_events_left_out_without_a_target_are_said_to_be_our_own() -> None:
    assert nothing(ResolvedTarget(), not_target=4498) == (
        "opens fired 4,498 times: all probeplan's own events, left out by target.exclude_self"
    )


def test_what_is_not_known_is_not_claimed() -> None:
    reported = nothing(ResolvedTarget(), filtered=UNKNOWN)
    assert reported == (
        "opens fired an unknown number of times: an unknown number of events filtered by where"
    )


def test_a_run_that_saw_something_has_nothing_to_explain() -> None:
    assert nothing(ResolvedTarget(), filtered=5, accepted=1) is None


def test_output_that_its_own_limit_held_back_is_no_loss() -> None:
    side = SideCounts(hook=0, side="hit", fired=3, accepted=3, kernel_missed=0)
    counts = Counts(
        sides=(side,),
        emits=(EmitCounts(probe=0, recorded=3),),
        metrics=(MetricCounts(metric=0, counted=3),),
    )
    ledger, undelivered = made(counts, {0: Delivery(delivered=1, undelivered=2)})
    assert judge_ledger(ledger, undelivered).complete is False
    assert judge_ledger(ledger, undelivered, output_limited=True).complete is True


@pytest.mark.parametrize(("recursion", "reported"), [(2, True), (0, False), (UNKNOWN, False)])
def test_a_program_that_ran_already_is_told_for_the_cause(recursion: Count, reported: bool) -> None:
    """The kernel counts whom it passed over so: where that is all that was missed, it is why."""
    side = SideCounts(hook=0, side="hit", fired=0, kernel_missed=2, recursion_misses=recursion)
    ledger, undelivered = made(Counts(sides=(side,), emits=(), metrics=()), {0: Delivery()})
    [reason] = [why for why in judge_ledger(ledger, undelivered).reasons if "2 times" in why]
    assert reason.endswith(RECURSION) == reported


# ---------------------------------------------------------------- spans


@st.composite
def span_rows(draw: st.DrawFn) -> dict[str, int]:
    """The counts of a span in which every start and every end went somewhere."""
    row = {name: draw(number) for name in SPAN.counts}
    row["accepted"] = draw(st.integers(0, row["ended"] + row["raced"]))
    row["filtered"] = row["ended"] + row["raced"] - row["accepted"]
    return {**row, "started": sum(row[fate] for fate in SPAN_FATES)}


def span_ledger(row: dict[str, int]) -> Ledger:
    ledger = make_ledger(program(), (), Counts(sides=(), emits=(), metrics=()), {})
    spans: Any = {"blocked": {"counts": row, "emit": None, "metrics": {}}}
    return {**ledger, "probes": {}, "spans": spans}


@given(span_rows())
def test_a_span_in_which_every_start_went_somewhere_balances(row: dict[str, int]) -> None:
    assert find_imbalances(span_ledger(row), {}) == []


@given(span_rows(), st.sampled_from(["started", "ended", "filtered"]), st.integers(1, 2**32))
def test_a_span_that_went_nowhere_is_found(row: dict[str, int], name: str, more: int) -> None:
    assert find_imbalances(span_ledger({**row, name: row[name] + more}), {})


@given(span_rows())
def test_starts_without_room_are_the_only_loss_of_a_span(row: dict[str, int]) -> None:
    verdict = judge_ledger(span_ledger(row), {})
    assert verdict.lost == row["map_full"]
    assert verdict.complete is (row["map_full"] == 0)


# ---------------------------------------------------------------- what is lost


@given(accounts())
def test_the_verdict_loses_what_the_vocabulary_says(made_up) -> None:
    ledger, undelivered = made(*made_up)
    losses = losses_of_ledger(ledger, undelivered)
    assert judge_ledger(ledger, undelivered).lost == add_counts(loss.lost for loss in losses)


@given(accounts())
def test_what_bounds_hold_back_is_no_loss(made_up) -> None:
    counts, deliveries = made_up
    emit, side = counts.emits[0], counts.sides[0]
    bounded = replace(
        counts,
        emits=(replace(emit, over_cap=emit.over_cap + 5, rate_limited=emit.rate_limited + 7),),
        sides=(replace(side, sampled_out=side.sampled_out + 3),),
    )
    lost, more = (judge_ledger(*made(one, deliveries)).lost for one in (counts, bounded))
    assert lost == more
