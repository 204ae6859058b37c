"""The kernel's iterators (`iter:task`): which there are, and what a program gets for each object.

An iterator NAME is a function `bpf_iter_NAME` in the kernel's BTF, whose parameters are the members
of `struct bpf_iter__NAME` (DEFINE_BPF_ITER_FUNC, include/linux/bpf.h): `meta`, then what describes
one object.
"""

from orchestrator.compile.expressions.members import argument_nodes, require_btf
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.types import Pointer
from orchestrator.compile.globs import select_names
from orchestrator.compile.point import Point
from orchestrator.kernel.btf import Btf
from orchestrator.kernel.btf_types import FunctionType
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import plan_error
from orchestrator.plan.model import AttachItem
from orchestrator.plan.nearest import suggest_or_list

__all__ = ["find_iterator", "list_iterators"]

_META = "meta"
#: These iterate what is in one map, or below one cgroup, of which they want a descriptor
#: (bpf_iter_attach_map and bpf_iter_attach_cgroup).
_OF_ONE = frozenset({"bpf_map_elem", "bpf_sk_storage_map", "cgroup", "sockmap"})


def list_iterators(btf: Btf) -> tuple[str, ...]:
    """The iterators that a plan can name, sorted."""
    names = btf.iterator_names() - _OF_ONE
    return tuple(name for name in select_names("*", names) if _find_signature(btf, name))


def find_iterator(item: AttachItem, facts: KernelFacts, _limit: int) -> tuple[Point, ...]:
    """The iterator that the item names. Raises PlanError (PP080, PP081, PP083)."""
    btf = require_btf(facts, item.position, "iterators are known by their types")
    name = item.target
    if name in _OF_ONE:
        message = f"the iterator {name!r} needs to know of which map or cgroup"
        hint = f"a plan cannot say it; there are {', '.join(list_iterators(btf))}"
        raise plan_error("PP081", message, item.position, hint)
    signature = _find_signature(btf, name)
    if signature is None:
        message = f"this kernel has no iterator {name!r}"
        hint = suggest_or_list(name, list_iterators(btf))
        raise plan_error("PP080", message, item.position, hint)
    pairs = tuple((param.name, param.type_id) for param in signature.params)
    arguments = argument_nodes(facts, pairs, raw=True)
    arguments.pop(_META, None)
    return (
        Point(
            kind="iter",
            label=f"iter:{name}",
            func=name,
            arguments=arguments,
            event=name,
            btf_id=signature.btf_id,
            register_count=len(pairs),
            element=_find_object([arguments.get(name) for name, _ in pairs]),
        ),
    )


def _find_signature(btf: Btf, name: str) -> FunctionType | None:
    return btf.function(f"bpf_iter_{name}") if btf.struct(f"bpf_iter__{name}") else None


def _find_object(nodes: list[Node | None]) -> int:
    """The index of the last pointer: a task's file follows its task. After the last object the
    kernel calls the program once more, with nothing there (bpf_iter_run_prog, in_stop)."""
    pointers = (at for at, node in enumerate(nodes) if node and isinstance(node.type, Pointer))
    return max(pointers, default=0)
