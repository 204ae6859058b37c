"""Which processes have a probe in user code, and why."""

import pytest

from orchestrator.backends import backend
from tests.support.bcc_maps import recorded_program
from tests.support.recorded import recorded

ALONE = "in the target's processes alone, and their children: others run as without it"
EVERY = "in every process that maps the file: "
MALLOC = "probes: {p: {attach: 'uprobe:libc.so.6:malloc', metrics: {n: {count: true}}}}"
JOINED = """
target: {{pid: 7}}
probes:
  a: {{attach: 'uprobe:libc.so.6:malloc'}}
  b: {{attach: 'uprobe:libc.so.6:free'}}
spans: {{s: {{start: a, end: b, key: [{key}], metrics: {{n: {{count: true}}}}}}}}
"""


def scopes(plan: str, name: str = "bcc") -> list[str]:
    program = recorded_program(plan)
    return [hook.scope for hook in backend(name).emit(program, recorded("6.1")).hooks]


@pytest.mark.parametrize("target", ["pid: 7", "tid: 7", "pid: 7, comm: x"])
def test_processes_that_are_named_have_it_alone(target: str) -> None:
    assert scopes(f"target: {{{target}}}\n{MALLOC}") == [ALONE]


@pytest.mark.parametrize("target", ["children: true", "pid: 7, children: true"])
def test_what_is_decided_when_it_is_attached_is_said_where_children_are_followed(
    target: str,
) -> None:
    """Whose process the target is then. The live tests of own processes see both."""
    [scope] = scopes(f"target: {{{target}}}\n{MALLOC}")
    assert scope.startswith(f"{ALONE}; {EVERY.strip(': ')} if the target is not root's")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("", "no process is the target"),
        ("target: {comm: x}", "the kernel binds breakpoints to threads, and not to a comm"),
        ("target: {uid: 5}", "the kernel binds breakpoints to threads, and not to a uid"),
    ],
)
def test_other_targets_leave_it_in_all(target: str, why: str) -> None:
    assert scopes(f"{target}\n{MALLOC}") == [EVERY + why]


def test_an_event_of_no_task_is_every_process_s() -> None:
    plan = "target: {pid: 7}\n" + MALLOC.replace("metrics", "task: none, metrics")
    assert scopes(plan) == [EVERY + "its events are of no task, or of another task"]


def test_a_span_may_end_elsewhere_unless_its_key_has_the_process() -> None:
    """A start is tested against the target, an end only by its key."""
    assert scopes(JOINED.format(key="pid, arg0")) == [ALONE, ALONE]
    elsewhere = EVERY + "its span may end in a process outside the target"
    assert scopes(JOINED.format(key="arg0")) == [ALONE, elsewhere]


def test_a_probe_in_the_kernel_has_none() -> None:
    assert scopes("target: {pid: 7}\nprobes: {p: {attach: 'kprobe:vfs_read', emit: {}}}") == [""]


def test_tracefs_has_it_in_all() -> None:
    plan = f"target: {{pid: 7}}\n{MALLOC}"
    assert scopes(plan, "tracefs") == [EVERY + "a trace instance cannot bind it to the target's"]
