"""Attaching is all or nothing, and leaves no trace."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.backends.protocol import Artifact, AttachOptions
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.design.lowering import NEW_BUFFER_KB
from orchestrator.backends.tracefs.design.writes import Write
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.findings import HostError
from tests.support.paths import ROOT
from tests.support.tracefs_runs import alive, compiled, leftovers, new_run

pytestmark = pytest.mark.usefixtures("tracing", "nothing_left")


def artifact_of(load: str) -> Artifact[EventLayout]:
    """Every kind of step: definitions, filters, threads, switches."""
    program = compiled(f"""
target: {{pid: {os.getpid()}, comm: "no*"}}
probes:
  a: {{attach: "ufunction:{load}:target_fn", args: {{i: s64}}, where: args.i > 3, emit: {{}}}}
  b: {{attach: "tracepoint:sched:sched_switch", where: args.prev_pid > 0, emit: {{}}}}
""")
    return tracefs.emit(program, live_facts())


def steps_of(artifact: Artifact[EventLayout]) -> int:
    """How many writes attaching makes."""
    return artifact.text.count("\n") - 2  # a comment before, tracing_on after


class Stop(Exception):
    """Raised in the place of a step."""


def failing_at(
    number: int, original: Callable[[TraceInstance, Write], None], error: Exception
) -> Callable[[TraceInstance, Write], None]:
    """TraceInstance._perform_write, but for the step `number`, which raises."""
    done = iter(range(1000))

    def perform(self: TraceInstance, step: Write) -> None:
        if next(done) == number:
            raise error
        original(self, step)

    return perform


@pytest.mark.parametrize("error", [OSError(28, "made up"), Stop()], ids=["refused", "broken"])
def test_a_failure_at_any_step_leaves_nothing(
    load: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whichever write fails, and however: instance, definitions and journal are as before."""
    artifact = artifact_of(load)
    for number in range(steps_of(artifact)):
        with monkeypatch.context() as patch:
            patch.setattr(
                TraceInstance,
                "_perform_write",
                failing_at(number, TraceInstance._perform_write, error),
            )
            fails_cleanly(artifact)


@pytest.mark.parametrize("name", ["open_pipes", "hold_buffer"])
def test_a_failure_after_the_writes_leaves_nothing(
    load: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The same for what comes after them."""

    def stop(_self: TraceInstance) -> None:
        raise Stop

    monkeypatch.setattr(TraceInstance, name, stop)
    fails_cleanly(artifact_of(load))


def fails_cleanly(artifact: Artifact[EventLayout]) -> None:
    """Attaching fails, and neither the kernel nor the journal reports that it was tried."""
    noted: list[tuple[str, str]] = []
    options = AttachOptions(
        run_id=new_run(),
        journal=lambda *entry: noted.append(entry),
        unjournal=lambda *entry: noted.remove(entry),
    )
    with pytest.raises((HostError, Stop)):
        tracefs.attach(artifact, live_facts(), options)
    assert leftovers() == set()
    assert noted == []


def test_everything_is_journalled_before_it_is_made(load: str, tracing: Path) -> None:
    """At the time of each entry the thing is not there yet; after detach all are struck out."""
    noted: list[tuple[str, str]] = []

    def note(kind: str, what: str) -> None:
        place = tracing / ("instances" if kind == "instance" else "events") / what
        assert not place.exists()
        noted.append((kind, what))

    options = AttachOptions(
        run_id=new_run(), journal=note, unjournal=lambda *entry: noted.remove(entry)
    )
    session = tracefs.attach(artifact_of(load), live_facts(), options)
    assert sorted(kind for kind, _ in noted) == ["event", "event", "instance", "instance"]
    assert all(what.startswith("probeplan") for _, what in noted)
    session.detach()
    session.detach()
    assert noted == []


def test_others_are_left_alone(load: str, tracing: Path) -> None:
    """A foreign instance with an enabled event, a foreign definition and the global switch are
    after a run as they were before."""
    name = f"foreign_{new_run()}"
    other = tracing / "instances" / name
    definition = f"p:{name}/one {load}:0x1000"
    handle = os.open(tracing / "uprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        other.mkdir()
        (other / "events/syscalls/sys_enter_getppid/enable").write_text("1")
        os.write(handle, definition.encode())
        tracing_on = (tracing / "tracing_on").read_text()
        session = tracefs.attach(artifact_of(load), live_facts(), AttachOptions(run_id=new_run()))
        session.arm(time.monotonic_ns() + 10**9)
        session.disarm()
        session.detach()
        assert (other / "events/syscalls/sys_enter_getppid/enable").read_text() == "1\n"
        assert f"{name}/one" in (tracing / "uprobe_events").read_text()
        assert (tracing / "tracing_on").read_text() == tracing_on
    finally:
        os.write(handle, f"-:{name}/one".encode())
        os.close(handle)
        other.rmdir()


def test_a_refused_filter_is_told_in_the_kernel_s_words(load: str) -> None:
    """The finding names the probe and its place, and shows the kernel's caret."""
    artifact = artifact_of(load)
    layout = artifact.detail
    assert isinstance(layout, EventLayout)
    broken = replace(layout.sources[0], filter="a0 >= ")
    wrong = replace(artifact, detail=replace(layout, sources=(broken, *layout.sources[1:])))
    with pytest.raises(HostError) as caught:
        tracefs.attach(wrong, live_facts(), AttachOptions(run_id=new_run()))
    (finding,) = caught.value.findings
    assert finding.code == "PP114"
    assert finding.position.line > 0
    assert "target_fn" in finding.message
    assert "^" in finding.message


def test_a_refused_definition_is_told_and_leaves_nothing(load: str) -> None:
    """A file that is gone: the finding names it, and the journal has no entry for it."""
    artifact = artifact_of(load)
    layout = artifact.detail
    assert isinstance(layout, EventLayout)
    source = layout.sources[0]
    assert source.definition is not None
    gone = replace(source, definition=replace(source.definition, path="/nonexistent"))
    changed = replace(artifact, detail=replace(layout, sources=(gone, *layout.sources[1:])))
    fails_cleanly(changed)
    with pytest.raises(HostError, match="/nonexistent"):
        tracefs.attach(changed, live_facts(), AttachOptions(run_id=new_run()))


def test_an_optional_hook_that_the_kernel_refuses_is_skipped(load: str) -> None:
    """The others are attached, and the reason is kept."""
    artifact = artifact_of(load)
    layout = artifact.detail
    assert isinstance(layout, EventLayout)
    first = layout.hooks[0]
    broken = replace(layout.sources[first.sides[0].source], filter="nonsense == 1")
    optional = replace(first, hook=replace(first.hook, optional=True))
    changed = replace(
        layout, sources=(broken, *layout.sources[1:]), hooks=(optional, *layout.hooks[1:])
    )
    session = tracefs.attach(
        replace(artifact, detail=changed), live_facts(), AttachOptions(run_id=new_run())
    )
    try:
        assert [hook.hook for hook in session.attached] == [layout.hooks[1].hook.id]
        assert [hook.hook for hook in session.skipped] == [first.hook.id]
        assert "nonsense" in session.skipped[0].reason
    finally:
        session.detach()


def test_attaching_needs_no_heavy_module(load: str) -> None:
    """Neither numpy nor bcc, jsonschema, structlog, rich or pyelftools stand between a program
    and its first attached probe."""
    code = f"""
import pickle, sys
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.protocol import AttachOptions
from orchestrator.kernel.facts import live_facts
artifact = pickle.load(sys.stdin.buffer)
facts = live_facts()
tracefs.unsupported(artifact.program, facts, user_space=True)
tracefs.emit(artifact.program, facts)
session = tracefs.attach(artifact, facts, AttachOptions(run_id={new_run()!r}))
session.detach()
heavy = {{"numpy", "bcc", "jsonschema", "structlog", "rich", "elftools"}} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""
    import pickle

    artifact = pickle.dumps(artifact_of(load))
    done = subprocess.run(
        [sys.executable, "-c", code], input=artifact, cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_tracing_stops_when_the_process_is_killed(load: str, tracing: Path) -> None:
    """After SIGKILL the instance stays, but writes nothing any more (free_buffer)."""
    run_id = new_run()
    code = f"""
import pickle, sys, time
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.protocol import AttachOptions
from orchestrator.kernel.facts import live_facts
artifact = pickle.load(sys.stdin.buffer)
session = tracefs.attach(artifact, live_facts(), AttachOptions(run_id={run_id!r}))
session.arm(time.monotonic_ns() + 10**12)
print("armed", flush=True)
time.sleep(60)
"""
    import pickle

    artifact = artifact_of(load)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(artifact))
        process.stdin.close()
        assert process.stdout.readline() == b"armed\n"
        instance = tracing / f"instances/probeplan-{run_id}"
        assert (instance / "tracing_on").read_text() == "1\n"
        process.kill()
    assert not alive(process.pid)
    try:
        for stopped in (tracing / "instances").glob(f"probeplan-{run_id}*"):
            assert (stopped / "tracing_on").read_text() == "0\n"
    finally:
        _clean(tracing, run_id)


def _clean(tracing: Path, run_id: str) -> None:
    """What `cleanup` does for a dead run."""
    from orchestrator.kernel.abi.dynamic_events import remove_events

    for instance in (tracing / "instances").glob(f"probeplan-{run_id}*"):
        instance.rmdir()
    lines = (tracing / "uprobe_events").read_text().split()
    remove_events([word[2:] for word in lines if f"probeplan_{run_id}/" in word])


def test_a_buffer_that_has_its_size_already_is_not_resized(
    load: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel waits for a grace period where it resizes one: a new instance's is left."""
    written: list[str] = []
    original = TraceInstance._write_file

    def write(self: TraceInstance, path: str, text: str, *, append: bool = False) -> None:
        written.append(path.partition("instances/")[2])
        original(self, path, text, append=append)

    monkeypatch.setattr(TraceInstance, "_write_file", write)
    artifact = artifact_of(load)
    detail = replace(artifact.detail, task_buffer_kb=NEW_BUFFER_KB)
    options = AttachOptions(run_id=new_run())
    session = tracefs.attach(replace(artifact, detail=detail), live_facts(), options)
    session.detach()
    resized = [path for path in written if path.endswith("buffer_size_kb")]
    assert resized == [f"probeplan-{options.run_id}/buffer_size_kb"]
