"""Numbers of the host that the C leaves open: which text is one text."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import compile_artifact
from orchestrator.backends.bcc.compiler import clang
from orchestrator.backends.bcc.compiler.places import fill_program
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.open_numbers import MOST_SLOTS, OpenNumbers
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.backends.compiled import make_program_key
from orchestrator.backends.protocol import Artifact, OpenNumber
from orchestrator.compile.expressions.nodes import Load, Node, RawArg, transform
from orchestrator.compile.expressions.types import Pointer
from orchestrator.compile.program import Body, Hook
from orchestrator.plan.findings import NOWHERE, HostError
from tests.support.bcc_runs import program_of
from tests.support.expressions import ARGUMENTS, expressions, typed
from tests.support.recorded import recorded

SWITCHES = """
target: {pid: [%s], uid: [%s]}
probes:
  run:
    attach: tracepoint:sched:sched_switch
    where: args.prev_pid > 3
    emit: {next: args.next_comm}
  wake:
    attach: rawtracepoint:sched_wakeup_new
    task: args.p
    where: args.p.prio < 100
    emit: {flags: args.p.flags}
"""


def test_slots_are_numbered_by_first_use() -> None:
    numbers = OpenNumbers()
    texts = [
        numbers.member("p", "s.b", 8),
        numbers.record("u32", "e.f", 16),
        numbers.member("p", "s.b", 8),
        numbers.number("id", 2**64 - 1),
        numbers.offset("s.b", 8),
    ]
    assert texts == [
        "PP_MEMBER(p, 0)", "PP_RECORD(u32, 1)", "PP_MEMBER(p, 0)", "PP_NUMBER(2)", "PP_SLOT(0)",
    ]  # fmt: skip
    assert [(one.name, one.value) for one in numbers.list_numbers()] == [
        ("s.b", 8), ("e.f", 16), ("id", 2**64 - 1),
    ]  # fmt: skip


def test_one_name_with_two_numbers_has_two_slots() -> None:
    """Members of nameless structures have such names."""
    numbers = OpenNumbers()
    assert numbers.member("p", "union.a", 0) != numbers.member("p", "union.a", 8)


def test_numbers_beyond_the_last_slot_are_written_out() -> None:
    numbers = OpenNumbers()
    for value in range(MOST_SLOTS):
        numbers.number("id", value)
    assert numbers.number("id", MOST_SLOTS) == f"{MOST_SLOTS}ULL"
    assert numbers.member("p", "s.b", MOST_SLOTS) == f"(p + {MOST_SLOTS}ULL)"
    assert numbers.record("u8", "e.f", 9) == "*(u8 *)((char *)ctx + 9)"
    assert numbers.offset("s.c", 9) == "9U"
    assert numbers.number("id", 0) == "PP_NUMBER(0)"
    assert len(numbers.list_numbers()) == MOST_SLOTS


def test_an_offset_without_a_member_is_written_out() -> None:
    assert OpenNumbers().member("p", "", 24) == "(p + 24ULL)"


def switches(kernel: str = "6.1", pid: object = 7, uid: object = 0) -> Artifact[Any]:
    facts = recorded(kernel)
    return backend("bcc").emit(program_of(SWITCHES % (pid, uid), facts), facts)


def named(artifact: Artifact[Any]) -> Mapping[str, int]:
    return {one.name: one.value for one in artifact.numbers}


def test_slots_are_named_by_what_they_are() -> None:
    assert {
        "target.pid": 7,
        "target.uid": 0,
        "sched:sched_switch.prev_pid": 24,
        "sched_wakeup_new(p)": 0,
        "task_struct.prio": 108,
        "task_struct.pid": 2416,
    }.items() <= named(switches()).items()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"pid": 8}, True),
        ({"uid": 1000}, True),
        ({"kernel": "6.12"}, True),
        ({"kernel": "7.x"}, True),
        ({"kernel": "5.10"}, False),  # without fetching atomics
        ({"pid": "7, 8"}, False),
    ],
)
def test_the_host_changes_the_numbers_and_not_the_key(change: dict[str, Any], same: bool) -> None:
    """Another pid or a kernel update starts from what is kept; another shape does not."""
    one, other = switches(), switches(**change)
    assert one.numbers != other.numbers
    assert one.text != other.text  # the comments say the numbers
    assert (make_program_key(one) == make_program_key(other)) == same


def test_another_pid_starts_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the program has that pid, and is the one that the compiler would have made."""
    first = compile_artifact(switches(pid=7))
    other = switches(pid=0x3FFFFD)

    def no_compiler(*_: object) -> dict[str, bytes]:
        raise AssertionError("the compiler was started")

    with monkeypatch.context() as without:
        without.setattr(clang, "_compile_in_child", no_compiler)
        second = compile_artifact(other)
    assert first != second
    number = (0x3FFFFD).to_bytes(4, "little")
    assert any(number in code for code in second.values())
    assert not any(number in code for code in first.values())
    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    assert compile_artifact(other) == second


def test_a_kernel_update_starts_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled for 6.1 runs on 7.x, as if it had been compiled for it."""
    compile_artifact(switches("6.1"))

    def no_compiler(*_: object) -> dict[str, bytes]:
        raise AssertionError("the compiler was started")

    with monkeypatch.context() as without:
        without.setattr(clang, "_compile_in_child", no_compiler)
        updated = compile_artifact(switches("7.x"))
    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    assert compile_artifact(switches("7.x")) == updated


def test_a_number_that_its_place_cannot_hold_is_a_finding() -> None:
    """By the slot's name and its number; nothing is loaded."""
    artifact = switches()
    numbers = tuple(
        OpenNumber(name=one.name, value=1 << 15) if one.name.endswith(".prev_pid") else one
        for one in artifact.numbers
    )
    object.__setattr__(artifact, "numbers", numbers)
    with pytest.raises(HostError, match=r"sched:sched_switch\.prev_pid is 32768, and its place"):
        compile_artifact(artifact)


def members_of_arguments(node: Node) -> Node:
    """The node with every second argument replaced by a member of a structure, the others by
    arguments that are known by their names."""
    names = {leaf: name for name, leaf in ARGUMENTS.items()}
    structure = RawArg(0, Pointer("kernel"), "p")

    def change(part: Node) -> Node:
        if not isinstance(part, RawArg):
            return part
        name = names[part]
        if part.index % 2:
            return replace(part, name=name)
        return Load(structure, 8 * part.index, part.type, member=f"s.{name}")

    return transform(node, change)


@settings(max_examples=4, deadline=None)
@given(st.lists(expressions, min_size=8, max_size=8))
def test_random_expressions_are_the_same_program_but_for_their_places(texts: list[str]) -> None:
    """Compiled with other placeholders they differ at the places and nowhere else."""
    numbers, writer = OpenNumbers(), CWriter(1)
    hook = Hook(
        id=0, probe=0, kind="rawtracepoint", label="test", position=NOWHERE,
        body=Body(lets=(), where=(), emit=(), metrics=()),
    )  # fmt: skip
    site = EmitSite(hook=hook, side="hit", access="arguments", arch="x86_64", numbers=numbers)
    computing = Expressions(site, writer)
    for index, text in enumerate(texts):
        node = members_of_arguments(typed(text, recorded("6.1")))
        writer.line(f"PP_WRITE(ledger->value[{index}], (u64)({computing.number(node)}));")
    source = (
        "#include <probeplan/runtime.h>\nstruct ledger { u64 division_by_zero, value[8]; };\n"
        "int run(unsigned long long *ctx)\n{\n\tu32 none = 0, fault = 0;\n"
        "\tstruct ledger *ledger = pp_map_lookup(PP_MAP(1001), &none);\n"
        f"\tif (!ledger)\n\t\treturn 0;\n{writer.text()}\treturn fault;\n}}\n"
    )
    first, second = (clang.compile_open(source, ["run"], attempt) for attempt in (0, 1))
    assert first.places == second.places
    filled = fill_program(first, numbers.list_numbers())
    assert filled == fill_program(second, numbers.list_numbers())
    touched = {place.instruction for place in first.places}
    for at in range(0, len(first.code["run"]), 8):
        changed = first.code["run"][at : at + 8] != second.code["run"][at : at + 8]
        high = at // 8 - 1 in touched and first.code["run"][at] == 0  # the second half of `wide`
        assert changed == (at // 8 in touched or high)


def test_the_program_says_its_numbers_in_comments() -> None:
    """So that what is attached can be read from what `explain` prints."""
    artifact = switches()
    for slot, one in enumerate(artifact.numbers):
        assert f"/* slot {slot}: {one.name} = {one.value} */\n" in artifact.text
