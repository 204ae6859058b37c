"""Cutting texts for a terminal: it shows, it fits, and no escape is cut in its middle."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from orchestrator.output.rows.cut import cut_end, cut_start, measure_cells, pad_text
from orchestrator.plan.printable import make_printable

ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[\\'abfnrtv])")


@pytest.mark.parametrize("cut", [cut_end, cut_start])
@given(text=st.text(max_size=60), width=st.integers(0, 40))
def test_what_is_cut_fits_and_shows_it(cut, text: str, width: int) -> None:
    shown = make_printable(text)
    made = cut(shown, width)
    assert cell_len(made) <= width
    assert made == shown or "…" in made or width == 0
    assert made.isprintable()


@pytest.mark.parametrize("width", range(1, 30))
def test_an_escape_stays_whole(width: int) -> None:
    text = make_printable("a\x1b[31mb\u202ec\U000e0001d\n") + "\\\\x"
    for made in (cut_end(text, width), cut_start(text, width)):
        assert "\\" not in ESCAPE.sub("", made.replace("…", "")), made


def test_the_end_of_a_path_is_kept_and_the_beginning_of_other_texts() -> None:
    assert cut_start("/usr/lib/x86_64-linux-gnu/libc.so.6", 14) == "…gnu/libc.so.6"
    assert cut_end("SELECT * FROM accounts", 10) == "SELECT * …"


def test_wide_and_combining_characters_are_measured_in_columns() -> None:
    assert measure_cells("日本") == 4
    assert cut_end("日本語", 4) == "日…"
    assert cut_start("日本語", 4) == "…語"
    assert cut_start("xye\u0301", 2) == "…e\u0301"
    assert cut_start("xe\u0301y", 2) == "…y"
    assert pad_text("日", 4) == "日  "
    assert pad_text("7", 3, right=True) == "  7"
