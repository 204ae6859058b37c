"""What a value of a record is as the text of a cell."""

import pytest

from orchestrator.compile.program import Presentation, RecordField
from orchestrator.output.rows.values import RowCell, make_cell_renderer

HEADER = 32


@pytest.mark.parametrize(
    ("number", "is_null", "cell"),
    [
        (-2, False, RowCell("ENOENT", "failure")),
        (0, False, RowCell("-")),
        (4096, False, RowCell("-")),
        (0, True, RowCell("?", "unknown")),
    ],
)
def test_the_error_of_a_success_is_none_and_not_unknown(
    number: int, is_null: bool, cell: RowCell
) -> None:
    """What could not be read is unknown."""
    error = RecordField(
        name="result_name", form="s64", offset=HEADER, size=8, bit=0,
        presentation=Presentation(form="errno"),
    )  # fmt: skip
    header = bytes(24) + int(is_null).to_bytes(4, "little") + bytes(4)
    record = header + number.to_bytes(8, "little", signed=True)
    assert make_cell_renderer(error)(record) == cell
