"""From a file to a `Plan`: what every key becomes, params, overrides, deferred attach points."""

import subprocess
import sys
from typing import Any

import pytest

from orchestrator.cells.buckets import Buckets
from orchestrator.plan.expression.syntax import Compare, Expr, TextLiteral
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import check_plan, load_plan
from orchestrator.plan.model import Limits, Plan, Rate
from tests.support.paths import PLAN_DATA, ROOT
from tests.support.plans import HEAD, probe

SLOW_READS = PLAN_DATA / "valid" / "slow-reads.yaml"
EVERYTHING = PLAN_DATA / "valid" / "everything.yaml"
LATENCY_OF = PLAN_DATA / "recipes" / "latency-of.yaml"


@pytest.fixture(scope="module")
def everything() -> Plan:
    return load_plan(EVERYTHING)


def test_example_of_the_design_becomes_this_plan() -> None:
    """Base units everywhere, expressions parsed, defaults filled in."""
    plan = load_plan(SLOW_READS)
    assert plan.metadata.name == "slow-reads"
    assert plan.params["threshold"].value == 10_000_000
    assert plan.limits == Limits()
    assert plan.target.comm == ("postgres",)
    (read,) = plan.probes
    assert (read.name, read.mode, read.sample) == ("read", "one", 10)
    assert (read.items[0].kind, read.items[0].target) == ("function", "vfs_read")
    assert list(read.emit or {}) == ["wanted", "got", "took"]
    assert [(m.name, m.kind, m.by, m.unit) for m in read.metrics] == [
        ("calls", "count", ("comm",), ""),
        ("latency", "histogram", ("comm",), "us"),
    ]
    assert read.metrics[0].value is None
    assert plan.source == SLOW_READS.read_bytes()
    assert len(plan.sha256) == 64


def test_limits_are_in_base_units(everything: Plan) -> None:
    """Nanoseconds, bytes, events and fractions of a CPU."""
    assert everything.limits == Limits(
        duration_ns=90_000_000_000,
        events=500,
        rate=Rate(count=10, per_ns=1_000_000),
        at_cap="mute",
        cpu=0.005,
        memory=16 << 20,
        probes=10,
        output=1 << 30,
        incomplete="allow",
    )
    assert everything.every_ns == 1_000_000_000


def test_params_are_filled_into_attach_by_and_target(everything: Plan) -> None:
    """$(params.x) stands for the value; `none` in by means no key."""
    read, heap, switch, *_ = everything.probes
    assert everything.target.comm == ("postgres", "kworker*")
    assert everything.target.pid == (1, 2)
    assert read.items[0].target == "vfs_read"
    assert read.sample == 7
    assert heap.items[0].target == "libc.so.6:malloc"
    assert switch.items[1].text == "tracepoint:sched:sched_switch"
    assert read.metrics[1].by == ()
    chosen = load_plan(EVERYTHING, settings={"by": "comm"})
    assert chosen.probes[0].metrics[1].by == ("comm",)


def test_text_params_become_constants_in_expressions(everything: Plan) -> None:
    """A value with quotes cannot become source: it is one text node."""
    nasty = "a' or 'x"
    plan = load_plan(EVERYTHING, settings={"who": nasty[:8]})
    where = plan.probes[1].where
    assert where is not None
    compared = [node for node in where.root.operands if isinstance(node, Compare)]  # type: ignore[union-attr]  # it is an `and`
    assert TextLiteral(nasty[:8], compared[1].right.at) == compared[1].right


def test_items_and_metrics_keep_their_own_keys(everything: Plan) -> None:
    """Item overrides, linear buckets in bytes, keys by kind."""
    read, _, switch, timer, tick, tasks = everything.probes
    item = read.items[0]
    assert (item.optional, item.returns, item.args["buf"]) == (True, "s64", "pointer")
    assert [item.tag for item in switch.items] == ["raw", "perf"]
    assert (switch.task, timer.task, tick.task) == ("none", None, "none")
    assert isinstance(tasks.items[0].task, Expr)
    assert tasks.items[0].task.text == "args.task"
    assert timer.emit == {}
    metrics = {metric.name: metric for metric in read.metrics}
    assert metrics["sizes"].buckets == Buckets(kind="linear", low=0, high=65536, step=4096)
    assert (metrics["bad"].keys, metrics["latency"].keys, metrics["calls"].keys) == (
        1000,
        256,
        10_000,
    )
    assert metrics["bad"].top == 5


def test_where_true_is_no_condition() -> None:
    """`where: true` costs nothing; `where: false` stays."""
    assert load_plan(probe("where: true\nemit: {}")).probes[0].where is None
    assert load_plan(probe("where: false\nemit: {}")).probes[0].where is not None


def test_settings_override_defaults() -> None:
    """--set gives a typed value and leaves the default in place alongside it."""
    param = load_plan(SLOW_READS, settings={"threshold": "5ms"}).params["threshold"]
    assert (param.value, param.default) == (5_000_000, 10_000_000)


def test_limits_and_target_are_overridden() -> None:
    """--limit and --target replace what the plan says, key by key."""
    plan = load_plan(
        SLOW_READS,
        target={"pid": "1,2", "children": "true"},
        limits={
            "duration": "unlimited",
            "events": "5",
            "at_cap": "mute",
            "incomplete": "allow",
        },
    )
    assert (plan.target.pid, plan.target.children) == ((1, 2), True)
    assert plan.target.comm == ("postgres",)
    assert (plan.limits.duration_ns, plan.limits.events, plan.limits.at_cap) == (None, 5, "mute")
    assert plan.limits.incomplete == "allow"
    assert plan.limits_from["incomplete"] == "command line"


@pytest.mark.parametrize(
    ("given", "place", "hint"),
    [
        ({"settings": {"treshold": "1ms"}}, "--set treshold", "did you mean 'threshold'?"),
        ({"settings": {"threshold": "5"}}, "--set threshold", "write a number with"),
        ({"settings": {"threshold": "$(id)"}}, "--set threshold", "write a number with"),
        ({"limits": {"durration": "1s"}}, "--limit durration", "did you mean 'duration'?"),
        ({"limits": {"duration": "60d"}}, "--limit duration", "from 1ms to 30d"),
        ({"limits": {"at_cap": "halt"}}, "--limit at_cap", ""),
        ({"limits": {"incomplete": "true"}}, "--limit incomplete", ""),
        ({"target": {"pid": "x"}}, "--target pid", "a number from 1 to"),
        ({"target": {"pid": ""}}, "--target pid", "a number from 1 to"),
        ({"target": {"comms": "x"}}, "--target comms", "did you mean 'comm'?"),
        ({"target": {"children": "yes"}}, "--target children", ""),
    ],
)
def test_bad_overrides_name_their_option(given: Any, place: str, hint: str) -> None:
    """PP067 is at the option, not at a line of the file."""
    with pytest.raises(PlanError) as refusal:
        load_plan(SLOW_READS, **given)
    (finding,) = refusal.value.findings
    assert (finding.code, str(finding.position)) == ("PP067", place)
    assert finding.hint.startswith(hint)


def test_a_refused_setting_is_told_once() -> None:
    """And not also as a param that has no value."""
    with pytest.raises(PlanError) as refusal:
        load_plan(LATENCY_OF, settings={"function": "functoin:vfs_read"})
    assert [finding.code for finding in refusal.value.findings] == ["PP067"]


def test_a_required_param_is_needed_to_run_but_not_to_lint() -> None:
    """Lint leaves the attach point open; load refuses with PP068 until it is set."""
    plan, findings = check_plan(LATENCY_OF)
    assert findings == []
    assert plan is not None
    assert plan.probes[0].items[0].deferred == "function"
    with pytest.raises(PlanError) as refusal:
        load_plan(LATENCY_OF)
    assert [finding.code for finding in refusal.value.findings] == ["PP068"]
    item = (
        load_plan(LATENCY_OF, settings={"function": "ufunction:libc.so.6:malloc"})
        .probes[0]
        .items[0]
    )
    assert (item.kind, item.target, item.deferred) == ("ufunction", "libc.so.6:malloc", "")


@pytest.mark.parametrize(
    "value",
    [
        "vfs_read",
        "function:vfs_read extra",
        "function:vfs_read\np:x do_exit",
        'function:a"',
        "kprobe:$(params.x)",
        "tracepoint:a:b:c",
        "ufunction:/bin/a b:main",
        "function:" + "x" * 300,
    ],
)
def test_attach_params_cannot_carry_anything_else(value: str) -> None:
    """--set of an attach point passes the same grammar as the plan's own."""
    with pytest.raises(PlanError) as refusal:
        load_plan(LATENCY_OF, settings={"function": value})
    assert refusal.value.findings[0].code == "PP067"


def test_one_alternative_with_a_return_is_enough() -> None:
    """Of `attach_first` only what this kernel offers counts, so one kind with a return will do."""
    content = f"{HEAD}probes:\n  a:\n    emit: {{got: retval}}\n    attach_first: [%s]\n"
    assert load_plan((content % "'entry:x', 'kretprobe:x'").encode())
    with pytest.raises(PlanError):
        load_plan((content % "'entry:x', 'kprobe:x'").encode())


def test_every_finding_comes_at_once() -> None:
    """YAML, schema, units, attach points and expressions are all judged in one go."""
    content = (
        f"{HEAD}limits: {{duration: 1s1m, evnts: 1}}\nevery: yes\nprobes:\n"
        "  a: {attach: 'function:x y', emit: {z: nope}}\n"
        "  b: {attach: 'entry:x', where: retval > 0}\n"
    )
    _, findings = check_plan(content.encode())
    assert [finding.code for finding in findings] == [
        *("PP040", "PP030", "PP008", "PP052", "PP022", "PP053", "PP027"),
    ]


def test_warnings_do_not_stop_a_plan() -> None:
    """A definition that hides a builtin is reported by lint and run all the same."""
    content = probe("let: {comm: args.name}\nemit: {who: comm}")
    plan, findings = check_plan(content)
    assert [(finding.code, finding.severity) for finding in findings] == [("PP070", "warning")]
    assert plan == load_plan(content)


def test_loading_a_good_plan_imports_nothing_heavy() -> None:
    """jsonschema (50 ms) and its like stay out of the way of a run."""
    code = (
        "import sys; from orchestrator.plan.load import load_plan; "
        f"load_plan({str(SLOW_READS)!r}); "
        "heavy = ('jsonschema', 'numpy', 'structlog', 'bcc', 'rich'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_a_document_of_another_kind_says_what_reads_it() -> None:
    text = b"apiVersion: probeplan/v1\nkind: ProbeCheck\nmetadata: {name: a, summary: A}\n"
    with pytest.raises(PlanError, match="this is a check: `probeplan check` reads it"):
        load_plan(text)
