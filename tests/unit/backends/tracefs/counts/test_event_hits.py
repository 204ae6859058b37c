"""Hits of our dynamic events, from arming to disarming, over a profile that the tests write."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from orchestrator.backends.tracefs.counts.event_hits import EventHits
from orchestrator.backends.tracefs.design.layout import EventDefinition, EventLayout, EventSource
from orchestrator.backends.tracefs.design.writes import Write, names_from_run_id
from orchestrator.kernel.abi.dynamic_events import Hits

LAYOUT = EventLayout(
    sources=(
        EventSource(category="", event="h0_hit", definition=EventDefinition(symbol="vfs_read")),
        EventSource(category="sched", event="sched_switch"),
    ),
    hooks=(),
    hists=(),
    buffer_kb=16,
    task_buffer_kb=16,
    by_pid=False,
    stack_step=0,
)


class FakeInstance:
    """An instance over a directory with a kprobe_profile; `on_switch` runs as recording is switched
    on or off."""

    def __init__(self, tracefs: Path) -> None:
        self.tracefs, self.names = tracefs, names_from_run_id("r1")
        self.on_switch: Callable[[bool], None] = lambda _on: None
        self.cleared = 0
        self.hit(0)

    def hit(self, hits: int, misses: int = 0) -> None:
        line = f"  h0_hit_r1 {hits} {misses}\n"
        (self.tracefs / "kprobe_profile").write_text(line)

    def switch_recording(self, on: bool) -> None:
        self.on_switch(on)

    def clear_buffer(self) -> None:
        self.cleared += 1

    def perform_writes(self, steps: Iterable[Write]) -> None:
        for _step in steps:
            self.on_switch(True)


@pytest.fixture
def instance(tmp_path: Path) -> FakeInstance:
    return FakeInstance(tmp_path)


@pytest.fixture
def hits(instance: FakeInstance) -> EventHits:
    return EventHits(LAYOUT, instance)  # type: ignore[arg-type]


def test_only_hits_of_the_run_count(instance: FakeInstance, hits: EventHits) -> None:
    """Those before arming are not of the run, those after disarming only cost."""
    instance.hit(10, 1)
    hits.switch_on()
    instance.hit(25, 3)
    assert hits.count_run().by_source == [Hits(hits=15, misses=2), None]
    hits.switch_off()
    instance.hit(40, 3)
    run = hits.count_run()
    assert run.is_exact
    assert run.by_source == [Hits(hits=15, misses=2), None]
    assert hits.count_so_far() == [Hits(hits=30, misses=2), None]


def test_nothing_is_known_before_arming(hits: EventHits) -> None:
    assert hits.count_run().by_source == [None, None]


def test_a_hit_while_recording_is_switched_on_is_not_missed(
    instance: FakeInstance, hits: EventHits
) -> None:
    """Switching is repeated, with the buffer emptied, until nothing came meanwhile."""
    counts = iter([1, 2])
    instance.on_switch = lambda on: instance.hit(next(counts, 2)) if on else None
    hits.switch_on()
    assert instance.cleared == 2
    assert hits.is_exact
    assert hits.count_run().by_source[0] == Hits(hits=0, misses=0)


def test_where_it_is_never_quiet_hits_are_not_exact(
    instance: FakeInstance, hits: EventHits
) -> None:
    counts = iter(range(1, 100))
    instance.on_switch = lambda _on: instance.hit(next(counts))
    hits.switch_on()
    assert not hits.is_exact


@pytest.mark.parametrize("quiet", [True, False])
def test_hits_while_it_is_switched_off_are_not_exact(
    instance: FakeInstance, hits: EventHits, quiet: bool
) -> None:
    hits.switch_on()
    instance.on_switch = lambda _on: None if quiet else instance.hit(1)
    hits.switch_off()
    assert hits.is_exact is quiet


@pytest.mark.parametrize("quiet", [True, False])
def test_hits_while_a_source_is_switched_are_not_exact(
    instance: FakeInstance, hits: EventHits, quiet: bool
) -> None:
    hits.switch_on()
    instance.on_switch = lambda _on: None if quiet else instance.hit(1)
    hits.switch_sources({0}, [Write(action="write", path="enable", text="0")])
    assert hits.is_exact is quiet
