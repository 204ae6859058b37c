"""User data does not leave where a policy protects it: not as text, number, count or choice."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.compile.program import Program
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.load import load_plan
from orchestrator.policy.model import Policy
from orchestrator.run.prepare import resolve
from tests.support.policies import a_plan, a_policy
from tests.support.recorded import HEAD, recorded
from tests.support.secret_worlds import World, look_at

FACTS = recorded("6.1")


def findings(attach: str, rest: str, rules: str, head: str = "") -> tuple[Finding, ...]:
    """What a policy finds in a plan with one probe; `rest` are more keys of it."""
    body = f"probes:\n  p:\n    attach: {attach}\n{rest}\n"
    plan = load_plan(f"{HEAD}{head}{body}".encode())
    try:
        resolve(plan, FACTS, [a_policy(rules)])
    except HostError as error:
        return error.findings
    return ()


def emitting(expression: str) -> str:
    return f"    emit: {{x: {json.dumps(expression)}}}"


# ---------------------------------------------------------------- leaks

OPEN, PUTS, EXEC = "syscall:openat", "uprobe:libc.so.6:puts", "tracepoint:sched:sched_process_exec"

#: Attach point, keys of the probe. Each shows something of user data.
LEAKS = [
    (OPEN, emitting("load(u64, args.filename)")),
    (OPEN, emitting("str(user(args.filename + 4))")),
    (OPEN, emitting("str(user(args.filename | 0))")),
    (OPEN, emitting("load(u8, args.filename) if pid > 1 else 0")),
    (OPEN, emitting("1 if load(u8, args.filename) == 47 else 0")),
    (OPEN, emitting('"a" if startswith(str(args.filename), "/etc") else "b"')),
    (OPEN, emitting('str(args.filename) == "/etc/shadow"')),
    (OPEN, emitting("ipv4(load(u32, args.filename))")),
    (OPEN, emitting("ipv4(args.filename)")),
    (OPEN, emitting("ipv6(args.filename)")),
    (OPEN, emitting("sockaddr(args.filename).ip")),
    (OPEN, emitting("sockaddr(args.filename).port")),
    (OPEN, emitting("sockaddr(args.filename).path")),
    (OPEN, emitting("sockaddr(args.filename).ip == ipv4(args.filename)")),
    (OPEN, emitting("devname(load(u32, args.filename))")),
    (OPEN, emitting("ksym(load(u64, args.filename))")),
    (OPEN, emitting('flags(load(u32, args.filename), "O_")')),
    (OPEN, emitting('label(load(u32, args.filename), "SYS_")')),
    (OPEN, emitting("hash(load(u8, args.filename))")),
    (OPEN, emitting("ntohs(load(u16, args.filename))")),
    (OPEN, emitting('cast(args.filename, "struct sockaddr_un").sun_path')),
    (OPEN, emitting("buf(args.filename, min(args.flags + load(u8, args.filename), 64))")),
    (OPEN, emitting("user(args.filename + load(u8, args.filename))")),
    (OPEN, '    where: startswith(str(args.filename), "/etc")\n    emit: {}'),
    (OPEN, "    where: entry(load(u64, args.filename)) == 7\n    emit: {}"),
    (OPEN, "    metrics: {m: {max: 'load(u32, args.filename)'}}"),
    (OPEN, "    metrics: {m: {histogram: 'load(u32, args.filename)'}}"),
    (OPEN, "    metrics: {m: {count: 'load(u8, args.filename) == 47'}}"),
    (OPEN, "    metrics: {m: {count: true, where: 'load(u8, args.filename) == 47'}}"),
    (OPEN, "    let: {a: 'load(u8, args.filename)'}\n    metrics: {m: {count: true, by: [a]}}"),
    (PUTS, emitting("arg0")),
    (PUTS, emitting("arg1 & 1")),
    (PUTS, "    where: arg0 != 0\n    emit: {}"),
    (PUTS, emitting("load(u64, arg0)")),
    (PUTS, "    args: {n: u64}\n    metrics: {m: {sum: args.n}}"),
    ("uretprobe:libc.so.6:puts", emitting("retval")),
    ("profile:99hz", emitting("ustack")),
    ("profile:99hz", "    metrics: {m: {count: true, by: [ustack]}}"),
    ("rawtracepoint:sys_enter", emitting("args.regs.r12")),
    ("rawtracepoint:sched_switch", emitting("args.prev.thread.fpu.fpstate.regs.fxsave.cwd")),
    ("rawtracepoint:sched_switch", emitting("str(user(args.next.clear_child_tid))")),
    ("rawtracepoint:sched_switch", emitting("str(user(args.next.mm.arg_start))")),
    ("function:kern_path", emitting("load(u8, args.name)")),
    ("function:vfs_read", "    metrics: {n: {max: 'load(u32, user(args.buf))'}}"),
    (EXEC, '    where: args.filename == "/bin/sh"\n    emit: {}'),
]


@pytest.mark.parametrize(("attach", "rest"), LEAKS)
@pytest.mark.parametrize("rule", ["deny", "hash", "truncate(4)"])
def test_user_data_leaves_by_no_way(attach: str, rest: str, rule: str) -> None:
    """Numbers, choices, comparisons, slices, registers, stacks, copies: all are refused, with the
    rule's position; without the policy they are shown."""
    found = findings(attach, rest, f"user_strings: {rule}")
    assert {finding.code for finding in found} <= {"PP124", "PP129"}
    assert any("policy.yaml:3:15" in finding.message for finding in found)
    assert findings(attach, rest, "user_strings: allow") == ()


#: What `hash` and `truncate` redact, so that it may be shown, and `deny` refuses.
TEXTS = [
    (OPEN, emitting("str(args.filename)")),
    (OPEN, emitting("entry(str(args.filename))")),
    (OPEN, emitting('str(args.filename) if pid > 1 else "none"')),
    (OPEN, "    let: {f: str(args.filename)}\n    metrics: {n: {count: true, by: [f]}}"),
    ("syscall:execve", emitting("strs(args.argv)")),
    ("syscall:connect", emitting("sockaddr(args.uservaddr)")),
    ("syscall:write", emitting("buf(args.buf, 64)")),
    (PUTS, emitting("str(arg0)")),
    (PUTS, "    args: {text: u64}\n" + emitting("str(args.text)")),
    ("rawtracepoint:sys_enter", emitting("str(args.regs.si)")),
    ("rawtracepoint:sched_process_exec", emitting("str(user(args.p.mm.arg_start))")),
    ("syscall:execve", emitting('str(load("char *", args.argv))')),
    ("function:kern_path", emitting("str(args.name)")),
    ("tracepoint:sched:sched_process_exec", emitting("args.filename")),
    ("rawtracepoint:sched_process_exec", emitting("args.bprm.buf")),
    ("rawtracepoint:sched_process_exec", emitting("str(args.bprm.filename)")),
]


@pytest.mark.parametrize(("attach", "rest"), TEXTS)
def test_text_from_its_beginning_is_redacted_and_passes(attach: str, rest: str) -> None:
    """Copies that the kernel keeps are redacted as what they are copies of."""
    for rule in ("hash", "truncate(4)"):
        assert findings(attach, rest, f"user_strings: {rule}") == ()
    assert [finding.code for finding in findings(attach, rest, "user_strings: deny")] == ["PP124"]


#: What is no user data.
PUBLIC = [
    (OPEN, "    where: retval > 3 and comm == 'cat'\n    emit: [pid, comm, retval, args.flags]"),
    (OPEN, "    emit: [ppid, args.filename]"),
    ("function:vfs_read", "    where: args.file.f_flags > 0\n    emit: [args.count]"),
    ("function:vfs_read", emitting("str(args.file.f_path.dentry.d_name.name)")),
    ("function:vfs_read", emitting("path(args.file)")),
    ("function:vfs_read", emitting("load(s64, args.pos)")),
    ("function:tcp_sendmsg", emitting("remote(args.sk)")),
    ("function:tcp_sendmsg", emitting("remote(args.sk).ip")),
    ("tracepoint:sched:sched_switch", emitting("args.next_comm")),
    ("rawtracepoint:sched_switch", emitting("args.next.comm")),
    ("profile:99hz", "    metrics: {m: {count: true, by: [kstack, comm]}}"),
    (PUTS, "    metrics: {m: {count: true, by: [comm, func]}}"),
]


@pytest.mark.parametrize(("attach", "rest"), PUBLIC)
@pytest.mark.parametrize("rule", ["deny", "hash", "truncate(4)"])
def test_what_is_no_user_data_passes(attach: str, rest: str, rule: str) -> None:
    """Numbers of system calls, ids, names that the kernel keeps, its own typed memory."""
    assert findings(attach, rest, f"user_strings: {rule}") == ()


@pytest.mark.parametrize(
    "expression",
    ["str(args.filename, 63)", "buf(args.filename, 63)", "buf(args.filename, min(args.flags, 64))"],
)
def test_digests_are_of_whole_texts(expression: str) -> None:
    """Digests of ever longer beginnings would give text away byte by byte."""
    [finding] = findings(OPEN, emitting(expression), "user_strings: hash")
    assert "byte by byte" in finding.message
    assert findings(OPEN, emitting(expression), "user_strings: truncate(64)") == ()


@pytest.mark.parametrize(
    ("word", "attach", "rest"),
    [
        ("conditions", OPEN, '    where: startswith(str(args.filename), "/etc")\n    emit: {}'),
        ("conditions", OPEN, emitting("1 if load(u8, args.filename) == 47 else 0")),
        ("registers", PUTS, emitting("arg0")),
        ("stacks", "profile:99hz", emitting("ustack")),
    ],
)
def test_what_the_policy_allows_of_user_data_passes(word: str, attach: str, rest: str) -> None:
    """And nothing else; conditions read user memory, which `deny` forbids."""
    every = {"conditions", "registers", "stacks"}
    assert findings(attach, rest, f"user_strings: hash\nallow_user: [{word}]") == ()
    others = ", ".join(sorted(every - {word}))
    assert findings(attach, rest, f"user_strings: hash\nallow_user: [{others}]")
    denied = findings(attach, rest, f"user_strings: deny\nallow_user: [{word}]")
    assert bool(denied) == (word == "conditions")


# ---------------------------------------------------------------- spans

SPAN = """\
probes:
  begin: {{attach: "tracepoint:syscalls:sys_enter_read"{begin}}}
  done: {{attach: "tracepoint:syscalls:sys_exit_read"}}
spans:
  reading: {{start: begin, end: done, key: [{key}], {rest}}}
"""


def span_findings(rest: str, rule: str, key: str = "tid", begin: str = "") -> list[str]:
    plan = load_plan((HEAD + SPAN.format(rest=rest, key=key, begin=begin)).encode())
    try:
        resolve(plan, FACTS, [a_policy(f"user_strings: {rule}")])
    except HostError as error:
        return [finding.code for finding in error.findings]
    return []


def test_what_a_span_keeps_is_user_data_at_its_end() -> None:
    """Pointers that are read at the end, texts read at the start, choices between them."""
    kept = ', let: {t: "str(args.buf)", n: "load(u8, args.buf)"}'
    assert span_findings('emit: {x: "str(start.args.buf)", d: elapsed}', "hash") == []
    assert span_findings("emit: {x: start.t}", "hash", begin=kept) == []
    assert span_findings("emit: {x: start.t}", "truncate(3)", begin=kept) == []
    assert (
        span_findings('emit: {x: "start.t if elapsed > 1*ms else start.t"}', "hash", begin=kept)
        == []
    )
    assert span_findings("emit: {x: start.n}", "hash", begin=kept) == ["PP124"]
    assert span_findings("emit: {}, where: start.n == 1", "hash", begin=kept) == ["PP124"]
    assert span_findings("metrics: {m: {max: start.n}}", "hash", begin=kept) == ["PP124"]
    assert span_findings("metrics: {m: {count: true, by: [start.n]}}", "hash", begin=kept) == [
        "PP124"
    ]
    assert "PP124" in span_findings('emit: {x: "str(start.args.buf)"}', "deny")


@pytest.mark.parametrize(
    ("resource", "is_refused"),
    [
        ("value: args.count", False),
        ('value: "load(u32, args.buf)"', True),
        ("value: args.count, by: [t]", False),
        ("value: args.count, by: [n]", True),
    ],
)
def test_what_is_outstanding_shows_no_user_data(resource: str, is_refused: bool) -> None:
    """Neither its value nor what it is summed up by, but for digests of text."""
    text = f"""\
probes:
  begin:
    attach: "tracepoint:syscalls:sys_enter_read"
    let: {{t: "str(args.buf)", n: "load(u8, args.buf)"}}
  done: {{attach: "tracepoint:syscalls:sys_exit_read"}}
outstanding:
  reads: {{open: begin, close: done, key: [tid], {resource}}}
"""
    plan = load_plan(f"{HEAD}{text}".encode())
    rules = [a_policy("user_strings: hash")]
    if is_refused:
        with pytest.raises(HostError, match="PP124"):
            resolve(plan, FACTS, rules)
    else:
        resolve(plan, FACTS, rules)


def test_keys_that_join_events_are_no_user_data() -> None:
    """Whether two events meet would show whether the values are equal."""
    begin = ', let: {n: "load(u8, args.buf)"}'
    text = SPAN.format(rest="emit: {}", key="n", begin=begin).replace(
        'sys_exit_read"', 'sys_exit_read", let: {n: "cast(args.ret, \'u8\')"}'
    )
    with pytest.raises(HostError, match=r"the key 'n' of 'reading'"):
        resolve(load_plan(f"{HEAD}{text}".encode()), FACTS, [a_policy("user_strings: hash")])


# ---------------------------------------------------------------- kernel memory

COMPUTED = [
    ("rawtracepoint:sched_switch", emitting("load(u64, 0xffff888000000000)")),
    ("rawtracepoint:sched_switch", emitting("load(u64, args.prev.mm.pgd | 0)")),
    ("rawtracepoint:sched_switch", emitting("load(u64, args.prev)")),
    ("rawtracepoint:sched_switch", emitting('cast(args.prev, "struct file").f_flags')),
    ("rawtracepoint:sched_switch", emitting("buf(args.prev, 64)")),
    ("rawtracepoint:sched_switch", emitting("str(args.prev)")),
    ("rawtracepoint:sched_switch", emitting("ipv6(args.prev)")),
    ("rawtracepoint:sched_switch", emitting("ipv4(args.prev.mm)")),
    ("kprobe:vfs_read", emitting("load(u32, arg0)")),
    ("kprobe:vfs_read", "    args: {f: struct task_struct *}\n" + emitting("args.f.pid")),
    ("kprobe:vfs_read", "    let: {p: args.file, q: 'load(u64, p)'}\n    emit: [q]"),
]


@pytest.mark.parametrize(("attach", "rest"), COMPUTED)
def test_computed_kernel_addresses_need_a_permission(attach: str, rest: str) -> None:
    """By them page tables lead to user memory. With user data protected it has to be given; without
    it can be taken."""
    for rules in ("user_strings: deny", "user_strings: hash", "kernel_memory: typed"):
        assert "PP129" in {finding.code for finding in findings(attach, rest, rules)}
    any_memory = findings(attach, rest, "user_strings: deny\nkernel_memory: any")
    assert "PP129" not in {finding.code for finding in any_memory}
    assert findings(attach, rest, "user_strings: allow") == ()


# ---------------------------------------------------------------- any plan

_PLACES = {
    OPEN: (("args.filename",), ("args.flags", "retval", "pid"), ("comm",)),
    "uprobe:/no/such/file:main": (("arg0", "arg1"), ("arg2", "pid"), ("comm",)),
    "function:kern_path": (("args.name",), ("args.flags", "retval"), ("comm",)),
    "function:vfs_read": (
        ("args.buf", "user(args.buf)", "args.file"),
        ("args.count", "args.file.f_flags"),
        ("str(args.file.f_path.dentry.d_name.name)",),
    ),
    EXEC: ((), ("args.pid", "args.old_pid"), ("args.filename", "comm")),
}


_Texts = st.SearchStrategy[str]


def _join(form: str, *parts: _Texts) -> _Texts:
    return st.tuples(*parts).map(lambda values: form.format(*values))


def _level(
    plain: _Texts, number: _Texts, texts: tuple[str, ...]
) -> tuple[_Texts, _Texts, _Texts, _Texts]:
    """Pointers, texts, tests and computed numbers, made of numbers of the level below."""
    pointer = st.one_of(
        plain, plain, _join("user({} + {})", plain, number), _join("({} + {})", plain, number)
    )
    text = st.one_of(
        st.sampled_from(texts),
        _join("str({})", pointer),
        _join("str({}, {})", pointer, st.sampled_from(("2", "5", "64", "128"))),
    )
    test = st.one_of(
        _join("{} {} {}", number, st.sampled_from(("==", "<", ">=")), number),
        _join("startswith({}, '{}')", text, st.sampled_from(("=", "a", "/etc"))),
        _join("glob({}, '*{}*')", text, st.sampled_from("!=a/")),
    )
    computed = st.one_of(
        _join("load({}, {})", st.sampled_from(("u8", "u32", "u64")), pointer),
        _join("({} {} {})", number, st.sampled_from("+-*&|"), number),
        _join("({} if {} else {})", number, test, number),
    )
    return pointer, text, test, computed


def _expressions(
    pointers: tuple[str, ...], numbers: tuple[str, ...], texts: tuple[str, ...]
) -> tuple[_Texts, _Texts]:
    """What can be shown at a place, and numbers: most expressions of the language, over its
    names."""
    leaf = st.sampled_from([*numbers, "0", "1", "47", "64"])
    plain = st.sampled_from(pointers) if pointers else _join("user(cast({}, 'u64'))", leaf)
    number = leaf
    for _ in range(2):
        pointer, text, test, computed = _level(plain, number, texts)
        number = st.one_of(leaf, computed)
    shown = st.one_of(
        number,
        text,
        test,
        _join("({} if {} else {})", text, test, text),
        _join("buf({}, min({}, 64))", pointer, number),
        _join("buf({}, {})", pointer, st.sampled_from(("4", "64", "128"))),
        *(_join(f"{n}({{}})", pointer) for n in ("strs", "ipv4", "ipv6", "sockaddr", "user")),
        *(_join(f"sockaddr({{}}).{name}", pointer) for name in ("ip", "port", "path")),
        _join("(sockaddr({}).ip {} ipv4({}))", pointer, st.sampled_from(("==", "!=")), pointer),
        _join("(ipv6({}) in (sockaddr({}).ip, '::1'))", pointer, pointer),
        *(_join(f"{name}({{}})", number) for name in ("hash", "ksym", "devname", "ntohs")),
        _join("flags({}, 'O_')", number),
        _join("hash({})", text),
    )
    return shown, st.one_of(number, test)


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[str, str]:
    """An attach point and the keys of a probe there."""
    attach = draw(st.sampled_from(sorted(_PLACES)))
    shown, number = _expressions(*_PLACES[attach])
    keys: dict[str, object] = {"let": {"a": draw(shown), "b": draw(shown)}}
    if draw(st.integers(0, 3)) == 0:
        keys["where"] = draw(number)
    keys["emit"] = {"x": "a", "y": draw(shown)}
    kind = draw(st.sampled_from(("sum", "max", "count")))
    metric: dict[str, object] = {kind: True if kind == "count" else draw(number)}
    metric["by"] = [draw(st.sampled_from(("a", "b", "comm")))]
    keys["metrics"] = {"m": metric}
    used = draw(st.sets(st.sampled_from(("emit", "metrics")), min_size=1))
    return attach, json.dumps(
        {name: keys[name] for name in keys if name in used | {"let", "where"}}
    )


def _compiled(attach: str, body: str, policy: Policy) -> Program | None:
    """The program that may run under the policy; None where it may not, or is no plan."""
    keys = json.dumps({"attach": attach} | json.loads(body))
    try:
        return resolve(load_plan(f"{HEAD}probes: {{p: {keys}}}".encode()), FACTS, [policy]).program
    except (PlanError, HostError):
        return None


@given(_bodies(), st.sampled_from(("deny", "hash", "truncate(4)")))
@example((OPEN, '{"emit": {"x": "load(u8, args.filename)"}}'), "hash")
@example((OPEN, '{"emit": {"x": "str(user(args.filename + 4))"}}'), "truncate(4)")
@example((OPEN, '{"emit": {"x": "str(args.filename)", "y": "args.flags"}}'), "truncate(4)")
@example((EXEC, '{"metrics": {"m": {"count": true, "by": ["args.filename"]}}}'), "hash")
def test_any_plan_that_may_run_shows_the_same_whatever_user_data_is(
    case: tuple[str, str], rule: str
) -> None:
    """Two worlds that differ in user data alone look alike: records, keys, values, counts."""
    policy = a_policy(f"user_strings: {rule}")
    program = _compiled(*case, policy)
    if program is None:
        return
    shown = 4 if rule.startswith("truncate") else 0
    worlds = [World(secret=name, shown=shown, facts=FACTS) for name in ("one", "other")]
    first, second = (look_at(program, world) for world in worlds)
    assert first == second


def test_the_worlds_differ_where_nothing_is_protected() -> None:
    """The property would notice a leak."""
    for attach, body in (
        (OPEN, '{"emit": {"x": "load(u8, args.filename)"}}'),
        (OPEN, '{"emit": {"x": "str(user(args.filename + 4))"}}'),
        (OPEN, '{"where": "load(u8, args.filename) > 70", "metrics": {"m": {"count": true}}}'),
        ("uprobe:/no/such/file:main", '{"emit": {"x": "arg1"}}'),
        ("function:kern_path", '{"emit": {"x": "str(args.name)"}}'),
        (EXEC, '{"emit": {"x": "args.filename"}}'),
    ):
        program = _compiled(attach, body, a_policy("user_strings: allow"))
        assert program is not None, body
        worlds = [World(secret=str(number), shown=0, facts=FACTS) for number in range(20)]
        seen = {str(look_at(program, world)) for world in worlds}
        assert len(seen) > 1, body


def test_two_policies_are_each_satisfied() -> None:
    """A digest shows less than a beginning."""
    plan = a_plan(
        OPEN, "    let: {f: str(args.filename)}\n    metrics: {n: {count: true, by: [f]}}\n"
    )
    resolve(plan, FACTS, [a_policy("user_strings: truncate(8)"), a_policy("user_strings: hash")])
