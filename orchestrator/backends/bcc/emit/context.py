"""What a C function reads from the event itself: its context, its task, its open call or span.

Nothing here evaluates other nodes, so the modules that do can build on it.
"""

from orchestrator.backends.bcc.design import registers
from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.backends.bcc.emit import stacks as emit_stacks
from orchestrator.backends.bcc.emit.site import EmitError, EmitSite, c_type, read_number
from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.compile.expressions.nodes import Builtin, Node, SpanValue, UsdtArg
from orchestrator.compile.expressions.types import Pointer, Type
from orchestrator.kernel.syscalls import COMPAT_FLAGS
from orchestrator.kernel.tracepoints import TraceField

__all__ = ["CUT_BIT", "EventContext"]

CUT_BIT = 32  # pp_frame.nulls: from here on one bit for each value that was cut
WORD_BYTES = 8
CONTEXT_FIRST_FIELD = 8  # perf puts a pointer to the registers over a record's first 8 bytes


class EventContext:
    """C expressions for the values of one event at `site`; declarations go to `writer`."""

    def __init__(self, site: EmitSite, writer: CWriter) -> None:
        self.site, self.writer = site, writer
        self._words: dict[str, str] = {}

    # -- values of the moment ------------------------------------------------------------------

    def read_builtin(self, node: Builtin) -> str:
        """A C expression of type c_type(node.type). Raises EmitError where it has no value."""
        return f"({c_type(node.type)}){self._builtin_value(node)}"

    def _builtin_value(self, node: Builtin) -> str:
        match node.name:
            case "pid" | "tid" | "uid" | "gid":
                return self._find_id(node.name)
            case "cpu":
                return "pp_cpu()"
            case "cgroup":
                return self._declare_cgroup()
            case "compat":
                return self._in_compat_call()
            case "now":
                return self.declare_now()
            case "elapsed":
                return f"({self.declare_now()} - frame->head.time)"
            case "retval":
                return self._return_value()
            case "open_for":
                return f"({self.declare_now()} - open->head.time)"
            case "depth":
                return "depth"  # declared where the end looks for its span
            case "task":
                return "task" if isinstance(self.site.body.task, Node) else "pp_task()"
            case "running_task":
                return "pp_task()"
            case "kstack" | "ustack":
                return self._declare_stack(node)
        raise EmitError(f"`{node.name}` is not a number")

    def _in_compat_call(self) -> str:
        """A C expression, 0 or 1: a bit of the running task's thread_info, which can be read."""
        flag = COMPAT_FLAGS.get(self.site.arch)
        if "compat" not in self.site.task_offsets or flag is None:
            raise EmitError("`compat` cannot be read: this kernel's thread_info is not known")
        at = self.site.task_member("pp_task()", "compat")
        return f"({{ u32 v = 0; pp_read(0, &v, sizeof v, {at}); (v & {flag.mask:#x}U) != 0; }})"

    def _declare_stack(self, node: Builtin) -> str:
        """Declare `kstack` or `ustack`, of any depth, call once per event."""
        name = f"{node.name}_{node.depth}" if node.depth else node.name
        if self.writer.once(name):
            call = emit_stacks.take_stack(node, self.site)
            self.writer.line(f"u64 {name} = {call};")
        return name

    def _find_id(self, name: str) -> str:
        if self.site.body.task == "none":
            raise EmitError(f"`{name}` has no value under `task: none`")
        if self.site.body.task is not None:
            return name
        if name in ("pid", "tid"):
            self.declare_ids()
            return name
        return "(u32)pp_uid_gid()" if name == "uid" else "(u32)(pp_uid_gid() >> 32)"

    def _declare_cgroup(self) -> str:
        """Declare the cgroup's id: another process may move the task meanwhile."""
        if self.writer.once("cgroup_id"):
            self.writer.line("u64 cgroup_id = pp_cgroup_id();")
        return "cgroup_id"

    def declare_ids(self) -> None:
        """Declare `pid` and `tid` of the current task."""
        if self.writer.once("pid"):
            self.writer.line("u64 identity = pp_pid_tgid();")
            self.writer.line("u32 pid = (u32)(identity >> 32), tid = (u32)identity;")

    def declare_now(self) -> str:
        """Declare `now`, the time of this event (CLOCK_MONOTONIC, ns), and return its name."""
        if self.writer.once("now"):
            self.writer.line("u64 now = pp_ktime_ns();")
        return "now"

    # -- the program's context -----------------------------------------------------------------

    def read_argument(self, index: int, name: str = "") -> str:
        """The function's argument number `index`, as u64, called `name` where it was found by its
        name. Raises EmitError."""
        if self.site.access == "arguments":
            return self.read_word(index, name)
        word = registers.find_argument(self.site.arch, index)
        if word is None:
            raise EmitError(f"argument {index} is not in a register on {self.site.arch}")
        return self.read_word(word, name)

    def read_word(self, index: int, name: str = "") -> str:
        """A u64 word of the context. `name`: of the argument in it, if it was found by its name, so
        that another kernel may have it in another word."""
        if not name:
            return self._read_context("u64", f"ctx[{index}]")
        hook = self.site.hook
        owner = hook.symbol or hook.event
        word = self.site.numbers.record("u64", f"{owner}({name})", index * WORD_BYTES)
        return self._read_context("u64", word)

    def _read_context(self, kind: str, value: str) -> str:
        """A value of the context, read at the top of the function. If it were read where it is
        used, in several branches, the compiler would compute the address first, and the verifier
        refuses that: "dereference of modified ctx ptr" (kernel/bpf/verifier.c,
        check_ptr_off_reg)."""
        name = self._words.setdefault(value, f"word_{len(self._words)}")
        self.writer.at_top(name, f"{kind} {name} = {value};", f"PP_OPAQUE({name});")
        return name

    def _return_value(self) -> str:
        match self.site.access:
            case "registers":
                return self.read_word(registers.find_return(self.site.arch))
            case "arguments":
                if self.site.hook.arguments is None:
                    raise EmitError("the number of arguments is unknown, so `retval` is too")
                return self.read_word(self.site.hook.arguments, "return value")
            case "record":
                ret = self.site.record.field("ret") if self.site.record else None
                if ret is None:
                    raise EmitError("the event has no field `ret`")
                return self._field_number(ret)

    def read_field(self, field: TraceField, kind: Type) -> str:
        """A field of the event's record as a number; of an array its address. Raises EmitError."""
        if isinstance(kind, Pointer) and field.kind in ("array", "dynamic"):
            return self.field_address(field)
        return f"({c_type(kind)})({self._field_number(field)})"

    def _field_number(self, field: TraceField) -> str:
        """A load at a constant, aligned offset, which is all that the verifier allows
        (kernel/trace/bpf_trace.c, tp_prog_is_valid_access); others are read through a helper."""
        if field.offset < CONTEXT_FIRST_FIELD:
            raise EmitError(f"field {field.name!r} cannot be read from a program")
        sign = "s" if field.signed else "u"
        whole = f"{sign}{field.size * 8}"
        if field.size not in (1, 2, 4, 8):
            raise EmitError(f"field {field.name!r} of {field.size} bytes is not a number")
        if field.offset % field.size == 0:
            word = self._record_word(f"u{field.size * 8}", field)
            return f"({whole}){self._read_context(f'{sign}64', f'({whole}){word}')}"
        return f"({{ {whole} v = 0; pp_read(0, &v, sizeof v, {self._record_address(field)}); v; }})"

    def _record_word(self, kind: str, field: TraceField) -> str:
        return self.site.numbers.record(kind, self._name_field(field), field.offset)

    def _record_address(self, field: TraceField) -> str:
        return self.site.numbers.member("(u64)ctx", self._name_field(field), field.offset)

    def _name_field(self, field: TraceField) -> str:
        record = self.site.record
        return f"{record.category}:{record.event}.{field.name}" if record else field.name

    def field_address(self, field: TraceField) -> str:
        """The address of a string or array of the record."""
        if field.kind not in ("data_loc", "rel_loc", "dynamic"):
            return self._record_address(field)
        relative = field.kind == "rel_loc" or field.ctype.startswith("__rel_loc")
        word = self._record_word("u32", field)
        location = f"({self._read_context('u64', word)} & 0xffff)"
        start = f"{self._record_address(field)} + 4" if relative else "(u64)ctx"
        return f"({start} + {location})"

    def read_usdt(self, node: UsdtArg) -> str:
        """A USDT argument as a number. Raises EmitError for an operand of unknown form."""
        operand = registers.parse_operand(node.operand, self.site.arch)
        if operand is None:
            raise EmitError(
                f"USDT argument {node.operand!r} is none of the forms that are supported, with "
                f"registers of {self.site.arch}"
            )
        raw = f"{'s' if operand.signed else 'u'}{operand.size * 8}"
        if operand.constant is not None:
            return f"({c_type(node.type)})({raw}){operand.constant}LL"
        if operand.register is not None:
            return f"({c_type(node.type)})({raw}){self.read_word(operand.register)}"
        parts = [f"({operand.displacement}LL)"]
        if operand.base is not None:
            parts.append(self.read_word(operand.base))
        if operand.index is not None:
            parts.append(f"{self.read_word(operand.index)} * {operand.scale}")
        return f"({c_type(node.type)}){read_number(raw, True, ' + '.join(parts))}"

    # -- values kept by an open call or span ---------------------------------------------------

    def captured_guard(self, index: int) -> str:
        """A C expression to put before another, which makes it null when the value could not be
        read at the entry. "" when it can always be read."""
        entry = self.site.body.entry
        assert entry is not None
        if not may_be_null(entry.captures[index], self.site.body):
            return ""
        return f"(frame->head.nulls >> {index} & 1 ? fault = 1 : 0), "

    @staticmethod
    def kept_guard(node: SpanValue) -> str:
        """The same for a value that an open span keeps."""
        if not node.nullable:
            return ""
        return f"(open->head.nulls >> {node.index} & 1 ? fault = 1 : 0), "
