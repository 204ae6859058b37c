"""Which nodes an event's record holds, and in which fields."""

from collections.abc import Callable, Iterable
from dataclasses import field

from orchestrator.backends.tracefs.design.fetch import Fetcher
from orchestrator.backends.tracefs.design.filters import FieldRef
from orchestrator.backends.tracefs.design.nodes import leaves_of
from orchestrator.compile.expressions.nodes import (
    Address,
    Builtin,
    Captured,
    Const,
    Field,
    Load,
    Node,
    ReadString,
    TextConst,
    walk,
)
from orchestrator.compile.expressions.types import U64, Bool, Int, Pointer, Str
from orchestrator.values import dataclass

__all__ = ["COMM", "RESULT", "STACK", "STACK_STEP", "DynamicEventFields", "TracepointFields"]

COMM = Builtin("comm", Str(16))
#: The stack pointer distinguishes the calls of a nested or recursive function.
STACK = Builtin("task", U64)
#: The stack pointer at a function's return, less that at its entry. On x86-64 a call pushes the
#: return address and ret removes it; on other architectures it is in a register.
STACK_STEP = {"x86_64": 8}

THREAD = "common_pid"  # the thread number, in every trace entry
RESULT = "ret"  # the field of a sys_exit event that holds the return value
#: What the trace entry or the reader provides for every event.
ALWAYS = frozenset({"pid", "tid", "comm", "cpu", "now", "uid", "gid"})
_CHAR_POINTERS = ("char *", "const char *")  # a filter compares the string that they point to


def _is_always_known(node: Node) -> bool:
    return isinstance(node, Const | TextConst | Captured) or (
        isinstance(node, Builtin) and node.name in ALWAYS
    )


def _unanswered_leaves(nodes: Iterable[Node], answers: Callable[[Node], bool]) -> list[Node]:
    return [leaf for node in nodes for leaf in leaves_of(node, answers) if not answers(leaf)]


@dataclass(slots=True)
class TracepointFields:
    """The fields of a tracepoint's record. `returns`: it is a sys_exit event, where `ret` is
    `retval`; `paired`: `elapsed` is known too."""

    returns: bool = False
    paired: bool = False
    field_names: dict[Node, str] = field(default_factory=dict)
    unchecked_reads: frozenset[Node] = frozenset()

    def missing_leaves(self, nodes: Iterable[Node]) -> list[Node]:
        """The leaves of `nodes` that this event does not have."""
        return _unanswered_leaves(nodes, self._can_answer)

    def _can_answer(self, node: Node) -> bool:
        match node:
            case Field(field=f, type=Int() | Bool() | Pointer() | Str()):
                self.field_names[node] = f.name
                return True
            case Field(field=f) if f.kind == "array" and not isinstance(node.type, Pointer):
                self.field_names[node] = f.name
                return True
            case Builtin(name="retval") if self.returns:
                self.field_names[node] = RESULT
                return True
            case Builtin(name="elapsed"):
                return self.paired
            case Builtin(name="tid"):
                self.field_names[node] = THREAD
                return True
            case _:
                return _is_always_known(node)

    def field_of(self, node: Node) -> FieldRef | None:
        """The field that a filter compares for `node`; None where there is none."""
        match node:
            case Builtin(name="tid"):
                return FieldRef(name=THREAD, type=Int(32, True))
            case Builtin(name="comm"):
                return FieldRef(name="COMM", type=None, size=16)
            case Builtin(name="retval", type=Int(bits=64, signed=True)) if self.returns:
                return FieldRef(name=RESULT, type=Int(64, True))
            case Field():
                return _field_ref(node)
            case _:
                return None


def _field_ref(node: Field) -> FieldRef | None:
    """None where the type in the plan is not the type in the record: a narrow syscall argument is
    in an 8-byte slot, and the ABI leaves the upper half undefined."""
    f = node.field
    match node.type, f.kind:
        case Int(bits=bits, signed=signed), "int" if bits == 8 * f.size and signed == f.signed:
            return FieldRef(name=f.name, type=Int(bits, signed))
        case Bool(), "int" if f.size == 1:
            return FieldRef(name=f.name, type=Int(8, f.signed))
        case Pointer(), "pointer" if f.ctype not in _CHAR_POINTERS and f.size == 8:
            return FieldRef(name=f.name, type=Int(64, False))
        case Str(), "string":
            return FieldRef(name=f.name, type=None, size=f.size)
        case Str(), "data_loc" | "rel_loc":
            return FieldRef(name=f.name, type=None)
        case _:
            return None


@dataclass(slots=True)
class DynamicEventFields:
    """The fields of a dynamic event: each leaf becomes a fetch argument, `a0`, `a1`, …

    Integers read from memory contain garbage when the read fails, and the kernel does not report
    that (trace_probe_tmpl.h, process_fetch_insn_bottom). So the pointers that they are read through
    are fetched too, and the reader checks those.
    """

    fetcher: Fetcher
    paired: bool = False
    field_names: dict[Node, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    def missing_leaves(self, nodes: Iterable[Node]) -> list[Node]:
        """The leaves of `nodes` that cannot be fetched here. All others are added as arguments."""
        return _unanswered_leaves(nodes, self._can_answer)

    @property
    def unchecked_reads(self) -> frozenset[Node]:
        """Leaves that read numbers from memory: a failed read of those goes unnoticed."""
        return frozenset(n for n in self.field_names if isinstance(n, Load) and not _is_text(n))

    def _can_answer(self, node: Node) -> bool:
        if isinstance(node, Builtin) and node.name == "elapsed":
            return self.paired
        if isinstance(node, Builtin) and node.name == "tid":
            self.field_names[node] = THREAD
        return node in self.field_names or self._try_fetch(node) or _is_always_known(node)

    def _try_fetch(self, node: Node) -> bool:
        text = self.fetcher.fetch_argument(node)
        if text is None:
            return False
        self.add_argument(node, text)
        for base in _pointers_read(node):
            pointer = self.fetcher.fetch_argument(base)
            if pointer is not None:
                self.add_argument(base, pointer)
        return True

    def add_argument(self, node: Node, text: str) -> None:
        """Add an argument that fetches `node` by `text`, unless there is one."""
        if node not in self.field_names:
            self.field_names[node] = f"a{len(self.arguments)}"
            self.arguments.append(f"{self.field_names[node]}={text}")

    def field_of(self, node: Node) -> FieldRef | None:
        """The field that a filter compares for `node`; None where there is none."""
        match node:
            case Builtin(name="tid"):
                return FieldRef(name=THREAD, type=Int(32, True))
            case Builtin(name="comm"):
                return FieldRef(name="COMM", type=None, size=16)
            case Load(bit_size=bits) if bits:
                return None
        if not self._can_answer(node) or node not in self.field_names:
            return None
        return _fetched_ref(self.field_names[node], node)


def _fetched_ref(name: str, node: Node) -> FieldRef | None:
    match node.type:
        case Int(bits=bits, signed=signed):
            return FieldRef(name=name, type=Int(bits, signed))
        case Bool():
            return FieldRef(name=name, type=Int(8, False))
        case Pointer():
            return FieldRef(name=name, type=Int(64, False))
        case Str():
            return FieldRef(name=name, type=None)
        case _:
            return None


def _is_text(node: Node) -> bool:
    return isinstance(node.type, Str)


def _pointers_read(node: Node) -> list[Node]:
    """The pointers that reading `node` goes through."""
    if isinstance(node, ReadString) or not isinstance(node, Load):
        return []
    pointers: list[Node] = []
    for part in walk(node):
        base = getattr(part, "base", None) if isinstance(part, Load | Address) else None
        if base is not None and not isinstance(base, Address):
            pointers.append(base)
    return pointers


EventFields = TracepointFields | DynamicEventFields
