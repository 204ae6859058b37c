"""How many attach points of each kind there are."""

from orchestrator.discovery.overview import count_by_kind
from orchestrator.plan.attach_kinds import ATTACH_KINDS
from tests.support.recorded import recorded


def test_each_kind_has_a_row() -> None:
    facts = recorded("6.1")
    counts = {row.kind: row.count for row in count_by_kind(facts)}
    assert tuple(counts) == ATTACH_KINDS
    assert counts["tracepoint"] == len(facts.tracepoint_names())
    assert counts["function"] == counts["kprobe"] > 10_000
    assert counts["usdt"] is counts["profile"] is None
