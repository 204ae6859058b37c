"""Lines of a log are cut anywhere, bounded, and counted where they are none."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.export.lines import LineParser, LogLine

EVENT = b'{"ts":"2026","level":"info","event":"event.recorded","run_id":"a","data":{}}'
LINES = [b'{"a":1}', b"", b'{"torn":', EVENT, b"[1]", b'{"b":"\xc3\xa4"}', b"x" * 60, b'{"c":3}']


def read(*chunks: bytes, **options: object) -> tuple[list[LogLine], Counter[str]]:
    counts: Counter[str] = Counter()
    parser = LineParser(
        lambda reason: counts.update([reason]),
        lambda events: counts.update(events=events),
        **options,
    )
    found = [line for chunk in chunks for line in parser.feed(chunk)]
    parser.end()
    return found, counts


@given(st.lists(st.integers(0, 240), max_size=8))
def test_lines_are_the_same_however_the_stream_is_cut(places: list[int]) -> None:
    stream = b"\n".join(LINES) + b"\n"
    cuts = sorted({0, *places, len(stream)})
    chunks = [stream[a:b] for a, b in zip(cuts, [*cuts[1:], len(stream)], strict=True)]
    found, counts = read(*chunks)
    assert [line.record for line in found] == [{"a": 1}, {"b": "ä"}, {"c": 3}]
    assert counts == {"torn": 3, "events": 1}


def test_a_line_without_an_end_is_torn() -> None:
    found, counts = read(b'{"a":1}\n{"b":2}')
    assert [line.record for line in found] == [{"a": 1}]
    assert counts == {"torn": 1}


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_a_long_line_is_counted_and_the_next_one_is_read(chunk: int) -> None:
    stream = b'{"a":1}\n' + b'{"' + b"b" * 1000 + b'":1}\n{"c":3}\n' + b"d" * 1000
    chunks = [stream[at : at + chunk] for at in range(0, len(stream), chunk)]
    found, counts = read(*chunks, most=100)
    assert [line.record for line in found] == [{"a": 1}, {"c": 3}]
    assert counts == {"long": 2}


def test_no_more_than_the_bound_is_held() -> None:
    parser = LineParser(lambda _reason: None, most=1000)
    for _ in range(100):
        list(parser.feed(b"x" * 900))
        assert len(parser._begun) <= 1000


def test_lines_of_events_are_passed_on_unparsed_where_they_are_wanted() -> None:
    found, counts = read(EVENT + b"\n" + b'{"a":1}\n', with_events=True)
    assert found == [LogLine(EVENT, None), LogLine(b'{"a":1}', {"a": 1})]
    assert counts == {"events": 1}
