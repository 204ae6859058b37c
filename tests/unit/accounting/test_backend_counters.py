"""The counters of the backends have the names of the accounting vocabulary."""

import dataclasses

from orchestrator.accounting.vocabulary import (
    CALL_FATES,
    METRIC_DISPOSITIONS,
    RECORD_DISPOSITIONS,
    SIDE_DISPOSITIONS,
    SPAN,
    STACKS,
)
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.tracefs.reader.side_tally import SideTally


def test_the_ledger_map_of_bcc_has_a_word_for_each_disposition() -> None:
    """Except open spans, which are counted by looking at their map; and no metric is computed from
    records."""
    words = set(layout.LEDGER_WORDS)
    assert {*SIDE_DISPOSITIONS, *RECORD_DISPOSITIONS} <= words
    assert set(CALL_FATES) - words == {"in_flight"}
    assert set(SPAN.counts) - words == {"in_flight"}
    assert set(METRIC_DISPOSITIONS) - set(layout.METRIC_WORDS) == {"ring_lost"}
    assert set(layout.STACK_WORDS) == set(STACKS.counts) - {"incomplete"}


def test_the_tally_of_tracefs_is_the_sum_of_the_dispositions() -> None:
    fields = [field.name for field in dataclasses.fields(SideTally)]
    assert fields == list(SIDE_DISPOSITIONS)
    assert SideTally(**dict.fromkeys(fields, 1)).read == len(SIDE_DISPOSITIONS)
