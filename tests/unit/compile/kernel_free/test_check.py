"""What `lint` says of types without a kernel, by the compiler's typing."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.compile.kernel_free.check import Unchecked, check_without_kernel
from orchestrator.compile.lower import compile_plan
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.load import check_plan
from orchestrator.plan.model import Plan
from tests.support.plans import HEAD, VALID, probe
from tests.support.recorded import recorded
from tests.support.shipped import EXAMPLES, KERNELS, PLANS

PARAMS = """\
params:
  wait: {type: duration, default: 5ms}
  much: {type: bytes, default: 1MiB}
  n: {type: int, default: 3}
"""


def plan_of(text: bytes) -> Plan:
    plan, findings = check_plan(text)
    assert plan is not None, findings
    return plan


def found(text: bytes) -> list[Finding]:
    return check_without_kernel(plan_of(text))[0]


def found_at_read(condition: str) -> list[Finding]:
    return found(probe(f"where: {condition}\nemit: {{}}", before=PARAMS, attach="syscall:read"))


@pytest.mark.parametrize(
    ("condition", "code", "column", "hint"),
    [
        ("comm > 3", "PP084", 12, "startswith"),
        ("comm == 3", "PP084", 12, 'text in quotes: "3"'),
        ("elapsed > 5", "PP085", 12, "`5*ms`"),
        ("elapsed > 4*KiB", "PP085", 12, ""),
        ("elapsed > params.n", "PP085", 12, "write the unit"),
        ("elapsed > args.count", "PP085", 12, "write the unit"),
        ("retval > params.wait", "PP085", 12, "write the unit"),
        ('pid == "x"', "PP084", 12, "comm"),
        ('pid == "1234"', "PP084", 12, "without quotes: 1234"),
        ('arg0 == 0 and user(arg0) == "x"', "PP084", 26, 'str(…) == "x"'),
        ('startswith(pid, "x")', "PP084", 12, "str(p)"),
        ('retval == 1 or glob(retval, "x*")', "PP084", 27, "str(p)"),
        ("str(args.buf) > 3", "PP084", 12, "startswith"),
        ("str(pid) != ''", "PP084", 12, ""),
        ("elapsed * elapsed > 0*ns", "PP085", 12, ""),
        ("comm + 1 > 0", "PP084", 12, ""),
        ("(5 if pid else comm) == 5", "PP084", 13, "both numbers"),
        ("comm", "PP084", 12, 's != ""'),
        ('args.buf == "x"', "PP084", 12, 'str(…) == "x"'),
        ('arg1 != "x"', "PP084", 12, 'str(…) == "x"'),
        ('args.buf in ("x", "y")', "PP084", 25, 'str(…) == "x"'),
        ('startswith(args.buf, "x")', "PP084", 12, "str(p)"),
    ],
)
def test_types_that_fit_on_no_kernel_are_refused_at_their_place(
    condition: str, code: str, column: int, hint: str
) -> None:
    (finding,) = found_at_read(f"'{condition}'" if "'" not in condition else f'"{condition}"')
    place = finding.position
    assert (finding.code, place.line, place.column) == (code, 12, column + 1), finding
    assert finding.severity == "error"
    assert hint in finding.hint


@pytest.mark.parametrize(
    "condition",
    [
        "args.count > 5",
        'args.__text == "x"',  # the record of a later kernel may have it
        "either(args.count, 5*ms) > 3*ms",
        "retval > NO_SUCH_ENUMERATOR",
        "elapsed > NO_SUCH_ENUMERATOR",
        'cast(args.buf, "struct foo").bar.baz == 3',
        "ppid == 3",
        "remote(args.buf).port == 80",
        "elapsed > 0",
        "retval * ns > params.wait",
    ],
)
def test_what_a_kernel_may_take_is_left_to_it(condition: str) -> None:
    assert found_at_read(f"'{condition}'") == []


@pytest.mark.parametrize(
    "file", [*PLANS.values(), *EXAMPLES.values(), *VALID], ids=lambda path: path.stem
)
def test_shipped_plans_have_no_findings(file: Path) -> None:
    plan, findings = check_plan(file)
    assert plan is not None, findings
    assert check_without_kernel(plan)[0] == []


def test_all_of_a_probe_is_checked_and_each_place_once() -> None:
    """A definition that is used twice is refused where it is written."""
    text = probe(
        "let: {late: elapsed > 5}\nwhere: late\nemit: {late: late, id: comm + 1}\n"
        "metrics: {n: {sum: comm, by: [cpu]}}",
        attach="syscall:read",
    )
    places = [(finding.code, finding.position.line) for finding in found(text)]
    assert sorted(places) == [("PP084", 10), ("PP084", 11), ("PP085", 8)]


def test_the_key_of_once_is_checked() -> None:
    text = probe("emit: {}\nonce: {by: [{x: comm + 1}]}", attach="syscall:read")
    assert [finding.code for finding in found(text)] == ["PP084"]


def test_task_and_spelled_types_are_checked() -> None:
    body = "args: {size: u64, name: char *}\ntask: comm\nwhere: 'args.name == \"x\"'\nemit: {}"
    codes = [(finding.position.line, finding.hint) for finding in found(probe(body))]
    assert [line for line, _ in codes] == [9, 10]
    assert "str(…)" in codes[1][1]


SPAN = """\
probes:
  a: {attach: "syscall:read", let: {size: retval}}
  b: {attach: "tracepoint:sched:sched_switch"}
spans:
  s: {start: a, end: b, key: [tid], where: %s, emit: {x: start.size}}
"""


@pytest.mark.parametrize(
    ("where", "code"), [("elapsed > 5", "PP085"), ("start.comm > 5", "PP084"), ("elapsed > 0", "")]
)
def test_spans_are_checked(where: str, code: str) -> None:
    findings = found((HEAD + SPAN % where).encode())
    assert [finding.code for finding in findings] == ([code] if code else [])


ALTERNATIVES = """\
probes:
  a:
    attach_first:
      - {to: "function:vfs_read", let: {x: %s}}
      - {to: "tracepoint:sched:sched_switch", let: {x: %s}}
    where: x > 5
    emit: {}
"""


@pytest.mark.parametrize(
    ("first", "second", "severities"),
    [("pid", "comm", ["warning"]), ("comm", "comm", ["error"]), ("pid", "cpu", [])],
)
def test_what_is_wrong_at_one_of_several_attach_points_is_a_warning(
    first: str, second: str, severities: list[str]
) -> None:
    """Some kernel may never get there; what is wrong at all of them is an error."""
    findings = found((HEAD + ALTERNATIVES % (first, second)).encode())
    assert [finding.severity for finding in findings] == severities


def test_what_is_wrong_at_an_optional_attach_point_is_a_warning() -> None:
    (finding,) = found(probe("optional: true\nwhere: comm > 3\nemit: {}"))
    assert finding.severity == "warning"
    assert finding.message.startswith("where function:vfs_read is attached: ")


def test_what_is_left_to_a_kernel_is_counted() -> None:
    """Arguments and return values without a type once each; not a timer, which all kernels have."""
    body = "where: retval > 0 and args.count > 5 and args.count < 9\nemit: {x: args.buf}"
    assert check_without_kernel(plan_of(probe(body)))[1] == Unchecked(attach_points=1, arguments=3)
    timer = plan_of(probe("emit: [pid]", attach="profile:99hz"))
    assert check_without_kernel(timer)[1] == Unchecked()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("emit: {s: ustack}", "'ustack'"),
        ("emit: {line: argv()}", "argv()"),
        ("task: args.task.real_parent\nemit: {s: kstack}", "'kstack'"),
        ("task: args.task.real_parent\nemit: {s: since_run}", "'since_run'"),
        ("metrics: {n: {count: compat}}", "'compat'"),
        ("task: current\nemit: {}", "`task: current`"),
    ],
)
def test_an_iterators_events_are_not_those_of_the_task_that_reads_it(body: str, said: str) -> None:
    (finding,) = found(probe(body, attach="iter:task"))
    assert finding.code == "PP088"
    assert said in finding.message
    assert (
        found(
            probe(
                "emit: {parent: ppid, line: task.mm, s: kstack(3)}\nwhere: since_run > 1*s",
                attach="iter:task",
            )
        )
        == []
    )
    (finding,) = check_plan(probe("emit: {}\nwhere: pid > 1", attach="iter:tcp"))[1]
    assert finding.code == "PP028"


def test_an_interval_belongs_to_no_task_unless_the_plan_says_so() -> None:
    """Its events are the running task's where the plan says `task: current`."""
    (finding,) = check_plan(probe("emit: {}\nwhere: pid > 1", attach="interval:1s"))[1]
    assert (finding.code, finding.position.line) == ("PP028", 9)
    assert found(probe("task: current\nemit: {}\nwhere: pid > 1", attach="interval:1s")) == []


# ---------------------------------------------------------------- every kernel agrees

ATOMS = (
    *("pid", "comm", "elapsed", "retval", "cpu", "now", "probe", "uid", "compat", "ppid", "func"),
    *(
        "args.count",
        "args.buf",
        "arg1",
        "5",
        "0",
        "5*ms",
        "4*KiB",
        '"x"',
        "true",
        "EAGAIN",
        "ustack",
    ),
    *("params.wait", "params.much", "params.n", "either(args.count, 5*ms)", "either(pid, 0)"),
    *("note.held.v", "note.held.v", "note.held.who", "noted(held)", "note.held.own.few[1]"),
    *(f'cast(args.buf, "own").{name}' for name in ("flag", "text", "few[1]", "next.next.few")),
)
#: What may be named in addition to the probe's own: structures, and what another probe keeps.
TYPES = """\
types:
  own: {flag: bool at 0, text: "string[4] at 4", next: own * at 8, few: "s16[3] at 16"}
"""
SETTER = """\
  setter: {attach: "syscall:write", emit: {noted: noted(held)}}
notes:
  held: {set: setter, key: [tid], keep: {who: comm, own: 'cast(args.buf, "own")', v: VALUE}}
"""
BINARY = ("+", "-", "*", "//", "%", "&", "<<", "==", "!=", "<", ">=", "and", "or")
CALLS = (
    *("str({0})", "min({0}, {1})", "startswith({0}, {1})", 'glob({0}, "a*")', "hash({0})"),
    *(
        "load(u32, {0})",
        "user({0})",
        "cast({0}, u64)",
        "not {0}",
        "-{0}",
        "entry({0})",
        "errno({0})",
    ),
    *("({0} if {1} else {2})", "{0} in ({1}, {2})", "ntohs({0})", "ipv4({0})", "buf({0}, {1})"),
)


def _combine(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operation = st.tuples(inner, st.sampled_from(BINARY), inner).map(lambda it: f"({' '.join(it)})")
    call = st.tuples(st.sampled_from(CALLS), inner, inner, inner).map(
        lambda it: it[0].format(*it[1:])
    )
    return operation | call


EXPRESSIONS = st.recursive(st.sampled_from(ATOMS), _combine, max_leaves=5)
KEPT = st.recursive(
    st.sampled_from([atom for atom in ATOMS if "held" not in atom]), _combine, max_leaves=3
)


def _refused(plan: Plan, kernel: str) -> bool:
    try:
        compile_plan(plan, recorded(kernel))
    except (PlanError, HostError):
        return True
    return False


def _check_that_kernels_agree(expression: str, kept: str) -> None:
    """`kept` is what the note keeps as `v`."""
    quoted, value = (f"'{text}'" for text in (expression.replace("'", "''"), kept))
    text = probe(f"emit: {{x: {quoted}}}", before=TYPES + PARAMS, attach="syscall:read")
    plan, _ = check_plan(text + SETTER.replace("VALUE", value).encode())
    if plan is None:
        return
    findings, _ = check_without_kernel(plan)
    if findings:
        assert all(_refused(plan, kernel) for kernel in KERNELS), (expression, kept, findings)


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, KEPT)
def test_what_is_refused_without_a_kernel_is_refused_by_every_recorded_one(
    expression: str, kept: str
) -> None:
    _check_that_kernels_agree(expression, kept)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(EXPRESSIONS, KEPT)
def test_many_expressions_are_judged_as_every_kernel_judges_them(
    expression: str, kept: str
) -> None:
    _check_that_kernels_agree(expression, kept)


NOTED = """
  in:
    attach_first: [ITEMS]
    let: {task_is: comm}
  out: {attach: "tracepoint:sched:sched_switch", where: CONDITION, emit: {a: noted(first)}}
  also: {attach: "interval:1s", let: {tid: 1}, emit: {b: noted(second), c: noted(third)}}
notes:
  first: {set: in, key: [tid], keep: {who: task_is, number: uid, took: elapsed, read: args.count}}
  second: {set: out, key: [tid], keep: {again: note.first.who}}
  third: {set: in, key: [tid], keep: {size: args.size, shown: errno(pid), both: VALUE}}
"""


def noted(condition: str, items: str = "syscall:read", value: str = "pid") -> list[str]:
    """What is found of a condition on what notes keep."""
    text = NOTED.replace("CONDITION", f"'{condition}'").replace("ITEMS", items)
    return [
        finding.code
        for finding in found(f"{HEAD}probes:{text}".replace("VALUE", value).encode())
        if finding.position.line == 8
    ]


@pytest.mark.parametrize(
    ("condition", "codes"),
    [
        ("note.first.who > 3", ["PP084"]),
        ('note.first.who == "x"', []),
        ('note.first.number == "x"', ["PP084"]),
        ("note.first.took > 5", ["PP085"]),
        ("note.first.took > 5*ms", []),
        ("note.second.again > 3", ["PP084"]),
        ('note.second.again == "x"', []),
        ('note.first.read == "x"', ["PP084"]),  # an argument of a system call is in a register
        ("note.third.size > 3", []),
        ("note.third.shown == 3", []),
    ],
)
def test_what_notes_keep_has_the_types_that_no_kernel_decides(
    condition: str, codes: list[str]
) -> None:
    assert noted(condition) == codes


def test_alternatives_that_keep_different_types_are_left_to_a_kernel() -> None:
    """As are attach points that wait for a param."""
    items = '{to: "syscall:read", let: {kept: pid}}, {to: "syscall:write", let: {kept: comm}}'
    assert noted("note.third.both > 3", items, "kept") == []
    same = '{to: "syscall:read", let: {kept: comm}}, {to: "syscall:write", let: {kept: comm}}'
    assert noted("note.third.both > 3", same, "kept") == ["PP084"]
