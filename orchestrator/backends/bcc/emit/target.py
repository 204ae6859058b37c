"""The task that an event belongs to, and the plan's test of it."""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.backends.bcc.design.hook_nodes import nodes_at_hook
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.following.cgroups import is_matching
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.site import EmitError, EmitSite
from orchestrator.backends.bcc.emit.strings import words_of
from orchestrator.compile.expressions.nodes import Builtin, Node
from orchestrator.compile.expressions.types import COMM_SIZE, U32
from orchestrator.compile.program import Program, ResolvedKeys, ResolvedLeftOut, ResolvedTarget
from orchestrator.kernel.abi.cgroups import matches_pattern
from orchestrator.kernel.abi.executables import ExecutableId

_EXECUTABLE = ("mm", "exe_file", "f_inode", "i_ino", "i_sb", "s_dev")
_NAMESPACE = ("thread_pid", "level", "numbers", "upid_ns", "inum")
_MOST_CGROUPS = 64  # each is a call of a helper
_UPID_BYTES = 16  # struct upid, a number and a pointer (include/linux/pid.h)


class TargetTest:
    """Statements that drop the events of tasks outside the target."""

    def __init__(
        self, expressions: Expressions, program: Program, refuse: str = "DROP(not_target);"
    ) -> None:
        """`refuse`: the statement for an event outside the target."""
        self.e, self.program, self.refuse = expressions, program, refuse
        self.line = expressions.writer.line

    def identify_task(self) -> None:
        """With `task: EXPR`, read that task's ids; an event where they cannot be read is
        filtered."""
        task = self.e.site.body.task
        if task in (None, "none"):
            return
        site = self.e.site
        address = self.e.number(task)  # type: ignore[arg-type]  # neither None nor "none": a node
        self.e.writer.comment("the task that the event belongs to")
        self.line("fault = 0;")
        self.line(f"u64 task = {address};")
        self.line("u32 pid = 0, tid = 0;")
        self._read_id("pid", site.task_member("task", "tgid"))
        self._read_id("tid", site.task_member("task", "pid"))
        for name in self._used_credentials():
            self.line(f"u32 {name} = 0;")
            with self.e.writer.block():
                self.line("u64 credentials = 0;")
                place = site.task_member("task", "cred")
                self.line(f"fault |= pp_read(0, &credentials, 8, {place}) != 0;")
                self._read_id(name, site.task_member("credentials", name))
        self.line("if (fault) {")
        self.line("\tCOUNT(faulted);")
        self.line("\tDROP(filtered);")
        self.line("}")
        for name in ("pid", "tid", "uid", "gid"):
            self.e.writer.once(name)

    def _read_id(self, name: str, address: str) -> None:
        self.line(f"fault |= pp_read(0, &{name}, 4, {address}) != 0;")

    def _used_credentials(self) -> list[str]:
        body, target = self.e.site.body, self.program.target
        used = {node.name for node in nodes_at_hook(body) if isinstance(node, Builtin)}
        return [
            name
            for name in ("uid", "gid")
            if name in used or (name == "uid" and (target.uid or target.left_out.uid))
        ]

    def test_target(self) -> None:
        """Drop events outside the target, cheapest tests first. Raises EmitError."""
        target = self.program.target
        if self.e.site.body.task == "none" or not _tests_anything(target):
            return
        self.e.writer.comment(f"target: {describe_target(target)}")
        others = target.left_out
        if target.exclude_self or _names_tasks(target) or _names_tasks(others):
            self.e.declare_ids()
        if target.exclude_self:
            self._drop_if("pid == (u32)control->self")
        self._test_ids(target)
        self._leave_out_ids(others)
        self._test_users(target.uid, others.uid)
        self._drop_unless(self._cgroup_tests(target, "target"))
        self._drop_any(self._cgroup_tests(others, "left_out"))
        self._test_programs(target, others)
        self._test_namespaces(target.pidns, others.pidns)
        self._test_names(() if "*" in target.comm else target.comm, others.comm)

    def _test_ids(self, target: ResolvedTarget) -> None:
        tests = ["is_target_process(pid)"] if target.pid else []
        tests += ["is_followed(tid)"] if target.children else []
        self._drop_unless(tests)
        self._drop_unless(["is_target_thread(tid)"] if target.tid else [])

    def _leave_out_ids(self, others: ResolvedLeftOut) -> None:
        numbers = self.e.site.numbers
        self._drop_any(compare_ids("pid", "not.pid", others.pid, numbers))
        self._drop_any(compare_ids("tid", "not.tid", others.tid, numbers))
        self._drop_any(["is_left_out(tid)"] if others.children else [])

    def _test_users(self, users: Sequence[int], others: Sequence[int]) -> None:
        if users or others:
            self.line(f"u32 owner = {self.e.number(Builtin('uid', U32))};")
        self._drop_unless(compare_ids("owner", "uid", users, self.e.site.numbers))
        self._drop_any(compare_ids("owner", "not.uid", others, self.e.site.numbers))

    def _cgroup_tests(self, keys: ResolvedKeys, role: str) -> list[str]:
        if keys.cgroup and self.e.site.body.task is not None:
            raise EmitError("`target.cgroup` is known only for the current task")
        patterns = keys.patterns if self.e.site.follows_cgroups else ()
        named = [
            (path, number)
            for path, number in keys.cgroup
            if not any(matches_pattern(path, pattern) for pattern in patterns)
        ]
        return [*self._named_tests(named), *(is_matching(one, role) for one in patterns)]

    def _named_tests(self, cgroups: Sequence[tuple[str, int | None]]) -> list[str]:
        if len(cgroups) > _MOST_CGROUPS:
            raise EmitError(
                f"`target.cgroup` leads to {len(cgroups)} cgroups, and at most {_MOST_CGROUPS} are "
                "tested: name one above them"
            )
        tests = []
        for path, number in cgroups:
            level = len([part for part in path.split("/") if part])
            if number is None:
                if path.endswith("*"):
                    raise EmitError(f"no cgroup matches {path!r} on this host")
                raise EmitError(f"cgroup {path!r} is not known on this host")
            shown = path.encode("ascii", "backslashreplace").decode()  # hosts have any bytes
            known = self.e.site.numbers.number(f"target.cgroup {shown}", number)
            tests.append(f"pp_ancestor_cgroup_id({level}) == {known}")
        return tests

    def _test_programs(self, target: ResolvedTarget, others: ResolvedLeftOut) -> None:
        if target.exe or others.exe:
            _declare_executable(self.e)
        self._drop_unless(self._program_tests(target.exe))
        self._drop_any(self._program_tests(others.exe))

    def _program_tests(self, programs: Sequence[tuple[str, ExecutableId | None]]) -> list[str]:
        tests = []
        for path, program in programs:
            if program is None:
                raise EmitError(f"target.exe: there is no file {path!r} on this host")
            inode = self.e.site.numbers.number(f"target.exe {path}, inode", program.inode)
            device = self.e.site.numbers.number(f"target.exe {path}, device", program.device)
            tests.append(f"(exe_inode == {inode} && exe_device == (u32){device})")
        return tests

    def _test_namespaces(self, namespaces: Sequence[str], others: Sequence[str]) -> None:
        if namespaces or others:
            _declare_pid_namespace(self.e)
        self._drop_unless(self._namespace_tests("target.pidns", namespaces))
        self._drop_any(self._namespace_tests("target.not.pidns", others))

    def _namespace_tests(self, key: str, namespaces: Sequence[str]) -> list[str]:
        named = {"host": "pid_level == 0", "container": "(pid_level != 0 && pid_level != ~0U)"}
        return [
            named[name]
            if name in named
            else f"pid_space == (u32){self.e.site.numbers.number(key, int(name))}"
            for name in namespaces
        ]

    def _test_names(self, names: Sequence[str], others: Sequence[str]) -> None:
        if not (names or others):
            return
        self.line("u64 name[2] = {};")
        if self.e.site.body.task is None:
            self.line("pp_comm(name, sizeof name);")
        else:
            comm = self.e.site.task_member("task", "comm")
            self.line(f"pp_read_str(0, name, sizeof name, {comm});")
        self._drop_unless([comm_test(glob) for glob in names])
        self._drop_any([comm_test(glob) for glob in others])

    def _drop_unless(self, tests: list[str]) -> None:
        if tests:
            self._drop_if(f"!({' || '.join(tests)})")

    def _drop_any(self, tests: list[str]) -> None:
        if tests:
            self._drop_if(" || ".join(tests))

    def _drop_if(self, condition: str) -> None:
        self.line(f"if ({condition})")
        self.line(f"\t{self.refuse}")


def _names_tasks(target: ResolvedKeys) -> bool:
    return bool(target.pid or target.tid or target.children)


def _tests_anything(target: ResolvedTarget) -> bool:
    return target.exclude_self or replace(target, exclude_self=False) != ResolvedTarget(
        exclude_self=False
    )


def compare_ids(variable: str, kind: str, ids: Sequence[int], numbers: OpenNumbers) -> list[str]:
    """C conditions: `variable` is one of the `target` entry's ids, whose numbers stay open."""
    names = [f"target.{kind}[{index}]" for index in range(len(ids))]
    if len(ids) == 1:
        names = [f"target.{kind}"]
    return [
        f"{variable} == (u32){numbers.number(name, one)}"
        for name, one in zip(names, ids, strict=True)
    ]


def describe_target(target: ResolvedTarget) -> str:
    """The target as one line of text."""
    parts = _describe_lists(target, "in")
    parts += ["the command and its children"] if target.children else []
    parts += ["not probeplan itself"] if target.exclude_self else []
    parts += _describe_lists(target.left_out, "not in")
    parts += ["not the children of those"] if target.left_out.children else []
    return ", ".join(parts)


def _describe_lists(target: ResolvedKeys, how: str) -> list[str]:
    lists: dict[str, Sequence[int | str]] = {
        "pid": target.pid,
        "tid": target.tid,
        "uid": target.uid,
        "comm": target.comm,
        "cgroup": tuple(path for path, _ in target.cgroup),
        "exe": tuple(path for path, _ in target.exe),
        "pidns": target.pidns,
    }
    return [f"{name} {how} ({', '.join(map(str, ids))})" for name, ids in lists.items() if ids]


def comm_test(glob: str) -> str:
    """A C condition on `name` (16 bytes, NUL-padded): an exact name, or one `*` at an end."""
    if glob.endswith("*"):
        return _words_equal(glob[:-1].encode(), 0)
    if not glob.startswith("*"):
        return _words_equal(glob.encode() + b"\0", 0)
    tail = glob[1:].encode() + b"\0"
    starts = range(COMM_SIZE - len(tail) + 1)
    return f"({' || '.join(_words_equal(tail, start) for start in starts)})"


def _words_equal(text: bytes, start: int) -> str:
    """A C condition: the bytes of `name` from `start` on are `text`."""
    placed = words_of(b"\0" * start + text)
    masks = words_of(b"\0" * start + b"\xff" * len(text))
    tests = [
        f"(name[{i}] & {mask:#x}ULL) == {word & mask:#x}ULL"
        for i, ((word, _), (mask, _)) in enumerate(zip(placed, masks, strict=True))
        if mask
    ]
    return f"({' && '.join(tests)})" if tests else "1"


# ---------------------------------------------------------------- program and namespace


def _require_members(site: EmitSite, names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if name not in site.task_offsets]
    if missing:
        raise EmitError(f"`{what}` cannot be tested: this kernel's {missing[0]} is not known")


def _task_address(site: EmitSite) -> str:
    return "task" if isinstance(site.body.task, Node) else "pp_task()"


def _declare_executable(e: Expressions) -> None:
    """Declare `exe_inode` (u64) and `exe_device` (u32) of the event's task; 0 where it has no
    program, as a kernel thread. Raises EmitError."""
    site, line = e.site, e.writer.line
    _require_members(site, _EXECUTABLE, "target.exe")
    line("u64 exe_inode = 0;")
    line("u32 exe_device = 0;")
    with e.writer.block():
        line("u64 at = 0;")
        steps = [f"!pp_read(0, &at, 8, {site.task_member(_task_address(site), 'mm')}) && at"]
        steps += [
            f"!pp_read(0, &at, 8, {site.task_member('at', name)}) && at"
            for name in ("exe_file", "f_inode")
        ]
        steps.append(f"!pp_read(0, &exe_inode, 8, {site.task_member('at', 'i_ino')})")
        steps.append(f"!pp_read(0, &at, 8, {site.task_member('at', 'i_sb')})")
        line(f"if ({' && '.join(steps)})")
        line(f"\tpp_read(0, &exe_device, 4, {site.task_member('at', 's_dev')});")


def _declare_pid_namespace(e: Expressions) -> None:
    """Declare `pid_level` (u32, 0 in the host's namespace) and `pid_space` (u32, its number) of the
    event's task: 2^32 - 1 and 0 where it has ended. Raises EmitError."""
    site, line = e.site, e.writer.line
    _require_members(site, _NAMESPACE, "target.pidns")
    line("u32 pid_level = ~0U, pid_space = 0;")
    with e.writer.block():
        line("u64 at = 0, space = 0;")
        line("u32 level = 0;")
        first = site.task_member(_task_address(site), "thread_pid")
        own = f"({site.task_member('at', 'numbers')} + (u64)level * {_UPID_BYTES})"
        steps = [
            f"!pp_read(0, &at, 8, {first}) && at",
            f"!pp_read(0, &level, 4, {site.task_member('at', 'level')})",
            f"!pp_read(0, &space, 8, {site.task_member(own, 'upid_ns')})",
            f"!pp_read(0, &pid_space, 4, {site.task_member('space', 'inum')})",
        ]
        line(f"if ({' && '.join(steps)})")
        line("\tpid_level = level;")
