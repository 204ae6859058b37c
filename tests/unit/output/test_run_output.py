"""A failed output is remembered and breaks nothing."""

import io
import json

from orchestrator.output.run_output import RunOutput, TeeSink
from orchestrator.output.sink import Sink
from tests.support.records import COMMON
from tests.unit.output.test_sink import Stubborn


def test_records_are_written_in_their_order_with_lines_between() -> None:
    stream = io.BytesIO()
    output = RunOutput(Sink(stream), COMMON)
    output.write_record("run.started")
    output.flush()
    assert output.write_lines(b'{"event":"event.recorded"}\n', 1) == 1
    output.write_record("run.finished", "warning")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["run.started", "event.recorded", "run.finished"]
    assert (lines[0]["run_id"], lines[2]["level"]) == (COMMON["run_id"], "warning")
    assert (output.failed, output.why_failed) == (None, "")


def test_the_first_error_is_kept_and_later_lines_are_lost() -> None:
    sink = Sink(Stubborn(step=100, room=10))
    output = RunOutput(sink, COMMON)
    assert output.write_lines(b"12345678\n" * 3, 3) == 1
    assert output.write_lines(b"more\n", 1) == 0
    output.write_record("run.finished")
    output.flush()
    assert output.failed is not None
    assert output.failed.records_lost == 2
    assert "No space left on device" in output.why_failed
    assert (sink.delivered, sink.lost) == (1, 4)


def test_what_is_on_the_terminal_is_hidden_before_each_write() -> None:
    hidden: list[int] = []
    stream = io.BytesIO()
    output = RunOutput(Sink(stream), COMMON, before=lambda: hidden.append(len(stream.getvalue())))
    output.write_lines(b"one\n", 1)
    output.write_lines(b"two\n", 1)
    assert hidden == [0, 4]


def test_a_tee_fails_with_either_sink_and_writes_to_the_other() -> None:
    """A record is lost when the first does not take it."""
    whole = io.BytesIO()
    for sinks, delivered in (
        ((Sink(Stubborn(step=9, room=0)), Sink(whole)), 0),
        ((Sink(whole), Sink(Stubborn(step=9, room=0))), 1),
    ):
        tee = TeeSink(*sinks)
        output = RunOutput(tee, COMMON)
        assert output.write_lines(b"one\n", 1) == delivered
        assert tee.failed is not None
        assert output.failed is not None
        assert (tee.delivered, tee.lost) == (sinks[0].delivered, sinks[0].lost)
        assert tee.usable
    assert whole.getvalue() == b"one\none\n"
