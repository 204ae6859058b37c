"""argv(), `task`, and the names of system calls, which depend on the task that runs."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.emit.source import task_offsets
from orchestrator.compile.expressions.nodes import Builtin, Const, Node, ReadBytes, walk
from orchestrator.compile.expressions.types import BOOL, S32, U64, Pointer, StringList
from orchestrator.compile.expressions.vocabulary import compat_node
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.syscalls import syscall_names, syscall_numbers
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import every_kernel

Compile = Callable[..., Program]
CALLS = "tracepoint:raw_syscalls:sys_enter"
COMPAT = Builtin("compat", BOOL)
MARK = 1 << 32


def emitted(made: Program) -> Node:
    """The only value of the only record."""
    return made.hooks[0].body.emit[0]


def test_the_number_of_a_32_bit_call_has_its_own_name() -> None:
    """64 and 3, by the two tables of x86-64; what has no name is its number."""
    names = syscall_names("x86_64")
    assert (names[64], names[3]) == ("semget", "close")
    assert (names[MARK | 64], names[MARK | 5], names[MARK | 3]) == (
        "getppid (32-bit)",
        "open (32-bit)",
        "read (32-bit)",
    )
    assert (names[437], names[MARK | 437]) == ("openat2", "openat2 (32-bit)")
    assert names[MARK | 500] == "500 (32-bit)"
    assert syscall_names("aarch64")[MARK | 64] == "64 (32-bit)"
    assert syscall_numbers("x86_64")["SYS_getppid"] == 110


def test_label_and_constants_look_at_the_kind_of_call(compiled: Compile) -> None:
    """The plan's own numbers do not."""
    probe = f"probes: {{p: {{attach: '{CALLS}', where: '%s', emit: {{x: '%s'}}}}}}\n"
    named = compiled(probe % ("true", 'label(args.id, "SYS_")'))
    assert COMPAT in walk(emitted(named))
    assert COMPAT not in walk(emitted(compiled(probe % ("true", "args.id"))))
    for where, looks in (
        ("args.id == SYS_read", True),
        ("SYS_read != args.id", True),
        ("args.id in (3, SYS_read)", True),
        ("args.id not in (SYS_read, SYS_write)", True),
        ("args.id == 3", False),
        ("args.id == EPERM", False),
    ):
        [test] = compiled(probe % (where, "args.id")).hooks[0].body.where
        assert (COMPAT in walk(test)) is looks, where


@every_kernel
def test_every_recorded_kernel_offers_32_bit_calls_and_marks_them(kernel: str) -> None:
    facts = recorded(kernel)
    assert compat_node(facts) == COMPAT
    assert task_offsets(facts)["compat"] % 4 == 0  # arm64's is the first word of all


def test_without_32_bit_calls_nothing_is_looked_at(facts: KernelFacts) -> None:
    """Where the kernel's symbols say that it has none; where they say nothing, it may have."""

    def with_symbols(*names: str) -> KernelFacts:
        symbols = SimpleNamespace(names=names, count=names.count)
        return cast(KernelFacts, SimpleNamespace(symbols=symbols))

    assert compat_node(with_symbols("__x64_sys_execve")) == Const(0, BOOL)
    assert compat_node(with_symbols("__ia32_compat_sys_execve")) == COMPAT
    assert compat_node(with_symbols()) == COMPAT


@pytest.mark.parametrize(
    "value", ["compat", 'label(args.id, "SYS_")', "1 if args.id == SYS_read else 0"]
)
def test_tracefs_says_that_its_records_do_not_tell(
    compiled: Compile, facts: KernelFacts, value: str
) -> None:
    made = compiled(f"probes: {{p: {{attach: '{CALLS}', emit: {{x: '{value}'}}}}}}\n")
    [reason] = backend("tracefs").unsupported(made, facts, user_space=True)
    assert "'compat'" in reason.message
    assert "no record says which system calls are 32-bit ones" in (reason.hint or "")


# ---------------------------------------------------------------- argv


def argv_of(attach: str, value: str, **more: str) -> str:
    items = "".join(f", {name}: {text}" for name, text in more.items())
    return f"probes: {{p: {{attach: '{attach}', emit: {{x: '{value}'}}{items}}}}}\n"


@pytest.mark.parametrize(("value", "size"), [("argv()", 192), ("argv(16)", 16), ("argv(512)", 512)])
def test_argv_is_read_as_one_piece_of_user_memory(compiled: Compile, value: str, size: int) -> None:
    node = emitted(compiled(argv_of("tracepoint:sched:sched_process_exec", value)))
    assert isinstance(node, ReadBytes)
    assert node.type == StringList(size)
    assert getattr(node.pointer.type, "space", "") == "user"


def test_argv_is_redacted_as_what_programs_are_given(compiled: Compile) -> None:
    """Command lines carry secrets."""
    made = compiled(argv_of("tracepoint:sched:sched_process_exec", "argv()", redact="hash"))
    [record] = made.emits
    assert record.fields[0].presentation is not None
    assert record.fields[0].presentation.hashed


@pytest.mark.parametrize(
    ("plan", "code", "said"),
    [
        (argv_of("rawtracepoint:sched_switch", "argv()", task="args.next"), "PP088", "running"),
        (argv_of("rawtracepoint:sched_switch", "argv()", task="none"), "PP088", "or to none"),
        (argv_of("syscall:execve", "argv(8)"), "PP086", "from 16 to 512"),
        (argv_of("syscall:execve", "argv(retval)"), "PP084", "a constant number"),
        (argv_of("syscall:execve", "argv(16, 17)"), "PP024", "takes 0 or 1 arguments"),
    ],
)
def test_argv_of_another_task_or_of_another_size_is_a_finding(
    compiled: Compile, plan: str, code: str, said: str
) -> None:
    with pytest.raises(PlanError) as caught:
        compiled(plan)
    (finding,) = caught.value.findings
    assert finding.code == code
    assert said in f"{finding.message} {finding.hint}"


def test_tracefs_says_that_it_reads_no_command_line(compiled: Compile, facts: KernelFacts) -> None:
    made = compiled(argv_of("tracepoint:sched:sched_process_exec", "argv()"))
    [reason] = backend("tracefs").unsupported(made, facts, user_space=True)
    assert "a command line (argv)" in reason.message


# ---------------------------------------------------------------- task


def task_of(value: str, attach: str = "tracepoint:sched:sched_process_exec", **more: str) -> str:
    return argv_of(attach, value, **more)


@pytest.mark.parametrize(
    "value",
    [
        "path(task.mm.exe_file)",
        "task.nsproxy.pid_ns_for_children.ns.inum",
        "task.real_parent.comm",
        "task.signal.oom_score_adj",
        "either(task.cred.cap_effective.val, load(u64, task.cred.cap_effective.cap))",
        "task",
    ],
)
@every_kernel
def test_the_task_is_followed_by_member_on_every_kernel(kernel: str, value: str) -> None:
    facts = recorded(kernel)
    made = compile_plan(load_plan((HEAD + task_of(value)).encode()), facts)
    assert Builtin("task", Pointer("kernel", facts.btf.struct("task_struct"))) in walk(
        emitted(made)
    )
    assert not backend("bcc").unsupported(made, facts, user_space=False)


def test_task_in_task_is_the_running_one(compiled: Compile) -> None:
    """The parent of the task that runs, whose own members are then `task`'s."""
    made = compiled(task_of("task.start_time", task="task.real_parent"))
    whose = made.hooks[0].body.task
    assert [node.name for node in walk(whose) if isinstance(node, Builtin)] == ["running_task"]
    assert [n.name for n in walk(emitted(made)) if isinstance(n, Builtin)] == ["task"]


def test_the_cgroup_of_another_task_is_read_from_its_task_struct(compiled: Compile) -> None:
    of_other = emitted(compiled(task_of("cgroup", "rawtracepoint:sched_switch", task="args.next")))
    assert "kernfs_node.id" in [getattr(node, "member", "") for node in walk(of_other)]
    of_running = emitted(compiled(task_of("cgroup")))
    assert of_running == Builtin("cgroup", U64)


@pytest.mark.parametrize(
    ("plan", "code", "said"),
    [
        (task_of("task.mm", task="none"), "PP028", "`task` under `task: none`"),
        (task_of("comm", task="task.real_parent if pid else task"), "PP088", "`pid` has no mean"),
        (task_of("comm", task="mine", let="{mine: task}"), "PP088", "`task` has no meaning"),
    ],
)
def test_a_task_that_has_no_meaning_is_a_finding(
    compiled: Compile, plan: str, code: str, said: str
) -> None:
    with pytest.raises(PlanError) as caught:
        compiled(plan)
    (finding,) = caught.value.findings
    assert finding.code == code
    assert said in finding.message


def test_a_member_that_the_task_lacks_is_a_finding_about_the_kernel(compiled: Compile) -> None:
    with pytest.raises(HostError, match=r"PP082.*has no member 'nothing'"):
        compiled(task_of("task.nothing"))


@pytest.mark.parametrize("value", ["ppid", "path(task.mm.exe_file)", "task.real_parent.comm"])
def test_tracefs_says_that_it_has_no_task_struct(
    compiled: Compile, facts: KernelFacts, value: str
) -> None:
    made = compiled(task_of(value))
    [reason] = backend("tracefs").unsupported(made, facts, user_space=True)
    assert "the current task's task_struct" in reason.message
    assert "--backend bcc" in (reason.hint or "")


def test_a_definition_called_task_wins(compiled: Compile) -> None:
    """A new builtin breaks no plan."""
    assert emitted(compiled(task_of("task", let="{task: 5}"))) == Const(5, S32)
