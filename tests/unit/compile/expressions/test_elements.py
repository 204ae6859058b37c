"""Types of the plan, and elements by `x[i]`, on recorded kernels and on none."""

from collections.abc import Callable

import pytest

from orchestrator.compile.expressions.nodes import Address, Load, Node, Register
from orchestrator.compile.expressions.types import S32, U8, Int, Pointer
from orchestrator.compile.kernel_free.check import check_without_kernel
from orchestrator.compile.program import Program
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD

Compile = Callable[..., Program]
TYPES = """
types:
  foo:
    m: s32 at 4
    few: u16[3] at 8
    name: "string[10] at 14"
    next: foo * at 24
    inner: bar at 32
    file: struct file * at 48
  bar: {n: s64 at 0, sizeof: 16}
"""


def emit(value: str, attach: str = "function:vfs_read", args: str = "") -> str:
    """A plan that records one value."""
    more = f", args: {{{args}}}" if args else ""
    return f"{TYPES}probes: {{p: {{attach: {{to: '{attach}'{more}}}, emit: {{x: '{value}'}}}}}}\n"


def field_of(program: Program) -> Node:
    """The first field of the first record, with what it keeps from the entry in place."""
    return program.hooks[0].body.emit[0]


def refusal(compiled: Compile, text: str) -> PlanError:
    """Why a plan cannot be compiled."""
    with pytest.raises(PlanError) as refused:
        compiled(text)
    return refused.value


def test_members_are_read_at_their_offsets_in_the_pointers_memory(compiled: Compile) -> None:
    """Of kernel memory through a kernel's pointer, of user memory through a program's."""
    user = Pointer("user")
    node = field_of(compiled(emit("args.p.m", "uprobe:libc.so.6:malloc", 'p: "foo *"')))
    assert node == Load(Register(0, node.base.type), 4, S32)
    assert node.base.type.space == user.space
    node = field_of(compiled(emit('cast(arg0, "foo").next.inner.n', "entry:vfs_read")))
    assert isinstance(node, Load)
    assert isinstance(node.base, Address)
    assert (node.offset, node.base.offset, node.base.type.space) == (0, 32, "kernel")


def test_a_structure_leads_to_the_kernels(compiled: Compile) -> None:
    node = field_of(compiled(emit('cast(arg0, "foo").file.f_flags', "entry:vfs_read")))
    assert node.member == "file.f_flags"


@pytest.mark.parametrize(
    ("value", "offset", "kind"),
    [
        ("args.p.few[2]", 4, Int(16, False)),
        ("args.p.name[3]", 3, U8),
        ("args.p.next[2].m", 4, S32),
        ("args.n[3]", 12, S32),
        ('cast(args.n, "u8 *")[7]', 7, U8),
    ],
)
def test_an_element_is_at_its_index_times_its_size(
    compiled: Compile, value: str, offset: int, kind: Int
) -> None:
    args = 'p: "foo *", n: "s32 *"'
    node = field_of(compiled(emit(value, "uprobe:libc.so.6:malloc", args)))
    assert (node.offset, node.type) == (offset, kind)


def test_structures_lie_one_after_the_other(compiled: Compile) -> None:
    """At their size: up to the end of the last member, or as declared."""
    node = field_of(compiled(emit("args.p[2].m", "uprobe:libc.so.6:malloc", 'p: "foo *"')))
    assert node.base.offset == 2 * 56
    node = field_of(compiled(emit("args.p[2].n", "uprobe:libc.so.6:malloc", 'p: "bar *"')))
    assert node.base.offset == 2 * 16


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        ('cast(arg0, "foo").few[3]', "PP086", "index 3 of 3 elements"),
        ('cast(arg0, "foo").few[-1]', "PP086", "index -1 of 3 elements"),
        ('cast(arg0, "foo").name[10]', "PP086", "index 10 of 10 elements"),
        ('cast(arg0, "foo").m[0]', "PP084", "has no elements"),
        ('cast(arg0, "foo").nxt', "PP084", "no member 'nxt'"),
        ('cast(arg0, "pointer")[0]', "PP084", "no type"),
        ('cast(arg0, "u32 *")[comm]', "PP084", "the index"),
        ("str(arg0)[0]", "PP084", "has no elements"),
        ('cast(arg0, "u32 *")[-1]', "PP086", "index -1"),
        ('cast(arg0, "u64 *")[1 << 30]', "", ""),
    ],
)
def test_what_is_no_element_is_a_finding_without_a_kernel_too(
    compiled: Compile, value: str, code: str, reason: str
) -> None:
    text = emit(value, "entry:vfs_read")
    offline, _ = check_without_kernel(load_plan((HEAD + text).encode()))
    if not code:
        assert not offline
        return
    error = refusal(compiled, text)
    assert [one.code for one in error.findings] == [code]
    assert reason in error.findings[0].message
    assert [(one.code, one.position) for one in offline] == [(code, error.findings[0].position)]


def test_a_type_that_the_kernel_lacks_is_its_to_say(compiled: Compile) -> None:
    """An alternative may do without it."""
    with pytest.raises(HostError, match="no type 'fool'") as refused:
        compiled(emit('cast(arg0, "fool").m'))
    assert "under `types`" in refused.value.findings[0].hint


def test_an_array_of_the_kernel_has_bounds(compiled: Compile) -> None:
    """`rlim` of struct signal_struct has RLIM_NLIMITS elements (asm-generic/resource.h)."""
    assert field_of(compiled(emit("task.signal.rlim[15].rlim_max")))
    error = refusal(compiled, emit("task.signal.rlim[16].rlim_max"))
    assert "index 16 of 16" in error.findings[0].message
