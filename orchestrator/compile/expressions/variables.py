"""`symbol(NAME)` and `symbol(NAME, cpu)`: where a variable of the kernel is."""

from orchestrator.compile.expressions.arithmetic import convert_node, require_integer
from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Builtin,
    Const,
    KernelSymbol,
    Load,
    Node,
    TextConst,
)
from orchestrator.compile.expressions.types import U64, Pointer
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Position, plan_error

__all__ = ["make_symbol"]

#: unsigned long __per_cpu_offset[NR_CPUS], mm/percpu.c: what is added to a per-CPU variable's
#: address for that of a CPU's own.
_OFFSETS, _OFFSET_BYTES = "__per_cpu_offset", 8


def make_symbol(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    """The address of a variable of the kernel; with `cpu`, or a CPU's number, of that CPU's own.
    Raises PlanError."""
    name = args[0]
    if not isinstance(name, TextConst):
        hint = 'write its name in quotes: symbol("avenrun")'
        raise plan_error("PP084", "symbol() takes the name of a variable", position, hint)
    variable = _find_variable(facts, name.value.decode("utf-8", "replace"), position)
    return variable if len(args) == 1 else _of_cpu(facts, variable, args[1], position)


def _of_cpu(facts: KernelFacts, variable: Node, cpu: Node, position: Position) -> Node:
    number = require_integer(cpu, position, "the CPU")
    is_current = isinstance(number, Builtin) and number.name == "cpu"
    if not is_current and not isinstance(number, Const):
        hint = 'write symbol("runqueues", cpu), or a number'
        message = "a per-CPU variable is that of `cpu` or of one CPU"
        raise plan_error("PP084", message, position, hint)
    if isinstance(number, Const) and not 0 <= number.value < facts.possible_cpus:
        hint = f"from 0 to {facts.possible_cpus - 1}"
        raise plan_error("PP086", f"there is no CPU {number.value}", position, hint)
    kernel = Pointer("kernel", assumed=True)
    offsets = convert_node(_find_variable(facts, _OFFSETS, position), U64)
    steps = Arithmetic("*", convert_node(number, U64), Const(_OFFSET_BYTES, U64), U64)
    place = convert_node(Arithmetic("+", offsets, steps, U64), kernel)
    distance = Load(place, 0, U64)
    own = Arithmetic("+", convert_node(variable, U64), distance, U64)
    return convert_node(own, Pointer("kernel"))


def _find_variable(facts: KernelFacts, name: str, position: Position) -> KernelSymbol:
    """A recording has functions alone, and no addresses: there every name is taken as it is."""
    if not name.isidentifier() or not name.isascii():
        raise plan_error("PP084", f"{name!r} is no name of a variable", position)
    address = facts.symbols.find_variable(name)
    if address:
        return KernelSymbol(name, address)
    if facts.recorded:
        return KernelSymbol(name, 0)
    if address == 0:
        hint = "run as root; kernel.kptr_restrict may also hide them"
        message = "the addresses of the kernel's variables are hidden"
        raise plan_error("PP082", message, position, hint)
    if not facts.symbols.has_variables:
        hint = "it is built without CONFIG_KALLSYMS_ALL: no plan can use symbol() here"
        raise plan_error("PP082", "this kernel does not list its variables", position, hint)
    what = "is a function" if facts.symbols.is_function(name) else "is not in /proc/kallsyms"
    hint = "variables of the kernel proper have addresses here; those of modules do not"
    raise plan_error("PP082", f"there is no variable {name!r}: it {what}", position, hint)
