"""Common types, and where values are in records and keys."""

import pytest

from orchestrator.compile.expressions.types import (
    BOOL,
    DURATION,
    S8,
    S16,
    S32,
    S64,
    U8,
    U32,
    U64,
    Ip,
    Pointer,
    Str,
    Type,
)
from orchestrator.compile.layout import lay_out_key, lay_out_record, record_size, unify_types
from orchestrator.compile.program import RECORD_HEADER_SIZE
from orchestrator.plan.findings import NOWHERE, PlanError


@pytest.mark.parametrize(
    ("types", "common"),
    [
        ([U8, U32], U32),
        ([S32, S64], S64),
        ([Str(16), Str(128)], Str(128)),
        ([Ip(4), Ip(6)], Ip(0)),
        ([Pointer("user"), Pointer("kernel")], U64),
        ([DURATION, U64], U64),
        ([S32, U32], S64),
        ([U8, S64], S64),
        ([S8, U8], S16),
    ],
)
def test_hooks_share_the_type_that_holds_all_values(types: list[Type], common: Type) -> None:
    """Wider, longer, or without a unit that not all have."""
    assert unify_types(types, "x", NOWHERE) == common


@pytest.mark.parametrize("types", [[S64, U64], [U32, Str(16)], [BOOL, U8]])
def test_types_that_cannot_be_shared_are_refused(types: list[Type]) -> None:
    """A sign or a string would be read wrongly."""
    with pytest.raises(PlanError, match="PP090"):
        unify_types(types, "x", NOWHERE)


def test_fields_follow_the_header_aligned() -> None:
    """Numbers at multiples of their size, strings anywhere; records end at a multiple of 8."""
    fields = [("a", U8, None), ("b", U64, None), ("c", Str(5), None), ("d", U32, None)]
    emit = lay_out_record(0, "p", fields, has_task=True, position=NOWHERE)
    offsets = [field.offset - RECORD_HEADER_SIZE for field in emit.fields]
    assert offsets == [0, 8, 16, 24]
    assert record_size([emit]) == RECORD_HEADER_SIZE + 32
    assert [field.bit for field in emit.fields] == [0, 1, 2, 3]


def test_a_key_is_padded_to_eight_bytes() -> None:
    """Hash maps compare all of it."""
    fields, size = lay_out_key([("a", U32, None), ("b", U8, None)], NOWHERE)
    assert [field.offset for field in fields] == [0, 4]
    assert size == 8
    assert lay_out_key([], NOWHERE) == ((), 0)


def test_strings_of_a_key_begin_at_whole_words() -> None:
    """Constant text is stored by words, which must be aligned on the BPF stack."""
    for first in (U8, U32, U64, Ip(4)):
        fields, size = lay_out_key([("a", first, None), ("b", Str(10), None)], NOWHERE)
        assert (fields[1].offset, size) == (8, 24)
