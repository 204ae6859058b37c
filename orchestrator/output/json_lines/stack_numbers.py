"""The stacks that a batch of records refers to."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.compile.program import RECORD_HEADER, STACK_FORMS, Emit, RecordField
from orchestrator.output.json_lines.digits import find_distinct

__all__ = ["StackColumns"]

_EMIT = next(offset for name, _, offset in RECORD_HEADER if name == "emit")


class StackColumns:
    """The fields with numbers of stacks, in the records of some emits."""

    def __init__(self, emits: Sequence[Emit]) -> None:
        by_emit = {emit.index: tuple(_stack_fields(emit.fields)) for emit in emits}
        self._fields = {index: fields for index, fields in by_emit.items() if fields}
        self._only = len(emits) == 1

    @property
    def are_there(self) -> bool:
        """Whether any record has one."""
        return bool(self._fields)

    def find_numbers(self, records: NDArray[np.uint8]) -> set[int]:
        """The distinct numbers of stacks in `records`."""
        numbers: set[int] = set()
        for index, fields in self._fields.items():
            rows = records if self._only else records[_words(records, _EMIT, "<u2") == index]
            for field in fields:
                numbers.update(find_distinct(_words(rows, field.offset, "<u8")).tolist())
        return numbers


def _stack_fields(fields: Iterable[RecordField]) -> Iterator[RecordField]:
    return (field for field in fields if field.form in STACK_FORMS)


def _words(records: NDArray[np.uint8], offset: int, form: str) -> "NDArray[np.integer]":
    size = np.dtype(form).itemsize
    words: NDArray[np.integer] = np.ascontiguousarray(records[:, offset : offset + size]).view(form)
    return words[:, 0]
