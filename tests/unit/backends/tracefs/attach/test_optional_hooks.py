"""What the kernel refuses costs optional hooks, and nothing else."""

from dataclasses import replace

import pytest

from orchestrator.backends.protocol import SkippedHook
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.tracefs.attach.optional_hooks import without_refused
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.design.writes import Write
from orchestrator.backends.tracefs.instance.trace_instance import WriteRefused
from orchestrator.kernel.facts import load_facts
from orchestrator.plan.findings import HostError
from tests.support.paths import KERNELS
from tests.support.tracefs_runs import compiled

PLAN = """
probes:
  a: {attach: "entry:vfs_read", metrics: {n: {count: true, by: [tid]}}}
  b: {attach: "function:vfs_write", emit: {got: retval}}
  c: {attach: "entry:vfs_open", metrics: {n: {count: true, by: [tid]}}}
"""


def layout(*optional: int) -> EventLayout:
    """The layout of the plan, with these hooks optional."""
    facts = load_facts(KERNELS / "6.1.facts.xz")
    whole = tracefs.emit(compiled(PLAN, facts), facts).detail
    hooks = tuple(
        replace(hook, hook=replace(hook.hook, optional=hook.hook.id in optional))
        for hook in whole.hooks
    )
    return replace(whole, hooks=hooks)


def refused(source: int | None, path: str = "kprobe_events") -> WriteRefused:
    return WriteRefused(Write(action="define", path=path, text="x", source=source), 22, "no")


def test_an_optional_hook_goes_with_all_its_events() -> None:
    """Both events of the function; what is left is renumbered, and still means the same."""
    whole, skipped = layout(1), list[SkippedHook]()
    left = without_refused(whole, refused(2), skipped)
    assert [skip.hook for skip in skipped] == [1]
    assert "no" in skipped[0].reason
    assert [hook.hook.id for hook in left.hooks] == [0, 2]
    assert [left.sources[hook.sides[0].source].event for hook in left.hooks] == [
        "h0_hit",
        "h2_hit",
    ]
    assert [left.sources[hist.source].event for hist in left.hists] == ["h0_hit", "h2_hit"]
    assert len(left.sources) == 2


def test_an_exit_that_a_left_hook_may_return_by_is_kept() -> None:
    facts = load_facts(KERNELS / "6.1.facts.xz")
    plan = "probes:\n  a: {attach_all: [syscall:chdir, syscall:execveat], emit: {r: retval}}\n"
    whole = tracefs.emit(compiled(plan, facts), facts).detail
    hooks = tuple(replace(h, hook=replace(h.hook, optional=True)) for h in whole.hooks)
    left = without_refused(replace(whole, hooks=hooks), refused(0), [])
    [only] = left.hooks
    assert [left.sources[n].event for side in only.sides for n in side.sources] == [
        "sys_enter_execveat",
        "sys_exit_execveat",
        "sys_exit_execve",
    ]


@pytest.mark.parametrize("source", [0, 1, None])
def test_what_is_needed_is_an_error_with_the_kernel_s_words(source: int | None) -> None:
    """Of a hook that is not optional, or of the instance as a whole."""
    with pytest.raises(HostError, match="no") as error:
        without_refused(layout(), refused(source), [])
    assert error.value.findings[0].code == "PP113"


def test_a_run_without_any_hook_is_an_error() -> None:
    only = layout(0)
    only = replace(only, hooks=only.hooks[:1])
    with pytest.raises(HostError):
        without_refused(only, refused(0), [])


def test_a_refused_filter_has_its_own_code() -> None:
    with pytest.raises(HostError) as error:
        without_refused(layout(), refused(1, "instances/x/events/y/z/filter"), [])
    assert error.value.findings[0].code == "PP114"
