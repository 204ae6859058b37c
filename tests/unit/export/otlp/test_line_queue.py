"""The queue between reader and sender: bounded, the oldest go first, and nothing is uncounted."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.export.otlp.line_queue import LineQueue


def test_the_oldest_lines_are_dropped_and_counted() -> None:
    """Room for three lines."""
    queue = LineQueue(most_lines=3, most_bytes=100)
    for number in range(5):
        queue.put(b"%d" % number)
    assert queue.dropped == 2
    assert queue.take(10) == [b"2", b"3", b"4"]
    assert len(queue) == 0


def test_the_bound_on_bytes_drops_too() -> None:
    """Room for ten bytes; a line that is longer than that is dropped itself."""
    queue = LineQueue(most_lines=100, most_bytes=10)
    for line in (b"aaaa", b"bbbb", b"cccc"):
        queue.put(line)
    assert queue.take(1) == [b"bbbb"]
    queue.put(b"d" * 11)
    assert (len(queue), queue.dropped) == (0, 3)


def test_lines_that_could_not_be_sent_come_first_again() -> None:
    """In their order; those that did not fit are the oldest."""
    queue = LineQueue(most_lines=3, most_bytes=100)
    for line in (b"a", b"b", b"c"):
        queue.put(line)
    taken = queue.take(2)
    queue.put(b"d")
    queue.put_back(taken)
    assert queue.dropped == 1
    assert queue.take(3) == [b"b", b"c", b"d"]


@given(st.lists(st.one_of(st.binary(max_size=9), st.integers(1, 4)), max_size=60))
def test_every_line_is_taken_or_counted_as_dropped(steps: list[bytes | int]) -> None:
    """Bytes are put, a number of lines is taken, every other time they are put back."""
    queue = LineQueue(most_lines=5, most_bytes=20)
    put, taken = 0, 0
    for place, step in enumerate(steps):
        if isinstance(step, bytes):
            queue.put(step)
            put += 1
            continue
        lines = queue.take(step)
        if place % 2:
            queue.put_back(lines)
        else:
            taken += len(lines)
        assert len(queue) <= 5
    assert put == taken + queue.dropped + len(queue)
