"""The task that an event belongs to, and the plan's test of it."""

from collections.abc import Sequence

from orchestrator.backends.bcc.design.hook_nodes import nodes_at_hook
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.site import EmitError
from orchestrator.backends.bcc.emit.strings import words_of
from orchestrator.compile.expressions.nodes import Builtin
from orchestrator.compile.expressions.types import COMM_SIZE, U32
from orchestrator.compile.program import Program, ResolvedTarget


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
        return [name for name in ("uid", "gid") if name in used or (name == "uid" and target.uid)]

    def test_target(self) -> None:
        """Drop events outside the target, cheapest tests first. Raises EmitError."""
        target = self.program.target
        if self.e.site.body.task == "none" or not _tests_anything(target):
            return
        self.e.writer.comment(f"target: {describe_target(target)}")
        if target.exclude_self or target.pid or target.tid or target.children:
            self.e.declare_ids()
        if target.exclude_self:
            self._drop_if("pid == (u32)control->self")
        self._test_ids(target)
        if target.uid:
            uid = self.e.number(Builtin("uid", U32))
            self.line(f"u32 owner = {uid};")
            self._drop_unless(compare_ids("owner", "uid", target.uid, self.e.site.numbers))
        if target.cgroup:
            self._test_cgroups(target)
        if target.comm and "*" not in target.comm:
            self._test_comm(target)

    def _test_ids(self, target: ResolvedTarget) -> None:
        tests = ["is_target_process(pid)"] if target.pid else []
        tests += ["is_followed(tid)"] if target.children else []
        self._drop_unless(tests)
        self._drop_unless(["is_target_thread(tid)"] if target.tid else [])

    def _test_cgroups(self, target: ResolvedTarget) -> None:
        if self.e.site.body.task is not None:
            raise EmitError("`target.cgroup` is known only for the current task")
        tests = []
        for path, number in target.cgroup:
            level = len([part for part in path.split("/") if part])
            if number is None:
                raise EmitError(f"cgroup {path!r} is not known on this host")
            known = self.e.site.numbers.number(f"target.cgroup {path}", number)
            tests.append(f"pp_ancestor_cgroup_id({level}) == {known}")
        self._drop_unless(tests)

    def _test_comm(self, target: ResolvedTarget) -> None:
        self.line("u64 name[2] = {};")
        if self.e.site.body.task is None:
            self.line("pp_comm(name, sizeof name);")
        else:
            comm = self.e.site.task_member("task", "comm")
            self.line(f"pp_read_str(0, name, sizeof name, {comm});")
        self._drop_unless([comm_test(glob) for glob in target.comm])

    def _drop_unless(self, tests: list[str]) -> None:
        if tests:
            self._drop_if(f"!({' || '.join(tests)})")

    def _drop_if(self, condition: str) -> None:
        self.line(f"if ({condition})")
        self.line(f"\t{self.refuse}")


def _tests_anything(target: ResolvedTarget) -> bool:
    lists = (target.pid, target.tid, target.uid, target.comm, target.cgroup)
    return target.exclude_self or target.children or any(lists)


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
    lists = {
        "pid": target.pid,
        "tid": target.tid,
        "uid": target.uid,
        "comm": target.comm,
        "cgroup": tuple(path for path, _ in target.cgroup),
    }
    parts = [f"{name} in ({', '.join(map(str, ids))})" for name, ids in lists.items() if ids]
    parts += ["the command and its children"] if target.children else []
    parts += ["not probeplan itself"] if target.exclude_self else []
    return ", ".join(parts)


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
