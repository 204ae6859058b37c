"""The accounting vocabulary is declared once: the log schema, the records of the backends and the
verdict's texts have the same counts."""

import dataclasses
import json

import pytest

from orchestrator.accounting import vocabulary
from orchestrator.accounting.vocabulary import (
    METRIC,
    NOTE,
    RECORDS,
    RUN,
    SIDE,
    SPAN,
    STACKS,
    RowKind,
)
from orchestrator.backends.protocol import (
    Counts,
    EmitCounts,
    MetricCounts,
    NoteCounts,
    SideCounts,
    SpanCounts,
    StackCounts,
)
from orchestrator.run.report.verdict import LOSS_TEXTS
from tests.support.paths import ROOT

DEFS = json.loads((ROOT / "schema/log-v1.schema.json").read_text())["$defs"]
LEDGER = DEFS["ledger"]["properties"]
KINDS = {
    "side": SIDE, "records": RECORDS, "metric": METRIC, "span": SPAN, "note": NOTE,
    "stacks": STACKS, "run": RUN,
}  # fmt: skip


def fields(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        (SIDE, DEFS["side"]), (RECORDS, DEFS["emit_counts"]), (METRIC, DEFS["metric_counts"]),
        (SPAN, DEFS["span_counts"]), (STACKS, LEDGER["stacks"]),
        (NOTE, DEFS["note_counts"]),
    ],
)  # fmt: skip
def test_the_schema_describes_every_count_of_a_row_and_no_other(kind: RowKind, described) -> None:
    once = set(vocabulary.ONCE_DISPOSITIONS) if kind is RECORDS else set()
    assert set(described["properties"]) == set(kind.counts) | once
    assert set(described["required"]) == set(kind.counts)


def test_the_schema_describes_every_count_of_the_run() -> None:
    assert set(LEDGER) - {"probes", "spans", "notes", "stacks"} == set(RUN.counts)
    assert set(vocabulary.Ledger.__annotations__) == set(LEDGER)


@pytest.mark.parametrize(
    ("record", "kind", "others"),
    [
        (SideCounts, SIDE, {"hook", "side", *vocabulary.CALL_FATES}),
        (MetricCounts, METRIC, {"metric"}),
        (NoteCounts, NOTE, {"note"}),
        (Counts, RUN, {"sides", "emits", "metrics", "spans", "notes", "stacks"}),
    ],
)
def test_a_backend_counts_what_a_row_holds(record: type, kind: RowKind, others: set[str]) -> None:
    assert fields(record) - others == set(kind.counts)


def test_a_backend_counts_what_becomes_of_records_and_the_reader_what_is_delivered() -> None:
    records = set(vocabulary.RECORD_DISPOSITIONS)
    assert (
        fields(EmitCounts) - {"probe", *vocabulary.ONCE_DISPOSITIONS}
        == records
        == set(RECORDS.counts)
        - {
            "accepted",
            "delivered",
        }
    )
    assert fields(SpanCounts) - {"span"} == records | set(SPAN.counts)


def test_the_schema_describes_what_becomes_of_calls_that_do_not_return() -> None:
    hook = DEFS["hook_ledger"]
    assert set(hook["properties"]) - {"to", "mechanism", "sides"} == set(vocabulary.CALL_FATES)
    assert not set(hook["required"]) & set(vocabulary.CALL_FATES)


def test_stacks_are_named_after_they_were_counted() -> None:
    assert fields(StackCounts) == set(STACKS.counts) - {"incomplete"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_identities_and_losses_name_counts_of_their_row(kind: RowKind) -> None:
    """And what the row gets in addition: `accepted` of a metric, `undelivered` of records."""
    known = {*kind.counts, "accepted", "undelivered"}
    for identity in kind.identities:
        assert {*identity.whole, *identity.parts} <= known
    assert set(kind.losses) <= known


def test_every_loss_has_a_text_and_no_other_count_has() -> None:
    assert set(LOSS_TEXTS) == {(kind, name) for kind in KINDS.values() for name in kind.losses}


def test_the_schema_states_each_identity() -> None:
    """In words that name the counts."""
    described = {
        SIDE: DEFS["side"], RECORDS: DEFS["emit_counts"], METRIC: DEFS["metric_counts"],
        SPAN: DEFS["span_counts"], NOTE: DEFS["note_counts"],
    }  # fmt: skip
    for kind, part in described.items():
        for identity in kind.identities:
            if "undelivered" not in identity.parts:
                text = f"{' + '.join(identity.whole)} = {' + '.join(identity.parts)}"
                assert text in part["description"]
