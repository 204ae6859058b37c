"""Names that mean the same at every hook: units, builtins, constants."""

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.compile.expressions import arithmetic
from orchestrator.compile.expressions.members import require_btf
from orchestrator.compile.expressions.nodes import Builtin, Const, Node
from orchestrator.compile.expressions.types import (
    BOOL,
    BYTES,
    COMM_SIZE,
    DURATION,
    U16,
    U32,
    U64,
    Pointer,
    StackId,
    Str,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Position

KSTACK = Builtin("kstack", StackId("kernel"))
USTACK = Builtin("ustack", StackId("user"))

UNITS: Mapping[str, Const] = {
    "ns": Const(1, DURATION),
    "us": Const(1_000, DURATION),
    "ms": Const(1_000_000, DURATION),
    "s": Const(1_000_000_000, DURATION),
    "KiB": Const(1 << 10, BYTES),
    "MiB": Const(1 << 20, BYTES),
    "GiB": Const(1 << 30, BYTES),
}

TASK_BUILTINS: Mapping[str, Node] = {
    "pid": Builtin("pid", U32),
    "tid": Builtin("tid", U32),
    "uid": Builtin("uid", U32),
    "gid": Builtin("gid", U32),
    "comm": Builtin("comm", Str(COMM_SIZE)),
    "cgroup": Builtin("cgroup", U64),
    "ustack": USTACK,
}
BUILTINS: Mapping[str, Node] = {
    "cpu": Builtin("cpu", U16),
    "now": Builtin("now", DURATION),
    "kstack": KSTACK,
}


def find_constant(name: str, facts: KernelFacts) -> Node | None:
    """An UPPER_CASE constant: of the shipped table, else an enumerator of the kernel's BTF."""
    if not name.isupper() and not (name[:1].isupper() and "_" in name):
        return None
    from orchestrator.kernel.constants import constant
    from orchestrator.kernel.syscalls import syscall_numbers

    value = constant(name, facts.arch)
    if name.startswith("SYS_"):
        value = syscall_numbers(facts.arch).get(name)
    if value is None and facts.btf is not None:
        value = facts.btf.enumerator(name)
        if value is not None:
            return replace(arithmetic.make_constant(value), enumerator=name)
    return None if value is None else arithmetic.make_constant(value)


def task_struct(facts: KernelFacts, position: Position, why: str) -> Builtin:
    """The address of the event's task_struct. Raises PlanError PP083, with `why`, where the kernel
    has no type information, by which its members are found."""
    btf = require_btf(facts, position, why)
    return Builtin("task", Pointer("kernel", btf.struct("task_struct") or 0))


def find_constant_value(name: str, facts: KernelFacts) -> int | None:
    """The value of an UPPER_CASE constant; None where it is not known on this kernel."""
    constant = find_constant(name, facts)
    return constant.value if isinstance(constant, Const) else None


def compat_node(facts: KernelFacts) -> Builtin | Const:
    """Whether the running task is in a system call of 32-bit code: a constant on kernels that offer
    none (CONFIG_IA32_EMULATION, CONFIG_COMPAT), as far as their symbols are known."""
    from orchestrator.kernel.syscalls import COMPAT_SYMBOLS

    offered = any(map(facts.symbols.count, COMPAT_SYMBOLS)) or not facts.symbols.names
    return Builtin("compat", BOOL) if offered else Const(0, BOOL)
