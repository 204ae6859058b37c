"""Which sides are one program, and which programs are attached together."""

from orchestrator.backends.bcc.design.groups import (
    ProgramGroup,
    cluster_groups,
    group_sides,
    price_kind,
)
from orchestrator.backends.bcc.design.layout import MapLayout
from orchestrator.backends.bcc.design.mechanism import (
    Mechanism,
    MechanismChoice,
    choose_mechanism,
)
from tests.support.bcc_maps import recorded_program
from tests.support.recorded import recorded

COUNT = "metrics: {n: {count: true}}"


def groups_of(plan: str, **mechanisms: Mechanism) -> tuple[ProgramGroup, ...]:
    """The programs of a plan; `mechanisms`: by probe, other than the preferred ones."""
    program = recorded_program(plan)
    choices = {}
    for hook in program.hooks:
        forced = mechanisms.get(program.probes[hook.probe].name)
        choice = choose_mechanism(hook, recorded("6.1"))
        choices[hook.id] = MechanismChoice(mechanism=forced) if forced else choice
    return group_sides(MapLayout(program), choices)


def shown(groups: tuple[ProgramGroup, ...]) -> list[tuple[str, ...]]:
    """The functions of each program's sides."""
    return [tuple(side.function for side in group.sides) for group in groups]


def test_probes_of_one_tracepoint_are_one_program() -> None:
    """Two at sched_switch, one at sched_wakeup; they keep the order of the plan."""
    plan = f"""
probes:
  a: {{attach: "rawtracepoint:sched_switch", {COUNT}}}
  b: {{attach: "rawtracepoint:sched_wakeup", {COUNT}}}
  c: {{attach: "rawtracepoint:sched_switch", {COUNT}}}
"""
    assert shown(groups_of(plan)) == [("hook_0_hit", "hook_2_hit"), ("hook_1_hit",)]


def test_entry_and_return_of_a_function_are_two_programs() -> None:
    """A paired probe and one at the entry share the entry's program only."""
    plan = f"""
probes:
  a: {{attach: "function:vfs_read", emit: {{took: elapsed}}}}
  b: {{attach: "entry:vfs_read", {COUNT}}}
"""
    assert shown(groups_of(plan)) == [("hook_0_entry", "hook_1_hit"), ("hook_0_return",)]


def test_a_call_that_may_return_by_another_exit_is_looked_for_there_too() -> None:
    """Once in the program at that exit, which has the other call's returns as well, or alone."""
    both = """
probes:
  a: {attach_all: [syscall:execve, syscall:execveat], emit: {r: retval}}
"""
    groups = groups_of(both)
    assert shown(groups) == [
        ("hook_0_entry",),
        ("hook_0_return", "hook_1_return"),
        ("hook_1_entry",),
        ("hook_1_return",),
    ]
    assert [[side.by_other for side in group.sides] for group in groups][1] == [False, True]
    assert len(cluster_groups(groups)) == 1
    alone = groups_of("probes:\n  a: {attach: syscall:execveat, emit: {r: retval}}\n")
    assert [group.function for group in alone] == [
        "hook_0_entry",
        "hook_0_return",
        "hook_0_return_by_other",
    ]
    places = [side.tracepoint for group in alone for side in group.sides]
    assert [place.event for place in places if place] == [
        "sys_enter_execveat",
        "sys_exit_execveat",
        "sys_exit_execve",
    ]


def test_other_mechanisms_are_other_programs() -> None:
    """At the same function: a program can be attached in one way only."""
    plan = f"""
probes:
  a: {{attach: "entry:vfs_read", {COUNT}}}
  b: {{attach: "entry:vfs_read", {COUNT}}}
"""
    assert len(groups_of(plan)) == 1
    assert len(groups_of(plan, b="dynamic event")) == 2


def test_an_event_ends_a_span_before_it_starts_the_next() -> None:
    """Whatever the order of the plan: the side that ends runs before the one that starts."""
    plan = """
probes:
  come: {attach: "rawtracepoint:sched_switch"}
  go: {attach: "rawtracepoint:sched_switch"}
spans:
  turn: {start: come, end: go, key: [tid], metrics: {n: {count: true}}}
"""
    program = recorded_program(plan)
    [group] = groups_of(plan)
    roles = [side.hook.body.spans[0].role for side in group.sides]
    assert [hook.body.spans[0].role for hook in program.hooks] == ["start", "end"]
    assert roles == ["end", "start"]


def test_programs_that_share_a_hook_are_one_cluster_returns_first() -> None:
    """So that no call is opened that is not closed; other hooks are separate clusters."""
    plan = f"""
probes:
  a: {{attach: "function:vfs_read", emit: {{took: elapsed}}}}
  b: {{attach: "rawtracepoint:sched_switch", {COUNT}}}
  c: {{attach: "entry:vfs_read", {COUNT}}}
"""
    first, second = cluster_groups(groups_of(plan))
    assert shown(first) == [("hook_0_return",), ("hook_0_entry", "hook_2_hit")]
    assert shown(second) == [("hook_1_hit",)]


def test_hooks_without_a_mechanism_have_no_program() -> None:
    program = recorded_program(f"probes: {{p: {{attach: 'entry:vfs_read', {COUNT}}}}}")
    none = {hook.id: MechanismChoice(mechanism=None) for hook in program.hooks}
    assert group_sides(MapLayout(program), none) == ()


def test_a_price_goes_with_the_way_of_attaching() -> None:
    """Dynamic events and PMUs are kprobes and kretprobes; others have a price by their name."""
    plan = "probes: {p: {attach: 'function:vfs_read', emit: {took: elapsed}}}"
    kinds = [price_kind(group) for group in groups_of(plan, p="dynamic event")]
    assert kinds == ["kprobe", "kretprobe"]
    assert [price_kind(group) for group in groups_of(plan)] == ["fentry", "fentry"]
    switch = f"probes: {{p: {{attach: 'rawtracepoint:sched_switch', {COUNT}}}}}"
    assert [price_kind(group) for group in groups_of(switch)] == ["raw tracepoint"]
