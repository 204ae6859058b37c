"""What became of a run in words, from its run.finished record: what was counted, recorded and held
back, and the option that changes it. Pure; the texts are not yet printable."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.accounting.count import Count, add_counts, at_least, is_known
from orchestrator.output.terminal.human_units import (
    describe_ending,
    format_amount,
    format_count,
    format_rate,
)

__all__ = ["describe_counts", "describe_held_back", "describe_reasons", "describe_verdict"]

_WORDS = {True: "complete", False: "INCOMPLETE", "unknown": "completeness unknown"}
#: What to call the bound, and what raises it.
_OF_PROBE = "raise `{limit}` of {probe} in the plan"


def describe_verdict(finished: Mapping[str, Any], outstanding: Sequence[str] = ()) -> str:
    """One line: `opens: complete. 12,311 events counted, 1,000 recorded, 11,311 held back. Ended by
    its duration after 30 s.` `outstanding`: the spans that are resources, which measure none."""
    took = format_amount(finished["duration_ns"], "ns")
    return (
        f"{finished['plan']}: {_WORDS[finished['complete']]}. "
        f"{describe_counts(finished, outstanding)}. "
        f"Ended by {describe_ending(finished['outcome'])} after {took}."
    )


def describe_counts(finished: Mapping[str, Any], outstanding: Sequence[str] = ()) -> str:
    """`12,311 events counted, 1,000 recorded, 11,311 held back`: records only where the plan makes
    some, spans where it measures some, losses where there are or may be some."""
    return ", ".join(_count_parts(finished, outstanding))


def _count_parts(finished: Mapping[str, Any], outstanding: Sequence[str]) -> Iterator[str]:
    probes, spans = finished["ledger"]["probes"], finished["ledger"]["spans"]
    events = add_counts(
        _last_side(hook)["accepted"] for probe in probes.values() for hook in probe["hooks"]
    )
    yield _number_of(events, "event", "counted")
    measured = [one["counts"]["accepted"] for name, one in spans.items() if name not in outstanding]
    if measured:
        yield _number_of(add_counts(measured), "span", "measured")
    if any(maker["emit"] is not None for maker in (*probes.values(), *spans.values())):
        yield f"{format_count(finished['delivered'])} recorded"
    if held := sum(one["records"] for one in finished["held_back"]):
        yield f"{held:,} held back"
    if not is_known(finished["lost"]):
        yield "losses unknown"
    elif finished["lost"]:
        yield f"{finished['lost']:,} lost"


def _last_side(hook: Mapping[str, Any]) -> Mapping[str, Count]:
    """The side that records and metrics are made of."""
    sides: Mapping[str, Mapping[str, Count]] = hook["sides"]
    return next((sides[name] for name in ("return", "hit", "entry") if name in sides), {}) or {
        "accepted": 0
    }


def _number_of(count: Count, noun: str, verb: str) -> str:
    if not is_known(count):
        return f"an unknown number of {noun}s {verb}"
    return f"{count:,} {noun}{'' if count == 1 else 's'} {verb}"


def describe_held_back(finished: Mapping[str, Any]) -> Iterator[str]:
    """A line for each limit that kept records out of the log, with the option that changes it, and
    one for what sampling left out."""
    for held in finished["held_back"]:
        limit, probe = held["limit"], held["probe"]
        whose = f"limits.{limit}" if probe is None else f"`{limit}` of {probe}"
        cure = f"--limit {limit}=…" if probe is None else _OF_PROBE.format(**held)
        verb = "was" if held["records"] == 1 else "were"
        records = "record" if held["records"] == 1 else "records"
        change = f"{cure} raises it" if probe is None else cure
        yield (
            f"{held['records']:,} {records} {verb} held back by {whose} ({_word_bound(held)}): "
            f"{change}"
        )
    if skipped := _count_sampled_out(finished["ledger"]):
        verb = "event was" if skipped == 1 else "events were"
        yield f"{skipped:,} {verb} skipped by sampling, as `sample` in the plan says"


def _word_bound(held: Mapping[str, Any]) -> str:
    """The bound as plans write it; of a rate, with its period in words."""
    bound = str(held["bound"])
    if held["limit"] != "rate":
        return bound
    from orchestrator.plan.units import UnitError, parse_rate  # few runs hold records back

    per, comma, burst = bound.partition(", ")
    try:
        rate = parse_rate(per)
    except UnitError:  # a result may be of another release
        return bound
    return f"{format_rate(rate.count, rate.per_ns)}{comma}{burst}"


def _count_sampled_out(ledger: Mapping[str, Any]) -> int:
    return sum(
        at_least(side.get("sampled_out", 0))
        for probe in ledger["probes"].values()
        for hook in probe["hooks"]
        for side in hook["sides"].values()
    )


def describe_reasons(finished: Mapping[str, Any]) -> Iterator[str]:
    """What else has to be known of the numbers: why they are incomplete, what was held back, and
    which values could not be read."""
    yield from finished["incomplete_because"]
    yield from describe_held_back(finished)
    failed = at_least(finished["ledger"]["faulted"])
    if failed and not finished["nothing_seen_because"]:
        reads = "memory read" if failed == 1 else "memory reads"
        yield f"{failed:,} {reads} failed: null in records, and a condition on one is false"
