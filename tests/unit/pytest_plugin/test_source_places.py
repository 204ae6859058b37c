"""An expectation is found where it is written."""

from pathlib import Path

import pytest

from orchestrator.pytest_plugin.source_places import find_mark

SOURCE = """\
import pytest

pytestmark = pytest.mark.probeplan("fsync", "of.module == 0")


@pytest.mark.probeplan("fsync", "sync.calls == 0")
def test_first(): ...


@pytest.mark.slow
@pytest.mark.probeplan(
    "fsync",
    "sync.calls == 0",
    "sync.calls >= 0",
)
def test_second(): ...


@pytest.mark.probeplan("opens", "of.class == 0")
class TestClass:
    def test_third(self): ...
"""


@pytest.mark.parametrize(
    ("test_line", "text", "line", "column"),
    [
        (6, "sync.calls == 0", 6, 34),
        (10, "sync.calls == 0", 13, 6),
        (10, "sync.calls >= 0", 14, 6),
        (10, "of.module == 0", 3, 46),
        (21, "of.class == 0", 19, 34),
        (21, "not there", 21, 1),
    ],
)
def test_a_text_is_found_in_the_mark_that_is_meant(
    tmp_path: Path, test_line: int, text: str, line: int, column: int
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(SOURCE)
    place = find_mark(str(file), test_line, text)
    assert (place.file, place.line, place.column) == (str(file), line, column)


def test_a_file_that_cannot_be_read_is_named_with_the_line_of_the_test() -> None:
    place = find_mark("/no/such/file.py", 3, "sync.calls == 0")
    assert (place.file, place.line, place.column) == ("/no/such/file.py", 3, 1)
