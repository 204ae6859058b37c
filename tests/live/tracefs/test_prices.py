"""What an event costs is measured alongside the run, on this kernel, and leaves nothing."""

from dataclasses import replace
from pathlib import Path

from orchestrator.backends.tracefs.design.writes import names_from_run_id
from orchestrator.backends.tracefs.instance.calibration import (
    make_calibration_instance,
    measure_event,
)
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.kernel.facts import live_facts

Reported = list[tuple[str, str]]


def instance_beside(reported: Reported, gone: Reported) -> TraceInstance:
    tracing = live_facts().tracing
    assert tracing is not None
    run = TraceInstance(
        tracefs=Path("/") / tracing,
        names=names_from_run_id("pricetest"),
        journal=lambda kind, what: reported.append((kind, what)),
        unjournal=lambda kind, what: gone.append((kind, what)),
    )
    return make_calibration_instance(run)


def left(instance: TraceInstance) -> list[str]:
    places = (instance.path, instance.tracefs / "events" / instance.names.group)
    return [str(place) for place in places if place.exists()]


def test_each_kind_of_event_has_a_price_and_nothing_of_the_trial_stays() -> None:
    """A breakpoint in user code costs some forty times a tracepoint, whose own price may be lost in
    the noise of a busy machine."""
    found: dict[str, float] = {}
    for kind, made in (("event", ["instance"]), ("uprobe event", ["event", "instance"])):
        reported: Reported = []
        gone: Reported = []
        instance = instance_beside(reported, gone)
        price = measure_event(kind, instance)
        assert price is not None
        found[kind] = price[0]
        assert price[1] == 0
        assert [name for name, _ in reported] == made
        assert sorted(gone) == sorted(reported)
        assert left(instance) == []
    assert 0 <= found["event"] < found["uprobe event"]


def test_what_the_kernel_refuses_has_no_price_and_leaves_nothing() -> None:
    """Here a name that an event cannot have; elsewhere a kernel without kprobes."""
    instance = instance_beside([], [])
    instance.names = replace(instance.names, token="9" * 80)
    assert measure_event("uprobe event", instance) is None
    assert left(instance) == []


def test_a_kernel_without_kprobes_has_no_price_for_them() -> None:
    instance = instance_beside([], [])
    offered = live_facts().feature("kprobes").state != "no"
    assert (measure_event("kprobe event", instance) is not None) == offered
    assert left(instance) == []
