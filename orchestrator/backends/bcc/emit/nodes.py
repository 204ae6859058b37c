"""A typed node as a C expression.

Expressions are pure; a read is a GNU statement expression that sets `fault` when the memory is not
there, and evaluation goes on with 0. Whoever evaluates a whole expression resets `fault` before
and looks at it after. Short-circuit evaluation is C's own. Definitions (`let`) become local
variables in front of the expression that uses them first: reading is without effects, so
evaluating one that turns out not to be needed changes nothing but time, and its fault counts only
where it is used.
"""

from dataclasses import dataclass, field

from orchestrator.backends.bcc.design import registers
from orchestrator.backends.bcc.emit import stacks as emit_stacks
from orchestrator.backends.bcc.emit.writer import Writer, comment_text
from orchestrator.compile.describe import describe
from orchestrator.compile.expressions import nodes
from orchestrator.compile.expressions.nodes import (
    Address,
    Arithmetic,
    Builtin,
    ByteSwap,
    Captured,
    Combination,
    Comparison,
    Const,
    Convert,
    Either,
    Field,
    Kept,
    LetRef,
    Load,
    Node,
    ParamRef,
    RawArg,
    Register,
    Seen,
    Shown,
    StringTest,
    UsdtArg,
)
from orchestrator.compile.expressions.types import Bool, Int, Pointer, StackId, Stored, Type
from orchestrator.compile.program import Body, Hook
from orchestrator.kernel.tracepoints import TraceField, Tracepoint

CUT_BIT = 32  # pp_frame.nulls: from here on a bit for each string that was cut
CONTEXT_FIRST_FIELD = 8  # perf puts a pointer to the registers over a record's first 8 bytes


class EmitError(Exception):
    """A node that cannot be computed at this place; the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What one C function can see: its context's form, and the offsets in task_struct."""

    hook: Hook
    side: str
    access: registers.Access
    arch: str
    record: Tracepoint | None = None
    task_offsets: dict[str, int] = field(default_factory=dict)

    @property
    def body(self) -> Body:
        """What is evaluated here."""
        return self.hook.body


def c_type(kind: Type) -> str:
    """The C type that holds a number of this type; pointers are u64."""
    match kind:
        case Int(name=name):
            return name
        case Bool():
            return "u8"
        case Pointer() | StackId():
            return "u64"
        case _:
            raise EmitError(f"a {kind} is no number")


def literal(value: int, kind: Type) -> str:
    """An integer constant of exactly this type."""
    if isinstance(kind, Int) and kind.signed:
        text = "(-9223372036854775807LL - 1)" if value == -(1 << 63) else f"{value}LL"
    else:
        text = f"{value & (1 << 64) - 1}ULL"
    return f"({c_type(kind)}){text}"


def may_be_null(node: Node, body: Body) -> bool:
    """Whether evaluating `node` at a hook with this body can fail."""
    captures = body.entry.captures if body.entry is not None else ()
    return nodes.may_be_null(node, [let.node for let in body.lets], captures)


class Expressions:
    """Nodes to C at one site; what has to stand before an expression goes to the writer."""

    def __init__(self, site: Site, writer: Writer) -> None:
        self.site = site
        self.writer = writer

    def number(self, node: Node) -> str:  # noqa: PLR0912  # one case a node kind
        """A C expression of type c_type(node.type)."""
        match node:
            case Const(value=value, type=kind):
                return literal(value, kind)
            case ParamRef(slot=slot, type=kind):
                return f"({c_type(kind)})control->param[{slot}]"
            case Builtin():
                return self._builtin(node)
            case Register(index=index, type=kind):
                return f"({c_type(kind)}){self._word(self._argument(index))}"
            case RawArg(index=index, type=kind):
                return f"({c_type(kind)}){self._word(index)}"
            case Field(field=found, type=kind):
                return self._field(found, kind)
            case UsdtArg():
                return self._usdt(node)
            case Load():
                return self._load(node)
            case Address(base=base, offset=offset):
                return f"({self.number(base)} + {offset}ULL)"
            case Arithmetic():
                return self._arithmetic(node)
            case Comparison(op=op, left=left, right=right):
                return f"({self.number(left)} {op} {self.number(right)})"
            case Combination():
                return self._combination(node)
            case Either(test=test, yes=yes, no=no, type=kind):
                arms = f"PP_ARM({self.number(yes)}) : PP_ARM({self.number(no)})"
                return f"({c_type(kind)})({self.number(test)} ? {arms})"
            case Convert(value=value, type=kind):
                return self._converted(value, kind)
            case StringTest():
                from orchestrator.backends.bcc.emit.strings import Strings

                return Strings(self).test(node)
            case ByteSwap(value=value, type=kind):
                swapped = f"__builtin_bswap{kind.bits}({self.number(value)})"
                return f"({c_type(kind)}){swapped}"
            case LetRef(index=index):
                return self._let(index)
            case Captured(index=index):
                return f"({self.captured_guard(index)}frame->c{index})"
            case Kept(index=index):
                return f"({self.kept_guard(node)}open->c{index})"
            case Seen():
                return "open->head.seen"
            case Shown(value=value, type=kind):
                return f"({c_type(kind)})({self.number(value)})"
            case _:
                raise EmitError(f"{describe(node, self.site.body)} is no number")

    # -- leaves --------------------------------------------------------------------------------

    def _builtin(self, node: Builtin) -> str:
        return f"({c_type(node.type)}){self._moment(node)}"

    def _moment(self, node: Builtin) -> str:
        match node.name:
            case "pid" | "tid" | "uid" | "gid":
                return self._identity(node.name)
            case "cpu":
                return "pp_cpu()"
            case "cgroup":
                return "pp_cgroup_id()"
            case "now":
                return self.now()
            case "elapsed":
                return f"({self.now()} - frame->head.time)"
            case "retval":
                return self._returned()
            case "open_for":
                return f"({self.now()} - open->head.time)"
            case "task":
                return "task" if isinstance(self.site.body.task, Node) else "pp_task()"
            case "kstack" | "ustack":
                return self._stack(node.name)
        raise EmitError(f"`{node.name}` is no number")

    def _stack(self, name: str) -> str:
        """Declare `kstack` or `ustack`, taken once an event."""
        if self.writer.once(name):
            taken = emit_stacks.taken(name, self.site.hook.kind, self.site.task_offsets.get("mm"))
            self.writer.line(f"u64 {name} = {taken};")
        return name

    def _identity(self, name: str) -> str:
        if self.site.body.task == "none":
            raise EmitError(f"`{name}` means nothing under `task: none`")
        if self.site.body.task is not None:
            return name
        if name in ("pid", "tid"):
            self.identities()
            return name
        return "(u32)pp_uid_gid()" if name == "uid" else "(u32)(pp_uid_gid() >> 32)"

    def identities(self) -> None:
        """Declare `pid` and `tid` of the current task."""
        if self.writer.once("pid"):
            self.writer.line("u64 identity = pp_pid_tgid();")
            self.writer.line("u32 pid = (u32)(identity >> 32), tid = (u32)identity;")

    def now(self) -> str:
        """Declare `now`, the time of this event."""
        if self.writer.once("now"):
            self.writer.line("u64 now = pp_ktime_ns();")
        return "now"

    def _argument(self, index: int) -> int:
        if self.site.access == "arguments":
            return index
        place = registers.argument(self.site.arch, index)
        if place is None:
            raise EmitError(f"argument {index} is not in a register on {self.site.arch}")
        return place

    def _returned(self) -> str:
        match self.site.access:
            case "registers":
                return self._word(registers.returned(self.site.arch))
            case "arguments":
                if self.site.hook.arguments is None:
                    raise EmitError("the number of arguments is unknown, so `retval` is too")
                return self._word(self.site.hook.arguments)
            case "record":
                found = self.site.record.field("ret") if self.site.record else None
                if found is None:
                    raise EmitError("the event has no field `ret`")
                return self._raw_field(found)

    def _word(self, index: int) -> str:
        """A word of the context."""
        return self._of_context(f"ctx_{index}", "u64", f"ctx[{index}]")

    def _of_context(self, name: str, kind: str, value: str) -> str:
        """A value of the context, read at the top of the function. Read where it is used, by more
        than one branch, the compiler takes the address first, and the verifier refuses that:
        "dereference of modified ctx ptr" (kernel/bpf/verifier.c, check_ptr_off_reg)."""
        self.writer.at_top(name, f"{kind} {name} = {value};", f"PP_OPAQUE({name});")
        return name

    def _field(self, found: TraceField, kind: Type) -> str:
        if isinstance(kind, Pointer) and found.kind in ("array", "dynamic"):
            return self.field_address(found)
        return f"({c_type(kind)})({self._raw_field(found)})"

    def _raw_field(self, found: TraceField) -> str:
        """A load at a constant, aligned offset, which is all that the verifier allows
        (kernel/trace/bpf_trace.c, tp_prog_is_valid_access); others are read through a helper."""
        if found.offset < CONTEXT_FIRST_FIELD:
            raise EmitError(f"field {found.name!r} cannot be read from a program")
        whole = f"{'s' if found.signed else 'u'}{found.size * 8}"
        if found.size not in (1, 2, 4, 8):
            raise EmitError(f"field {found.name!r} of {found.size} bytes is no number")
        place = f"((char *)ctx + {found.offset})"
        if found.offset % found.size == 0:
            wide = f"{'s' if found.signed else 'u'}64"
            return (
                f"({whole}){self._of_context(f'at_{found.offset}', wide, f'*({whole} *){place}')}"
            )
        return f"({{ {whole} v = 0; pp_read(0, &v, sizeof v, (u64){place}); v; }})"

    def field_address(self, found: TraceField) -> str:
        """Where a string or array of the record lies."""
        own = f"(u64)((char *)ctx + {found.offset})"
        if found.kind in ("data_loc", "rel_loc", "dynamic"):
            relative = found.kind == "rel_loc" or found.ctype.startswith("__rel_loc")
            word = f"*(u32 *)((char *)ctx + {found.offset})"
            location = f"({self._of_context(f'at_{found.offset}', 'u64', word)} & 0xffff)"
            start = f" + {found.offset + 4}" if relative else ""
            return f"((u64)(char *)ctx + {location}{start})"
        return own

    def _usdt(self, node: UsdtArg) -> str:
        operand = registers.parse_operand(node.operand, self.site.arch)
        if operand is None:
            raise EmitError(f"USDT argument {node.operand!r} has a form that we do not know")
        raw = f"{'s' if operand.signed else 'u'}{operand.size * 8}"
        if operand.constant is not None:
            return f"({c_type(node.type)})({raw}){operand.constant}LL"
        if operand.register is not None:
            return f"({c_type(node.type)})({raw}){self._word(operand.register)}"
        parts = [f"({operand.displacement}LL)"]
        if operand.base is not None:
            parts.append(self._word(operand.base))
        if operand.index is not None:
            parts.append(f"{self._word(operand.index)} * {operand.scale}")
        return f"({c_type(node.type)}){read(raw, True, ' + '.join(parts))}"

    # -- memory --------------------------------------------------------------------------------

    def _load(self, node: Load) -> str:
        user = is_user(node.base)
        address = f"{self.number(node.base)} + {node.offset}ULL"
        if not node.bit_size:
            return read(c_type(node.type), user, address)
        assert isinstance(node.type, Int)
        up = node.type.bits - node.bit_size - node.bit_offset
        down = node.type.bits - node.bit_size
        whole = read(f"u{node.type.bits}", user, address)
        return f"({c_type(node.type)})(({c_type(node.type)})({whole} << {up}) >> {down})"

    def _let(self, index: int) -> str:
        let = self.site.body.lets[index]
        name = f"let_{index}"
        if isinstance(let.node.type, Stored):
            raise EmitError(f"`{let.name}` is a {let.node.type} where a number is needed")
        nullable = may_be_null(let.node, self.site.body)
        if self.writer.once(name):
            value = self.number(let.node)
            text = comment_text(f"{let.name} = {describe(let.node, self.site.body)}")
            self.writer.line(f"/* let {text} */")
            if nullable:
                self.writer.line("fault = 0;")
            self.writer.line(f"{c_type(let.node.type)} {name} = {value};")
            if nullable:
                self.writer.line(f"u32 {name}_null = fault;")
        return f"({name}_null ? (fault = 1, {name}) : {name})" if nullable else name

    def captured_guard(self, index: int) -> str:
        """Makes the expression null when the value could not be read at the entry."""
        entry = self.site.body.entry
        assert entry is not None
        if not may_be_null(entry.captures[index], self.site.body):
            return ""
        return f"(frame->head.nulls >> {index} & 1 ? fault = 1 : 0), "

    def kept_guard(self, node: Kept) -> str:
        """The same of a value that an open span keeps."""
        if not node.nullable:
            return ""
        return f"(open->head.nulls >> {node.index} & 1 ? fault = 1 : 0), "

    # -- operations ----------------------------------------------------------------------------

    def _arithmetic(self, node: Arithmetic) -> str:
        kind, left = c_type(node.type), self.number(node.left)
        wide = f"u{max(node.type.bits, 32)}"  # unsigned, and no promotion to int: overflow wraps
        if node.right is None:
            return f"({kind})({'0 -' if node.op == '-' else '~'} ({wide})({left}))"
        right = self.number(node.right)
        if node.op in ("//", "%"):
            return self._division(node, left, right)
        if node.op in ("min", "max"):
            than = "<" if node.op == "min" else ">"
            return f"({{ {kind} a = {left}; {kind} b = {right}; a {than} b ? a : b; }})"
        if node.op in ("<<", ">>"):
            count = f"((u32)({right}) & {node.type.bits - 1})"
            shifted = f"({wide})({left})" if node.op == "<<" else f"({kind})({left})"
            return f"({kind})({shifted} {node.op} {count})"
        return f"({kind})(({wide})({left}) {node.op} ({wide})({right}))"

    def _division(self, node: Arithmetic, left: str, right: str) -> str:
        sign = "s" if node.type.signed else "u"
        name = f"pp_{sign}{'div' if node.op == '//' else 'mod'}"
        return f"({c_type(node.type)}){name}({left}, {right}, &ledger->division_by_zero)"

    def _combination(self, node: Combination) -> str:
        if node.op == "not":
            return f"(!{self.number(node.operands[0])})"
        joint = " && " if node.op == "and" else " || "
        return f"({joint.join(map(self.number, node.operands))})"

    def _converted(self, value: Node, kind: Type) -> str:
        text = self.number(value)
        return f"({text} != 0)" if isinstance(kind, Bool) else f"({c_type(kind)})({text})"


def read(kind: str, user: bool, address: str) -> str:
    """A C expression: the `kind` at `address`; 0 and `fault` when it is not there."""
    return f"({{ {kind} v = 0; if (pp_read({int(user)}, &v, sizeof v, {address})) fault = 1; v; }})"


def is_user(pointer: Node) -> bool:
    """Whether what `pointer` points to is user memory."""
    return isinstance(pointer.type, Pointer) and pointer.type.space == "user"
