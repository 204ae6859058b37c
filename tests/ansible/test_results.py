"""What the module `run` returns of a ledger is what probeplan itself makes of it."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.accounting.count import subtract_counts
from orchestrator.accounting.losses import losses_of_ledger
from orchestrator.accounting.vocabulary import METRIC, RECORDS, RUN, SIDE, SPAN, STACKS
from tests.support.collection import load_plugin

results = load_plugin("module_utils.results")

counts = st.integers(0, 1 << 40) | st.just("unknown")
names = st.sampled_from(["open", "read", "ring"])


def _row(kind: Any, values: Any = counts) -> Any:
    return st.fixed_dictionaries(dict.fromkeys(kind.counts, values))


emits = _row(RECORDS, st.integers(0, 1 << 40)).map(
    lambda row: {**row, "recorded": row["recorded"] + row["delivered"]}
)
makers = {
    "emit": st.none() | emits,
    "metrics": st.dictionaries(names, _row(METRIC), max_size=3),
}
hooks = st.fixed_dictionaries(
    {
        "to": st.just("syscall:openat"),
        "mechanism": st.just("kprobe"),
        "sides": st.fixed_dictionaries({"entry": _row(SIDE), "return": _row(SIDE)}),
    }
)
probes = st.fixed_dictionaries({"hooks": st.lists(hooks, min_size=1, max_size=2), **makers})
spans = st.fixed_dictionaries({"counts": _row(SPAN), **makers})
ledgers = st.fixed_dictionaries(
    {
        "probes": st.dictionaries(names, probes, max_size=3),
        "spans": st.dictionaries(st.just("wait"), spans, max_size=1),
        **dict.fromkeys(RUN.counts, counts),
    },
    optional={"stacks": _row(STACKS)},
)


def _judge(ledger: Any, bounded: bool) -> dict[str, Any]:
    """The losses by cause, by probeplan's own account."""
    makers = {**ledger["probes"], **ledger["spans"]}
    undelivered = {
        name: subtract_counts(maker["emit"]["recorded"], maker["emit"]["delivered"])
        for name, maker in makers.items()
        if maker["emit"] and not bounded
    }
    losses = [one for one in losses_of_ledger(ledger, undelivered) if not one.is_repeated]
    unknown = {one.name for one in losses if one.lost == "unknown"}
    sums: Counter[str] = Counter()
    for one in losses:
        if one.name not in unknown:
            sums[one.name] += one.lost
    return {
        **{name: lost for name, lost in sums.items() if lost},
        **dict.fromkeys(unknown, "unknown"),
    }


@settings(max_examples=30)
@given(ledgers, st.booleans())
def test_losses_are_those_of_the_product(ledger: dict[str, Any], bounded: bool) -> None:
    held_back = (
        [{"limit": "output", "probe": None, "bound": "1MiB", "records": 1}] if bounded else []
    )
    finished = {"ledger": ledger, "held_back": held_back}
    assert results.losses_by_cause(finished) == _judge(ledger, bounded)


@settings(max_examples=30)
@given(ledgers)
def test_hits_are_what_the_last_side_accepted(ledger: dict[str, Any]) -> None:
    hits = results.hits_of(ledger)
    assert set(hits) == {*ledger["probes"], *ledger["spans"]}
    for name in ledger["probes"].keys() - ledger["spans"].keys():
        parts = [hook["sides"]["return"]["accepted"] for hook in ledger["probes"][name]["hooks"]]
        assert hits[name] == ("unknown" if "unknown" in parts else sum(parts))
