"""From a plan to a program, against a recorded kernel."""

from collections.abc import Callable

import pytest

from orchestrator.compile.denied import DENIED
from orchestrator.compile.expressions.nodes import (
    Builtin,
    Captured,
    Comparison,
    Field,
    LetRef,
    Load,
    ReadString,
    Register,
    walk,
)
from orchestrator.compile.expressions.types import Int, Pointer, Str
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import RECORD_HEADER_SIZE, Program
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.trees import FILES, TRACING
from tests.support.trees import facts as made_up

Compile = Callable[..., Program]


def only_hook(program: Program):  # the type says nothing more
    (hook,) = program.hooks
    return hook


def test_a_paired_hook_captures_its_arguments_at_the_entry(compiled: Compile) -> None:
    """`args.x` in emit of a function: is a capture; `retval` is not."""
    hook = only_hook(
        compiled("probes: {p: {attach: function:vfs_read, emit: {wanted: args.count, r: retval}}}")
    )
    count, result = hook.body.emit
    assert isinstance(count, Captured)
    assert hook.body.entry.captures == (Register(2, Int(64, False)),)
    assert result == Builtin("retval", Int(64, True))


def test_conditions_without_memory_reads_are_pushed_down_to_the_entry(compiled: Compile) -> None:
    """Of `A and B and C`, what depends on arguments alone is judged at the entry."""
    hook = only_hook(
        compiled(
            "probes: {p: {attach: function:vfs_read, emit: {}, "
            "where: args.count >= 4096 and elapsed > 1*ms and pid != 7}}"
        )
    )
    at_entry = hook.body.entry.where
    assert [type(term) for term in at_entry] == [Comparison, Comparison]
    assert not any(isinstance(part, Captured) for term in at_entry for part in walk(term))
    (left,) = hook.body.where
    assert Builtin("elapsed", Int(64, False, "duration")) in set(walk(left))


def test_a_condition_that_reads_memory_stays_at_the_return(compiled: Compile) -> None:
    """Reads are judged at the return unless entry() asks otherwise; entry() is pushed down."""
    text = "probes: {{p: {{attach: function:vfs_read, emit: {{}}, where: {} > 0}}}}"
    stays = only_hook(compiled(text.format("args.file.f_flags")))
    goes = only_hook(compiled(text.format("entry(args.file.f_flags)")))
    assert (len(stays.body.entry.where), len(stays.body.where)) == (0, 1)
    assert (len(goes.body.entry.where), len(goes.body.where)) == (1, 0)
    assert any(isinstance(part, Load) for part in walk(goes.body.entry.where[0]))


def test_captures_and_lets_that_nothing_uses_are_dropped(compiled: Compile) -> None:
    """A definition that only a pushed-down condition used leaves no trace at the return."""
    hook = only_hook(
        compiled(
            "probes: {p: {attach: function:vfs_read, let: {wanted: args.count, unused: args.buf}, "
            "where: wanted > 1, emit: {r: retval}}}"
        )
    )
    assert hook.body.lets == ()
    assert hook.body.entry.captures == ()


def test_a_definition_is_one_reference_wherever_it_is_used(compiled: Compile) -> None:
    """A let used in where and emit is evaluated once: both name the same index."""
    hook = only_hook(
        compiled(
            "probes: {p: {attach: function:vfs_read, let: {f: args.file.f_flags}, "
            "where: f != 0 and retval > 0, emit: {f: f, g: f + 1}}}"
        )
    )
    assert [let.name for let in hook.body.lets] == ["f"]
    refs = {
        part
        for node in (*hook.body.where, *hook.body.emit)
        for part in walk(node)
        if isinstance(part, LetRef)
    }
    assert {ref.index for ref in refs} == {0}


def test_records_are_laid_out_aligned_and_padded_to_the_largest(compiled: Compile) -> None:
    """u64 fields sit on multiples of 8; all records of a program have one size."""
    program = compiled(
        "probes:\n"
        "  a: {attach: 'tracepoint:sched:sched_wakeup', emit: {c: args.comm, p: args.pid}}\n"
        "  b: {attach: 'function:vfs_read', emit: {num: args.count, s: 'str(args.buf, 40)'}}\n"
    )
    a, b = program.emits
    assert [(f.name, f.offset, f.size) for f in a.fields] == [
        ("c", RECORD_HEADER_SIZE, 16),
        ("p", RECORD_HEADER_SIZE + 16, 4),
    ]
    assert [(f.name, f.offset, f.size) for f in b.fields] == [
        ("num", RECORD_HEADER_SIZE, 8),
        ("s", RECORD_HEADER_SIZE + 8, 40),
    ]
    assert program.record_size == RECORD_HEADER_SIZE + 48


def test_fields_of_several_hooks_take_a_common_type(compiled: Compile) -> None:
    """Same-sign integers widen; strings take the longest; mixed signs are refused."""
    text = (
        "probes: {{p: {{attach_all: [{{to: 'function:vfs_read', let: {{x: {}}}}}, "
        "{{to: 'function:vfs_write', let: {{x: {}}}}}], emit: {{x: x}}}}}}"
    )
    widened = compiled(text.format("args.file.f_flags", "args.count"))
    assert widened.emits[0].fields[0].form == "u64"
    with pytest.raises(PlanError, match="PP090"):
        compiled(text.format("args.count", "retval"))


def test_attach_first_takes_the_first_alternative_and_tells_why_not_the_others(
    compiled: Compile,
) -> None:
    """The skipped alternative is kept with its reason."""
    program = compiled(
        "probes: {p: {attach_first: ['function:no_such_function', 'function:vfs_read'], emit: {}}}"
    )
    assert only_hook(program).symbol == "vfs_read"
    (skipped,) = program.skipped
    assert skipped.item == "function:no_such_function"
    assert "no function no_such_function" in skipped.reason


def test_attach_first_judges_expressions_too(compiled: Compile) -> None:
    """An alternative whose member this kernel lacks is passed over."""
    program = compiled(
        "probes: {p: {attach_first: [{to: 'function:vfs_read', let: {x: args.file.nowhere}}, "
        "{to: 'function:vfs_write', let: {x: args.file.f_flags}}], emit: {x: x}}}"
    )
    assert only_hook(program).symbol == "vfs_write"


def test_either_takes_the_first_expression_that_resolves(compiled: Compile) -> None:
    """6.1 has task_struct.__state and no task_struct.state."""
    hook = only_hook(
        compiled(
            "probes: {p: {attach: 'rawtracepoint:sched_switch', "
            "emit: {s: 'either(args.prev.state, args.prev.__state)'}}}"
        )
    )
    (node,) = hook.body.emit
    assert isinstance(node, Load)
    assert node.type == Int(32, False)


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("{sum: args.count, unit: KiB}", "bytes"),
        ("{sum: args.count}", ""),
        ("{max: elapsed, unit: us}", "ns"),
        ("{sum: args.count, unit: us}", ""),
    ],
)
def test_a_plain_number_with_a_size_for_its_unit_is_bytes(
    compiled: Compile, metric: str, unit: str
) -> None:
    """So that people are shown a size. A plain number may be a time in any unit: it stays one."""
    program = compiled(f"probes: {{p: {{attach: 'syscall:read', metrics: {{m: {metric}}}}}}}")
    assert [spec.unit for spec in program.metrics] == [unit]


def test_pointers_of_system_calls_are_user_pointers(compiled: Compile) -> None:
    """`str(args.filename)` of openat reads user memory."""
    hook = only_hook(
        compiled("probes: {p: {attach: 'syscall:openat', emit: {f: str(args.filename)}}}")
    )
    (node,) = hook.body.emit
    assert isinstance(node, ReadString)
    assert node.pointer.type == Pointer("user")
    assert isinstance(hook.body.entry.captures[0], Field)


@pytest.mark.parametrize(
    ("attach", "code", "said"),
    [
        ("function:vfs_raed", "PP080", "nearest: .*vfs_read"),
        ("tracepoint:sched:sched_swich", "PP080", "did you mean .sched:sched_switch."),
        ("syscall:opnat", "PP080", "did you mean .*openat"),
        ("function:_raw_spin_lock", "PP081", "must not be probed"),
    ],
)
def test_a_missing_attach_point_is_told_with_its_nearest_names(
    compiled: Compile, attach: str, code: str, said: str
) -> None:
    """It is the host's lack, not the plan's fault: HostError."""
    with pytest.raises(HostError, match=rf"(?s)error\[{code}\].*{said}"):
        compiled(f"probes: {{p: {{attach: '{attach}', emit: {{}}}}}}")


@pytest.mark.parametrize(
    ("closed", "said"), [(False, "CONFIG_FTRACE_SYSCALLS=y"), (True, "are you root")]
)
def test_a_system_call_whose_tracepoints_are_closed_is_not_called_missing(
    closed: bool, said: str, monkeypatch
) -> None:
    """read is there for all to see; to propose it for itself would help no one."""
    if closed:
        monkeypatch.delitem(FILES, f"{TRACING}/events/sched/sched_switch/format")
    plan = load_plan((HEAD + "probes: {p: {attach: 'syscall:read', emit: {}}}").encode())
    with pytest.raises(HostError, match=rf"(?s)of system call 'read' cannot be seen.*{said}"):
        compile_plan(plan, made_up())


@pytest.mark.parametrize(
    ("emit", "code"),
    [
        ("args.file", None),
        ("args.file.f_path", "PP084"),  # a whole struct
        ("args.cuont", "PP082"),
        ("args.file.f_flgas", "PP082"),
        ("args.count + 1*ms", "PP085"),
        ("elapsed * elapsed", "PP085"),
        ("str(args.count == 1)", "PP084"),
        ("str(args.buf, 9999)", "PP086"),
        ("entry(retval)", "PP027"),
        ("load('u33', args.buf)", "PP084"),
    ],
)
def test_type_errors_have_their_codes(compiled: Compile, emit: str, code: str | None) -> None:
    """Each kind of misfit is reported by its own code, with the place of the expression."""
    text = f'probes: {{p: {{attach: function:vfs_read, emit: {{x: "{emit}"}}}}}}'
    if code is None:
        assert compiled(text).emits[0].fields[0].form == "u64"
        return
    with pytest.raises((PlanError, HostError), match=rf"<.*>:\d+:\d+: error\[{code}\]"):
        compiled(text)


def test_task_none_takes_the_names_of_tasks_away(compiled: Compile) -> None:
    """`pid` under `task: none` is an error; the record has no task."""
    program = compiled(
        "probes: {p: {attach: 'tracepoint:sched:sched_wakeup', task: none, emit: {x: cpu}}}"
    )
    assert not program.emits[0].has_task
    with pytest.raises(PlanError, match="PP028"):
        compiled(
            "probes: {p: {attach: 'tracepoint:sched:sched_wakeup', task: none, emit: {x: pid}}}"
        )


def test_task_must_be_a_task_struct(compiled: Compile) -> None:
    """`task: EXPR` with another pointer is refused."""
    text = "probes: {{p: {{attach: 'rawtracepoint:sched_switch', task: {}, emit: {{}}}}}}"
    assert only_hook(compiled(text.format("args.next"))).body.task is not None
    with pytest.raises(PlanError, match="task_struct"):
        compiled(text.format("args.next.mm"))


def test_a_glob_expands_to_functions_that_can_be_probed(compiled: Compile) -> None:
    """And to no more than limits.probes allows."""
    program = compiled(
        "limits: {probes: 16}\nprobes: {p: {attach: 'entry:vfs_fsync*', emit: {f: func}}}"
    )
    names = {hook.symbol for hook in program.hooks}
    assert "vfs_fsync" in names
    assert set(program.emits[0].fields[0].presentation.names.values()) == names
    with pytest.raises(PlanError, match="PP094"):
        compiled("limits: {probes: 16}\nprobes: {p: {attach: 'entry:vfs_*', emit: {}}}")


def test_globs_never_reach_what_must_not_be_probed(compiled: Compile) -> None:
    """Named outright, such a function is refused with the reason of its entry."""
    with pytest.raises(HostError, match="none of the functions that can be probed matches"):
        compiled("probes: {p: {attach: 'entry:_raw_spin_lock*', emit: {}}}")
    with pytest.raises(HostError) as refused:
        compiled("probes: {p: {attach: 'entry:_raw_spin_lock', emit: {}}}")
    [finding] = refused.value.findings
    assert finding.code == "PP081"
    assert DENIED["_raw_spin_lock"] in finding.message


def test_keys_are_packed_and_padded(compiled: Compile) -> None:
    """comm (16 bytes) and a u32 make a key of 24 bytes."""
    program = compiled(
        "probes: {p: {attach: 'tracepoint:sched:sched_wakeup', "
        "metrics: {m: {count: true, by: [comm, uid]}}}}"
    )
    (metric,) = program.metrics
    assert [(k.name, k.offset, k.size) for k in metric.key] == [("comm", 0, 16), ("uid", 16, 4)]
    assert metric.key_size == 24


def test_a_required_param_must_be_set(compiled: Compile) -> None:
    """Compiling without it says how to set it; with it the attach point is known."""
    text = (
        "params: {function: {type: symbol}}\n"
        "probes: {p: {attach: 'function:$(params.function)', emit: {}}}"
    )
    with pytest.raises(PlanError, match="--set function="):
        compiled(text)
    assert only_hook(compiled(text, function="vfs_read")).symbol == "vfs_read"


def test_string_comparisons_are_tests_against_constants(compiled: Compile) -> None:
    """== on strings needs a constant; < has no meaning."""
    text = "probes: {{p: {{attach: 'tracepoint:sched:sched_wakeup', where: '{}', emit: {{}}}}}}"
    compiled(text.format('comm == "bash" or args.comm != "x"'))
    with pytest.raises(PlanError, match="PP084"):
        compiled(text.format("comm == args.comm"))
    with pytest.raises(PlanError, match="PP084"):
        compiled(text.format('comm < "x"'))


def test_char_arrays_are_strings_of_their_size(compiled: Compile) -> None:
    """task_struct.comm is 16 bytes."""
    hook = only_hook(
        compiled("probes: {p: {attach: 'rawtracepoint:sched_switch', emit: {c: args.next.comm}}}")
    )
    assert hook.body.emit[0].type == Str(16)


def test_a_type_may_be_spelled_bare_or_as_text(compiled: Compile) -> None:
    """`load(u64, p)` and `load("u64", p)` are the same."""
    text = "probes: {{p: {{attach: function:vfs_read, emit: {{x: '{}'}}}}}}"
    bare, quoted = (
        only_hook(compiled(text.format(f"load({spelled}, args.file)"))).body.emit
        for spelled in ("u64", '"u64"')
    )
    assert bare == quoted


def test_definitions_that_double_each_other_are_refused_at_once(compiled: Compile) -> None:
    """Forty lines of `b: a + a` would unfold to 2^40 steps; nested min() stays small."""
    lets = "".join(f"    l{i}: l{i - 1} + l{i - 1}\n" for i in range(1, 40))
    text = ("probes:\n  p:\n    attach: function:vfs_read\n    let:\n    "
            "  l0: args.count\n{}    emit: {{x: {}}}\n")  # fmt: skip
    with pytest.raises(PlanError, match="expands to"):
        compiled(text.format(lets.replace("    l", "      l"), "l39"))
    nested = "args.count"
    for _ in range(30):
        nested = f"min(pid, {nested})"
    assert compiled(text.format("", f'"{nested}"')).emits[0].fields[0].form == "u64"


def test_an_item_of_many_options_is_not_typed_over_and_over(compiled: Compile) -> None:
    """Each `in` of three options has its item three times: 25 of them, 3^25."""
    item = "args.count"
    for _ in range(25):
        item = f"(1 if {item} in (1, 2, 3) else 0)"
    with pytest.raises(PlanError, match="expands to more than 10,000 steps"):
        compiled(f"probes: {{p: {{attach: 'function:vfs_read', emit: {{x: '{item}'}}}}}}")


def test_a_field_that_has_no_value_is_reported_where_it_is_written(compiled: Compile) -> None:
    """Not at its probe."""
    with pytest.raises(PlanError, match="'whole' is a whole struct") as refused:
        compiled(
            "probes:\n  p:\n    attach: entry:tcp_connect\n    emit:\n"
            "      fine: args.sk.sk_protocol\n      whole: args.sk.__sk_common.skc_v6_daddr\n"
        )
    [finding] = refused.value.findings
    assert (finding.position.line - HEAD.count("\n"), finding.position.column) == (6, 14)


@pytest.mark.parametrize("text", ["cast(args.prev, u64)", 'cast(args.prev, "u64") + 0'])
def test_a_pointer_may_be_cast_to_a_number(compiled: Compile, text: str) -> None:
    program = compiled(
        f"probes: {{p: {{attach: 'rawtracepoint:sched_switch', emit: {{x: {text!r}}}}}}}"
    )
    assert [field.form for field in program.emits[0].fields] == ["u64"]


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.x"])
def test_a_function_of_a_module_has_the_arguments_of_its_types(kernel: str) -> None:
    """ext4 is a module of stock kernels; its structures and the kernel's lead into each other."""
    plan = """
probes:
  read: {attach: "function:ext4_file_read_iter", emit: {file: path(args.iocb.ki_filp)}}
  inode:
    attach: function:vfs_read
    emit: {size: 'cast(args.file.f_inode, "struct ext4_inode_info").i_disksize'}
  sync: {attach: "rawtracepoint:ext4_sync_file_enter", emit: {number: args.file.f_inode.i_ino}}
"""
    program = compile_plan(load_plan((HEAD + plan).encode()), recorded(kernel))
    assert [hook.module for hook in program.hooks] == ["ext4", "", ""]


def test_an_address_is_compared_with_addresses_and_the_hint_says_how_they_are_written(
    compiled: Compile,
) -> None:
    plan = "probes: {{p: {{attach: entry:tcp_connect, emit: {{}}, where: {}}}}}"
    with pytest.raises(PlanError, match=r"'localhost' is not an IP address(.|\n)*\"192.0.2.1\""):
        compiled(plan.format("remote(args.sk).ip == 'localhost'"))
    compiled(plan.format("remote(args.sk).ip == '127.0.0.1'"))
    compiled(plan.format("ntohl(args.sk.__sk_common.skc_daddr) == 0x7f000001"))
