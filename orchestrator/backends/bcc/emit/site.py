"""What one C function can see, and the C types that hold numbers."""

from dataclasses import field

from orchestrator.backends.bcc.design import registers
from orchestrator.backends.bcc.design.joining import COOKIE_HOOK
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.compile.expressions.nodes import Node, ValueWhere
from orchestrator.compile.expressions.types import (
    Array,
    Bool,
    Int,
    Pointer,
    StackId,
    Struct,
    Type,
)
from orchestrator.compile.program import Body, Hook, NoteProgram
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.values import dataclass

__all__ = ["CGROUP_OFFSETS", "TASK_MEMBERS", "EmitError", "EmitSite"]
__all__ += ["c_type", "given_where", "is_user", "read_number"]


#: Members that programs read although no plan names them: the whole name by that in `task_offsets`.
TASK_MEMBERS = {
    "pid": "task_struct.pid",
    "tgid": "task_struct.tgid",
    "comm": "task_struct.comm",
    "cred": "task_struct.cred",
    "mm": "task_struct.mm",
    "signal": "task_struct.signal",
    "utask": "task_struct.utask",
    "exit_state": "task_struct.exit_state",
    "compat": "task_struct.thread_info.flags",
    "uid": "cred.uid",
    "gid": "cred.gid",
    "live": "signal_struct.live",
    "depth": "uprobe_task.depth",
    "exe_file": "mm_struct.exe_file",
    "f_inode": "file.f_inode",
    "i_ino": "inode.i_ino",
    "i_sb": "inode.i_sb",
    "s_dev": "super_block.s_dev",
    "thread_pid": "task_struct.thread_pid",
    "level": "pid.level",
    "numbers": "pid.numbers",
    "upid_ns": "upid.ns",
    "inum": "pid_namespace.ns.inum",
    "cgroup_root": "cgroup.root",
    "cgroup_hierarchy_id": "cgroup_root.hierarchy_id",
    "cgroup_level": "cgroup.level",
    "cgroup_kn": "cgroup.kn",
    "cgroup_id": "kernfs_node.id",
}
#: Those of cgroups, by which they are followed.
CGROUP_OFFSETS = {name for name in TASK_MEMBERS if name.startswith("cgroup_")}


class EmitError(Exception):
    """A node that cannot be computed at this place; the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitSite:
    """What one C function can see: the form of its context, the event's record, and the offsets of
    members in task_struct and cred, in bytes by name. `numbers`: those that the text leaves
    open; `notes`: all of the plan's, with their elements of the ledger; `follows_cgroups`: those
    that match the target's patterns are in a map; `joined`: the function serves more hooks than
    `hook`, and a cookie says which (design/joining.py)."""

    hook: Hook
    side: str
    access: registers.Access
    arch: str
    record: Tracepoint | None = None
    task_offsets: dict[str, int] = field(default_factory=dict)
    numbers: OpenNumbers = field(default_factory=OpenNumbers)
    notes: tuple[NoteProgram, ...] = ()
    note_elements: tuple[int, ...] = ()
    follows_cgroups: bool = False
    joined: bool = False

    def task_member(self, base: str, name: str) -> str:
        """The address of the member `name` (of TASK_MEMBERS) of the structure at `base`."""
        return self.numbers.member(base, TASK_MEMBERS[name], self.task_offsets[name])

    def task_offset(self, name: str) -> str:
        """The offset of the member `name` (of TASK_MEMBERS) in its structure."""
        return self.numbers.number(TASK_MEMBERS[name], self.task_offsets[name])

    @property
    def body(self) -> Body:
        """What is evaluated here."""
        return self.hook.body

    @property
    def hook_number(self) -> str:
        """A C expression: the id of the hook whose event this is."""
        return COOKIE_HOOK if self.joined else str(self.hook.id)

    @property
    def at_trampoline(self) -> bool:
        """Whether a trampoline of a kernel function calls the program."""
        return self.access == "arguments" and bool(self.hook.symbol)


def c_type(kind: Type) -> str:
    """The C type that holds a number of this type; pointers are u64. Raises EmitError."""
    match kind:
        case Int(name=name):
            return name
        case Bool():
            return "u8"
        case Pointer() | StackId():
            return "u64"
        case _:
            raise EmitError(f"a {kind} is not a number")


def is_user(pointer: Node) -> bool:
    """Whether `pointer`, or the address of what is within a structure, is of user memory."""
    return isinstance(pointer.type, Pointer | Struct | Array) and pointer.type.space == "user"


def given_where(node: ValueWhere, subject: str, kind: str, value: str) -> str:
    """A C expression: `value`, of the C type `kind`, which is evaluated only where there is one;
    0, and `fault` set, elsewhere. `subject`: the C expression of that number."""
    test = " || ".join(f"subject == {number}" for number in node.among)
    return (
        f"({{ u32 subject = {subject}; {kind} given = 0; "
        f"if ({test}) given = {value}; else fault = 1; given; }})"
    )


def read_number(kind: str, user: bool, address: str) -> str:
    """A C expression: the `kind` at `address`; 0, and `fault` set, when the read fails."""
    return f"({{ {kind} v = 0; if (pp_read({int(user)}, &v, sizeof v, {address})) fault = 1; v; }})"
