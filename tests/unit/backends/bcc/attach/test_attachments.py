"""All programs are attached, or none; optional ones may be left out."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from orchestrator.backends.bcc.attach import attachments as module
from orchestrator.backends.bcc.attach.attachments import Attachments, TrampolineRefused
from orchestrator.backends.bcc.attach.links import AttachRefused
from orchestrator.backends.bcc.design.groups import cluster_groups, group_sides
from orchestrator.backends.bcc.design.layout import HookSide, MapLayout
from orchestrator.backends.bcc.design.mechanism import Mechanism, choose_mechanism
from orchestrator.backends.bcc.handles.attachment import Attachment
from orchestrator.backends.protocol import AttachOptions, OpenNumber
from orchestrator.plan.findings import HostError
from tests.support.bcc_maps import recorded_program
from tests.support.recorded import recorded

COUNT = "metrics: {n: {count: true}}"


class Kernel:
    """Attaches what is not in `refuses` (by function), and writes down what happens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses: set[str] = set()
        self.happened: list[str] = []
        monkeypatch.setattr(module, "load_side", self.load)
        monkeypatch.setattr(module, "attach_side", self.attach)

        def detach(attachment: Attachment) -> None:
            self.happened.append(f"detach {attachment.place}")

        monkeypatch.setattr(Attachment, "detach", detach)

    def load(
        self,
        side: HookSide,
        _how: Mechanism,
        _code: bytes,
        _maps: Mapping[int, int],
        _numbers: Sequence[OpenNumber],
    ) -> int:
        self.happened.append(f"load {side.function}")
        return os.open(os.devnull, os.O_RDONLY)

    def attach(
        self,
        side: HookSide,
        mechanism: Mechanism,
        _program: int,
        _options: AttachOptions,
        _processes: Sequence[int],
    ) -> Attachment:
        if side.function in self.refuses:
            raise AttachRefused(mechanism, side.function, 22, "no")
        self.happened.append(f"attach {side.function}")
        return Attachment(mechanism=mechanism, place=side.function)


def count_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def attach_all(plan: str) -> Attachments:
    """Every cluster of a plan."""
    program = recorded_program(plan)
    choices = {hook.id: choose_mechanism(hook, recorded("6.1")) for hook in program.hooks}
    made = Attachments(choices, AttachOptions(run_id="r"), {})
    for cluster in cluster_groups(group_sides(MapLayout(program), choices)):
        try:
            made.attach_cluster(cluster, {group.function: b"" for group in cluster})
        except BaseException:
            made.detach_all()
            raise
    return made


def test_returns_are_attached_before_their_entries(kernel: Kernel) -> None:
    """The report names the places in the order of the call."""
    made = attach_all("probes: {p: {attach: 'function:vfs_read', emit: {took: elapsed}}}")
    attached = [text for text in kernel.happened if text.startswith("attach")]
    assert attached == ["attach hook_0_return", "attach hook_0_entry"]
    assert [hook.detail for hook in made.attached] == ["hook_0_entry, hook_0_return"]
    made.detach_all()


def test_an_entry_that_is_refused_takes_its_return_with_it(kernel: Kernel) -> None:
    """By a tracepoint, which has no other mechanism left."""
    kernel.refuses = {"hook_0_entry"}
    with pytest.raises(HostError, match="hook_0_entry"):
        attach_all("probes: {p: {attach: 'syscall:read', emit: {took: elapsed}}}")
    assert kernel.happened[-1] == "detach hook_0_return"


def test_an_optional_hook_that_is_refused_is_skipped_with_its_reason(kernel: Kernel) -> None:
    kernel.refuses = {"hook_0_hit"}
    plan = f"""
probes:
  a: {{attach: "rawtracepoint:sched_switch", optional: true, {COUNT}}}
  b: {{attach: "rawtracepoint:sched_wakeup", {COUNT}}}
"""
    made = attach_all(plan)
    assert [(hook.hook, "hook_0_hit: no" in hook.reason) for hook in made.skipped] == [(0, True)]
    assert [hook.hook for hook in made.attached] == [1]
    made.detach_all()


def test_a_refused_trampoline_asks_for_another_mechanism(kernel: Kernel) -> None:
    """Also of an optional hook; but not where the plan asks for fentry itself."""
    kernel.refuses = {"hook_0_hit"}
    probe = "probes: {{p: {{attach: '{}:vfs_read', optional: true, {}}}}}"
    with pytest.raises(TrampolineRefused) as refused:
        attach_all(probe.format("entry", COUNT))
    assert [hook.id for hook in refused.value.hooks] == [0]
    assert attach_all(probe.format("fentry", COUNT)).skipped[0].hook == 0


def test_a_program_goes_with_the_last_probe_that_it_serves(kernel: Kernel) -> None:
    """Two probes share one program; a third has its own."""
    plan = f"""
probes:
  a: {{attach: "rawtracepoint:sched_switch", {COUNT}}}
  b: {{attach: "rawtracepoint:sched_switch", {COUNT}}}
  c: {{attach: "rawtracepoint:sched_wakeup", {COUNT}}}
"""
    made = attach_all(plan)
    assert made.sides_only_for([0]) == []
    assert [s.side.hook.probe for s in made.sides_only_for([0, 1])] == [0, 1]
    made.detach_sides(made.sides_only_for([0, 1]))
    assert [s.side.hook.probe for s in made.sides] == [2]
    made.detach_all()
    made.detach_all()
    assert kernel.happened[-2:] == ["detach hook_0_hit", "detach hook_2_hit"]


def test_programs_are_unloaded_when_all_is_detached(kernel: Kernel) -> None:
    """Those that were refused too; the journal no longer has what was removed."""
    before = count_descriptors()
    kernel.refuses = {"hook_1_hit"}
    plan = f"""
probes:
  a: {{attach: "rawtracepoint:sched_switch", {COUNT}}}
  b: {{attach: "rawtracepoint:sched_wakeup", optional: true, {COUNT}}}
"""
    made = attach_all(plan)
    assert count_descriptors() == before + 2
    made.detach_all()
    assert count_descriptors() == before


def test_probes_that_leave_early_hold_nothing_up(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing their events takes long; who detaches everything waits for it."""
    may_end = threading.Event()

    def detach(attachment: Attachment) -> None:
        if attachment.place.startswith("hook_0"):
            assert may_end.wait(60)
        kernel.happened.append(f"detach {attachment.place}")

    monkeypatch.setattr(Attachment, "detach", detach)
    made = attach_all(
        "probes:\n"
        f"  a: {{attach: 'syscall:read', {COUNT}}}\n"
        f"  b: {{attach: 'syscall:write', {COUNT}}}"
    )
    before = count_descriptors()
    made.detach_sides(made.sides_only_for({0}))
    assert {attached.side.hook.probe for attached in made.sides} == {1}
    assert not any(text.startswith("detach") for text in kernel.happened)
    may_end.set()
    made.detach_all()
    detached = [text for text in kernel.happened if text.startswith("detach")]
    assert [text.partition(" hook_")[2][0] for text in detached] == ["0", "0", "1", "1"]
    assert count_descriptors() == before - 4


def test_what_went_wrong_in_detaching_early_is_raised_at_the_end(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After everything else is detached."""

    def detach(attachment: Attachment) -> None:
        kernel.happened.append(f"detach {attachment.place}")
        if attachment.place == "hook_0_hit":
            raise OSError(16, "busy")

    monkeypatch.setattr(Attachment, "detach", detach)
    made = attach_all(
        "probes:\n"
        f"  a: {{attach: 'rawtracepoint:sched_switch', {COUNT}}}\n"
        f"  b: {{attach: 'rawtracepoint:sched_waking', {COUNT}}}"
    )
    made.detach_sides(made.sides_only_for({0}))
    with pytest.raises(OSError, match="busy"):
        made.detach_all()
    assert kernel.happened[-1] == "detach hook_1_hit"
    made.detach_all()
