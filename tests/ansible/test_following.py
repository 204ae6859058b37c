"""A run's log is followed to its last line, whatever its length and however it comes in."""

import json
import os
import signal
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.collection import load_plugin

following = load_plugin("module_utils.following")

STEP = {"ts": "x", "event": "governor.stepped"}
kinds = st.sampled_from(["event.recorded", "governor.stepped", 'a"event":"governor.stepped"'])
records = st.lists(st.fixed_dictionaries({"event": kinds, "n": st.integers()}), max_size=6)


def _lines(logged: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in logged)


@given(records, st.lists(st.integers(1, 40), min_size=1))
def test_the_last_record_and_the_steps_are_found_in_any_pieces(
    logged: list[dict[str, Any]], sizes: list[int]
) -> None:
    log, text, turn = following.LogReader(), _lines(logged), 0
    while text:
        size = sizes[turn % len(sizes)]
        log.feed(text[:size])
        text, turn = text[size:], turn + 1
    assert log.last_record() == (logged[-1] if logged else None)
    assert log.governor_steps == sum(one["event"] == "governor.stepped" for one in logged)


def test_only_the_last_line_is_kept() -> None:
    log = following.LogReader()
    for number in range(2000):
        log.feed(_lines([{"n": number, "text": "x" * 1000}]))
    assert len(log._rest) < 1100
    assert log.last_record()["n"] == 1999


def test_a_line_that_was_cut_off_is_no_record() -> None:
    log = following.LogReader()
    log.feed(b'{"event":"run.fini')
    assert log.last_record() is None


def _follow(script: str, timeout_s: float | None = None) -> Any:
    return following.follow_run([sys.executable, "-c", script], timeout_s)


def test_what_a_run_prints_is_kept_at_its_end() -> None:
    ended = _follow(
        "import sys; sys.stdout.buffer.write(" + repr(_lines([STEP])) + " * 9000);"
        'print(\'{"event":"run.finished","outcome":"duration"}\');'
        "print('x' * 100000 + 'end', file=sys.stderr); sys.exit(4)"
    )
    assert ended.exit_code == 4
    assert ended.record == {"event": "run.finished", "outcome": "duration"}
    assert ended.governor_steps == 9000
    assert ended.messages.endswith("xend\n")
    assert len(ended.messages) == following._MOST_MESSAGES
    assert not ended.timed_out


def test_a_run_that_takes_too_long_is_asked_to_end() -> None:
    """Two seconds are more than a shell takes to set its trap."""
    end = r'echo "{\"event\":\"run.finished\"}"; exit 143'
    script = f"trap 'kill $!; {end}' TERM; sleep 60 & wait"
    ended = following.follow_run(["sh", "-c", script], 2)
    assert ended.timed_out
    assert ended.exit_code == 143
    assert ended.record == {"event": "run.finished"}


def test_a_run_that_does_not_end_is_killed(monkeypatch: Any) -> None:
    monkeypatch.setattr(following, "_GRACE_S", 0.1)
    ended = _follow("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)", 0.5)
    assert ended.timed_out
    assert ended.exit_code == 128 + 9
    assert ended.record is None


def test_a_descendant_that_keeps_the_pipe_is_not_waited_for() -> None:
    ended = _follow(
        "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True);"
        'print(\'{"event":"run.finished","pid":%d}\' % p.pid)'
    )
    assert ended.exit_code == 0
    os.kill(ended.record["pid"], signal.SIGKILL)


def test_a_program_that_is_missing_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        following.follow_run(["/nonexistent/probeplan"])


def test_a_run_is_no_part_of_the_modules_session() -> None:
    script = "import os, json; print(json.dumps({'leads': os.getsid(0) == os.getpid()}))"
    assert _follow(script).record == {"leads": True}
