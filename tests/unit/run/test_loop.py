"""The loop: what ends a run, in which order it is asked, and what is done in time."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.plan.model import Limits
from orchestrator.run import loop as module
from orchestrator.run.loop import Loop, Supervision
from orchestrator.run.options import LEASE_NS
from tests.support.fake_backend import FakeSession, Script, program


class Clock:
    """Time that goes on only while the session waits."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns


class Governor:
    due_ns = 10**18

    def __init__(self) -> None:
        self.stop_at_ns: int | None = None

    def look(self, now_ns: int) -> bool:
        return self.stop_at_ns is not None and now_ns >= self.stop_at_ns


class Parts:
    """A loop of fakes: each wait takes 10 ms, or as long as the loop is willing to wait."""

    def __init__(self, clock: Clock, limits: Limits, window_ns: int | None = None) -> None:
        self.clock, self.session = clock, FakeSession(Script())
        self.session.wait = self.wait  # type: ignore[method-assign]
        self.windows: list[int] = []
        self.looks: list[int] = []
        self.served = 0
        self.stop_at_window = 0
        self.waits: list[float] = []
        self.at: dict[int, Callable[[], None]] = {}
        self.signals = SimpleNamespace(received=None)
        self.output = SimpleNamespace(failed=None, congested=False, throttles=False)
        self.stream = SimpleNamespace(full=False, delivered=0, drain=lambda: 0)
        self.governor = Governor()
        self.deadlines: list[int] = []
        self.command: Any = None
        self._limits, self._window_ns = limits, window_ns

    def wait(self, timeout_s: float, also: Sequence[int] = ()) -> None:
        self.waits.append(timeout_s)
        self.clock.now_ns += min(int(timeout_s * 1e9) + 1, 10_000_000)
        if act := self.at.pop(len(self.waits), None):
            act()

    def on_window(self) -> bool:
        self.windows.append(self.clock.now_ns)
        return len(self.windows) == self.stop_at_window

    def serve(self) -> None:
        self.served += 1

    def look(self, _counts: object) -> int:
        self.looks.append(self.clock.now_ns)
        return 0

    def run(self) -> str:
        guard = SimpleNamespace(set_deadline=self.deadlines.append)
        supervision = Supervision(signals=self.signals, command=self.command, guard=guard)  # type: ignore[arg-type]
        return Loop(
            session=self.session,  # type: ignore[arg-type]  # fakes
            stream=self.stream,  # type: ignore[arg-type]
            output=self.output,  # type: ignore[arg-type]
            program=program(self._limits),
            supervision=supervision,
            armed_ns=0,
            look=self.look,
            window_ns=self._window_ns,
            on_window=self.on_window,
            serve=self.serve,
            governor=self.governor,  # type: ignore[arg-type]
        ).run()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


SECOND = Limits(duration_ns=1_000_000_000)
UNLIMITED = Limits(duration_ns=None)


def test_the_duration_ends_a_run_at_its_deadline(clock: Clock) -> None:
    parts = Parts(clock, SECOND)
    assert parts.run() == "duration"
    assert 10**9 <= clock.now_ns < 10**9 + 10**6
    assert parts.served == len(parts.waits)


def test_records_that_came_since_arming_are_written_before_the_first_wait(clock: Clock) -> None:
    parts = Parts(clock, SECOND)
    waits_before: list[int] = []
    parts.stream.drain = lambda: waits_before.append(len(parts.waits))
    parts.run()
    assert waits_before == list(range(len(parts.waits) + 1))


def test_windows_end_on_time_and_the_deadline_ends_the_last(clock: Clock) -> None:
    parts = Parts(clock, SECOND, window_ns=250_000_000)
    assert parts.run() == "duration"
    assert [end // 1_000_000 for end in parts.windows] == [250, 500, 750]


def test_a_window_that_was_missed_is_not_made_up_for(clock: Clock) -> None:
    """A reader that was held up for three windows ends one, and then keeps to the grid."""
    parts = Parts(clock, SECOND, window_ns=100_000_000)

    def hang() -> None:
        clock.now_ns = 350_000_000

    parts.at[2] = hang
    parts.run()
    assert [end // 1_000_000 for end in parts.windows] == [350, 400, 500, 600, 700, 800, 900]


def test_stop_when_ends_the_run_at_a_windows_end(clock: Clock) -> None:
    parts = Parts(clock, UNLIMITED, window_ns=100_000_000)
    parts.stop_at_window = 2
    assert parts.run() == "stop_when"
    assert len(parts.windows) == 2


def test_a_lease_is_renewed_before_it_is_over(clock: Clock) -> None:
    """In the kernel and in the watchdog alike."""
    parts = Parts(clock, UNLIMITED)

    def interrupt() -> None:
        parts.signals.received = "SIGINT"

    parts.at[1200] = interrupt
    assert parts.run() == "interrupted"
    assert parts.deadlines
    assert parts.session.deadline_ns == parts.deadlines[-1] > clock.now_ns
    gaps = [
        new - old for old, new in zip([LEASE_NS, *parts.deadlines], parts.deadlines, strict=False)
    ]
    assert all(0 < gap < LEASE_NS for gap in gaps)


def test_counters_are_looked_at_twice_a_second(clock: Clock) -> None:
    parts = Parts(clock, SECOND)
    parts.run()
    assert len(parts.looks) == 2
    assert parts.looks[1] - parts.looks[0] >= 500_000_000


def test_a_run_that_costs_too_much_ends(clock: Clock) -> None:
    parts = Parts(clock, SECOND)
    parts.governor.stop_at_ns = 300_000_000
    assert parts.run() == "cost"
    assert clock.now_ns < 400_000_000


@pytest.mark.parametrize("outcome", ["interrupted", "output", "command", "cap", "limit"])
def test_whatever_else_ends_a_run_is_noticed_in_the_next_round(clock: Clock, outcome: str) -> None:
    parts = Parts(clock, SECOND)
    ended = [False]
    parts.command = SimpleNamespace(has_ended=lambda: ended[0])

    def end() -> None:
        match outcome:
            case "interrupted":
                parts.signals.received = "SIGTERM"
            case "output":
                parts.output.failed = OSError()
            case "command":
                ended[0] = True
            case "cap":
                parts.session.script.capped = True
            case "limit":
                parts.stream.full = True

    parts.at[3] = end
    assert parts.run() == outcome
    assert len(parts.waits) == 3


def test_with_a_command_the_loop_looks_more_often(clock: Clock) -> None:
    """Its end is noticed within 20 ms, without one a tenth of a second is soon enough."""
    alone, with_command = Parts(clock, SECOND), Parts(clock, SECOND)
    with_command.command = SimpleNamespace(has_ended=lambda: False)
    alone.run()
    clock.now_ns = 0
    with_command.run()
    assert max(alone.waits) == 0.1
    assert max(with_command.waits) == 0.02


def test_a_reader_that_has_stopped_holds_up_neither_deadline_nor_windows(clock: Clock) -> None:
    """The loop waits for the reader then, and not for the kernel."""
    parts = Parts(clock, SECOND, window_ns=250_000_000)
    pushes: list[float] = []

    def push(patience_s: float) -> bool:
        pushes.append(patience_s)
        clock.now_ns += int(patience_s * 1e9) + 1
        return False

    parts.output = SimpleNamespace(failed=None, congested=True, throttles=True, push=push)
    assert parts.run() == "duration"
    assert 10**9 <= clock.now_ns < 10**9 + 10**6
    assert (len(parts.windows), parts.waits, len(parts.looks)) == (3, [], 2)
    assert max(pushes) <= 0.1


def test_an_output_that_may_lose_lines_is_not_waited_for(clock: Clock) -> None:
    """The loop waits for the kernel, and offers what waits for the reader in between."""
    parts = Parts(clock, SECOND, window_ns=250_000_000)
    pushes: list[float] = []
    parts.output = SimpleNamespace(
        failed=None, congested=True, throttles=False, push=lambda s: bool(pushes.append(s))
    )
    assert parts.run() == "duration"
    assert set(pushes) == {0.0}
    assert len(pushes) == len(parts.waits) > 0
