"""Where the data of an expression comes from: which of it is the data of user programs.

User data is read from user memory, taken from the registers of user code, walked off user stacks,
or kept by the kernel as a copy. Every node has the origins of its operands, so that a comparison
with a secret is as secret as the secret. Numbers that system calls and kernel functions take and
return, ids, times, and the names that the kernel keeps itself are no user data.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from orchestrator.compile.expressions.known_user_data import (
    COPYING_EVENTS,
    COPYING_STRUCTS,
    NAMING_STRUCTS,
    PROBE_FIELDS,
    REGISTER_STRUCTS,
    SHARED_STRUCTS,
    TEXT_STRUCTS,
    USER_CATEGORIES,
)
from orchestrator.compile.expressions.nodes import (
    Address,
    Builtin,
    Captured,
    Combination,
    Comparison,
    Convert,
    Either,
    EndpointOf,
    FamilyIp,
    Field,
    IpOf,
    Let,
    LetRef,
    Load,
    Node,
    Noted,
    NoteValue,
    RawArg,
    ReadBytes,
    ReadString,
    ReadStrings,
    Register,
    ShownAs,
    SpanValue,
    StringTest,
    TransportOf,
    UsdtArg,
    children,
)
from orchestrator.compile.expressions.types import Array, Pointer, Str, Struct, size_of
from orchestrator.kernel.btf_types import OWN_TYPES
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.plan.attach_kinds import KindTraits

__all__ = ["DataSources", "Origin", "Origins", "SourcedNode", "address_of_read"]

Origin = Literal["memory", "registers", "stacks", "copies"]
Origins = frozenset[Origin]

_NONE: Origins = frozenset()
_MEMORY: Origins = frozenset({"memory"})
_REGISTERS: Origins = frozenset({"registers"})
_STACKS: Origins = frozenset({"stacks"})
_COPIES: Origins = frozenset({"copies"})

_ADDRESS_BYTES = 8

#: A node with the sources of the hook where it is evaluated.
SourcedNode = tuple["DataSources", Node]


def address_of_read(node: Node) -> Node | None:
    """The address from which `node` itself reads, None where it reads no memory, or a path."""
    match node:
        case Load(base=at) | ReadString(pointer=at) | ReadBytes(pointer=at):
            return at
        case ReadStrings(pointer=at) | EndpointOf(v4=at) | FamilyIp(v4=at):
            return at
        case TransportOf(header=at):
            return at
        case IpOf(value=at) if isinstance(at.type, Pointer):
            return at
        case _:
            return None


def _pointee_of(at: Node) -> int:
    """The id of the type that an address leads to; 0: none is known."""
    match at.type:
        case Pointer(target=type_id) | Struct(type_id=type_id) | Array(element=type_id):
            return type_id
        case _:
            return 0


def _origins_of_struct(name: str, node: Node) -> Origins:
    """The origins of what is read within a kernel struct, by the struct's name."""
    if name in REGISTER_STRUCTS:
        return _REGISTERS
    if name in SHARED_STRUCTS:
        return _MEMORY
    is_copy = name in COPYING_STRUCTS or (name in TEXT_STRUCTS and isinstance(node.type, Str))
    return _COPIES if is_copy else _NONE


class DataSources:
    """The origins of nodes at one hook. `lets` and `captures` are what references there mean,
    `kept` gives the nodes behind a SpanValue, and `noted` those behind a NoteValue, by note and
    index; `event` is the name of a raw tracepoint.
    `spare_conditions`: the result of a test has no origins. `of_running_task`: the event belongs
    to the task that runs, or to none."""

    def __init__(  # noqa: PLR0913  # what a node's meaning depends on
        self,
        traits: KindTraits,
        tracepoint: Tracepoint | None,
        facts: KernelFacts,
        lets: Sequence[Let],
        captures: Sequence[Node],
        kept: Callable[[int], Sequence[SourcedNode]] = lambda _index: (),
        *,
        noted: Callable[[int, int], Sequence[SourcedNode]] = lambda _note, _index: (),
        event: str = "",
        spare_conditions: bool = False,
        of_running_task: bool = True,
    ) -> None:
        self._traits, self._tracepoint, self._facts = traits, tracepoint, facts
        self._lets, self._captures, self._kept = lets, captures, kept
        self._noted = noted
        self._event, self._spare_conditions = event, spare_conditions
        self._of_running_task = of_running_task
        self._of_lets: dict[int, Origins] = {}

    def with_kept(self, kept: Callable[[int], Sequence[SourcedNode]]) -> "DataSources":
        """The sources at the end of a span at this hook; `kept` gives what the span keeps."""
        return DataSources(
            self._traits,
            self._tracepoint,
            self._facts,
            self._lets,
            self._captures,
            kept,
            noted=self._noted,
            event=self._event,
            spare_conditions=self._spare_conditions,
            of_running_task=self._of_running_task,
        )

    # ---------------------------------------------------------------- origins

    def origins(self, node: Node) -> Origins:
        """The origins of the user data that the value of `node` depends on."""
        match node:
            case LetRef(index=index):
                if index not in self._of_lets:
                    self._of_lets[index] = self.origins(self._lets[index].node)
                return self._of_lets[index]
            case Captured() | SpanValue():
                behind = self.referents(node) or ()
                return _NONE.union(*(sources.origins(value) for sources, value in behind))
            case NoteValue(key=key):
                behind = self.referents(node) or ()
                values = (sources.origins(value) for sources, value in behind)
                return _NONE.union(*values, *map(self.origins, key))
            case Comparison() | StringTest() | Combination() | Noted() if self._spare_conditions:
                return _NONE
            case _:
                return self.own_origins(node).union(*map(self.origins, children(node)))

    def own_origins(self, node: Node) -> Origins:
        """What `node` itself adds to the origins of its operands."""
        match node:
            case Register() | UsdtArg() | Builtin(name="retval"):
                return _REGISTERS if self._traits.site == "user code" else _NONE
            case Builtin(name="ustack"):
                return _STACKS
            case Field():
                return self._origins_of_field(node)
            case _:
                at = address_of_read(node)
                return _NONE if at is None else self._origins_of_read(node, at)

    def _origins_of_field(self, node: Field) -> Origins:
        """A string of a system call's event is what its argument points to (later kernels)."""
        event = self._tracepoint
        if event is None:
            return _NONE
        if event.category in USER_CATEGORIES or any(map(event.field, PROBE_FIELDS)):
            return _MEMORY
        if not isinstance(node.type, Str):
            return _NONE
        if event.category == "syscalls":
            return _MEMORY
        events = COPYING_EVENTS.get(event.category)
        copies = events is not None and (not events or event.event in events)
        return _COPIES if copies else _NONE

    def _origins_of_read(self, node: Node, at: Node) -> Origins:
        is_typed = self.is_typed(at)
        if self.reads_user_memory(at) or (self._traits.takes_user_pointers and not is_typed):
            return _MEMORY
        for name in self._structs_around(at):
            if origins := _origins_of_struct(name, node):
                return origins
        if isinstance(node, ReadBytes | ReadStrings):
            return _COPIES
        if isinstance(node.type, Str) and self._is_own(at):
            return _COPIES  # the plan says what is there, and may say it of anything
        is_text = isinstance(node, ReadString) or (is_typed and self.pointee_size(at) <= 1)
        if is_text and not (isinstance(node.type, Str) and isinstance(node, Load)):
            return _NONE if self._is_kernel_name(at) else _COPIES
        return _NONE

    def _is_kernel_name(self, at: Node) -> bool:
        """Whether an array inside a kernel struct is there, or the `char *` of a struct of names
        leads there."""
        for sources, node in self.resolve(at):
            if not sources.is_typed(node):
                return False
            owner = next(sources._structs_around(node.base), "") if isinstance(node, Load) else ""
            if not isinstance(node, Address) and owner not in NAMING_STRUCTS:
                return False
        return True

    # ---------------------------------------------------------------- addresses

    def resolve(self, node: Node) -> Sequence[SourcedNode]:
        """What `node` refers to: through definitions, captured and kept values, and how a value is
        shown. Several nodes where several hooks keep the value."""
        behind = self.referents(node)
        if behind is None:
            return ((self, node),)
        return [part for sources, value in behind for part in sources.resolve(value)]

    def referents(self, node: Node) -> Sequence[SourcedNode] | None:
        """What stands for `node` directly; None where it is no reference."""
        match node:
            case LetRef(index=index):
                return ((self, self._lets[index].node),)
            case Captured(index=index):
                return ((self, self._captures[index]),)
            case ShownAs(value=value):
                return ((self, value),)
            case SpanValue(index=index):
                return self._kept(index)
            case NoteValue(note=note, index=index):
                return self._noted(note, index)
            case _:
                return None

    def reads_user_memory(self, at: Node) -> bool:
        """Whether the address is one of user memory."""
        places = (at, *(node for _, node in self.resolve(at)))
        return any(getattr(place.type, "space", "kernel") == "user" for place in places)

    def is_typed(self, at: Node) -> bool:
        """Whether the kernel's own types lead to the address: an argument, or a member of a struct
        that is reached so, with nothing computed, and no type that only the plan states."""
        if isinstance(at.type, Pointer) and at.type.assumed:
            return False
        behind = self.referents(at)
        if behind is not None:
            return all(sources.is_typed(node) for sources, node in behind)
        match at:
            case Register() | RawArg() | Field() | Builtin():
                return isinstance(at.type, Pointer)
            case Load(base=base) | Address(base=base):
                return self.is_typed(base)
            case Either(yes=yes, no=no):
                return self.is_typed(yes) and self.is_typed(no)
            case Convert(value=value):
                return self._is_base_class(at, value) and self.is_typed(value)
            case _:
                return False

    def _is_base_class(self, node: Node, value: Node) -> bool:
        """A struct tcp_sock begins with a struct sock (include/net/sock.h): the same address."""
        names = [next(self._structs_around(one), "") for one in (node, value)]
        return names[0] == "sock" and names[1].endswith("sock")

    def is_plain(self, at: Node) -> bool:
        """Whether the address is one that the program or the kernel states: an argument, a return
        value or a number in memory, with nothing added. Text that is read there is read from its
        beginning. An address of user memory must be of the current task: what another task states
        would be an offset into this one's memory."""
        return self._is_stated(at, of_current=self.reads_user_memory(at))

    def _is_stated(self, at: Node, *, of_current: bool) -> bool:
        if of_current and isinstance(at, NoteValue):  # of an event that another task may have made
            return False
        behind = self.referents(at)
        if behind is not None:
            return all(s._is_stated(node, of_current=of_current) for s, node in behind)
        match at:
            case Register() | RawArg() | UsdtArg() | Field() | Builtin(name="retval"):
                return True
            case Load(base=base, bit_size=bits):
                is_whole = not bits and size_of(at.type) == _ADDRESS_BYTES
                return is_whole and (not of_current or self._is_of_current_task(base))
            case Convert(value=value):
                is_whole = size_of(at.type) == _ADDRESS_BYTES
                return is_whole and self._is_stated(value, of_current=of_current)
            case Address(base=base, offset=0):
                return self._is_stated(base, of_current=of_current)
            case Address():
                return not of_current and self.is_typed(at)
            case _:
                return False

    def _is_of_current_task(self, at: Node) -> bool:
        """Whether what is at the address belongs to the current task: its memory, its saved
        registers, or what its task_struct leads to."""
        if self.reads_user_memory(at):
            return True
        if not REGISTER_STRUCTS.isdisjoint(self._structs_around(at)):
            return True
        return all(sources._starts_at_current(node) for sources, node in self.resolve(at))

    def _starts_at_current(self, node: Node) -> bool:
        match node:
            case Load(base=base) | Address(base=base):
                return self._is_of_current_task(base)
            case Builtin(name="running_task"):
                return True
            case Builtin(name="task"):
                return self._of_running_task
            case RawArg(index=0):  # include/trace/events/sched.h: called by the task that execs
                return self._event == "sched_process_exec"
            case _:
                return False

    def pointee_size(self, at: Node) -> int:
        """Bytes of what the kernel's types say is there; 0: they say nothing."""
        btf = self._facts.btf
        type_id = _pointee_of(at)
        is_known = btf is not None and 0 < type_id < OWN_TYPES
        return btf.type(type_id).size if btf is not None and is_known else 0

    def _is_own(self, at: Node) -> bool:
        """Whether a type that is not the kernel's leads to the address."""
        return any(_pointee_of(node) >= OWN_TYPES for _, node in self.resolve(at))

    def _structs_around(self, at: Node) -> Iterator[str]:
        """The names of the structs of which `at` is the address or a member, from the inside."""
        btf = self._facts.btf
        for _, start in self.resolve(at) if btf is not None else ():
            node = start
            while True:
                kind = node.type
                type_id = getattr(kind, "target", 0) or getattr(kind, "type_id", 0)
                if 0 < type_id < OWN_TYPES and btf is not None:
                    yield btf.type(type_id).name
                if not isinstance(node, Address):
                    break
                node = node.base
