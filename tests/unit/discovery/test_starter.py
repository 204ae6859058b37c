"""Plans to begin with: each passes lint on the kernel that it was made for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orchestrator.discovery.choice import choose_points
from orchestrator.discovery.description import describe_point
from orchestrator.discovery.field_choice import write_name
from orchestrator.discovery.query import parse_query
from orchestrator.discovery.search import find_by_query
from orchestrator.discovery.starter import PLAN_WITHOUT_POINT, write_plan
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.document.parse import parse_document
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import check_document
from orchestrator.plan.model import Plan
from orchestrator.run.prepare import prepare
from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS
from tests.support.recorded import recorded
from tests.support.trees import facts as made_up

KERNELS = ("5.10", "6.12-arm64", "6.18-no-kprobes", "7.x")
IN_KERNEL = ("tracepoint", "rawtracepoint", "syscall")
OF_FUNCTIONS = ("function", "entry", "kprobe", "kretprobe", "fentry", "fexit")


def new(text: str, facts: KernelFacts, file: str = "PLAN.yaml") -> str:
    chosen = choose_points(text, facts)
    return write_plan(chosen.kind, chosen.target, chosen.points, modeline="# m", file=file)


def lint(text: str) -> Plan:
    document, findings = parse_document(text.encode(), "plan")
    assert document is not None, findings
    plan, findings = check_document(document, findings)
    assert findings == []
    assert plan is not None
    return plan


def sample(facts: KernelFacts) -> Iterator[str]:
    """An attach point of each kind that can be attached to, from the middle of the list."""
    can_probe = facts.feature("kprobes").state == "yes"
    for kind in IN_KERNEL + (OF_FUNCTIONS if can_probe else ()):
        points = [p for p in find_by_query(parse_query(kind), facts).points if not p.refused]
        middle = points[len(points) // 2 :]
        yield next(p.text for p in middle if describe_point(p, facts).refusal is None)
    yield from (
        "profile:49hz",
        "interval:1s",
        "iter:task",
        "iter:udp",
        "perf:page-faults",
        "tracepoint:sched:sched_wakeup*",
        "syscall:preadv*",
    )


@pytest.mark.parametrize("release", KERNELS)
def test_plans_for_attach_points_of_each_kind_pass_lint_there(release: str) -> None:
    facts = recorded(release)
    for text in sample(facts):
        plan = lint(new(text, facts))
        [probe] = plan.probes
        assert [item.text for item in probe.items] == [text]
        prepare(plan, facts)


@pytest.mark.parametrize(
    "form",
    [
        "usdt:{}:text",
        "usdt:{}:glob_*",
        "uprobe:{}:take",
        "ufunction:{}:give",
        "uretprobe:{}:?ive",
        "{}:take",
    ],
)
def test_plans_for_a_file_pass_lint(form: str, tmp_path: Path) -> None:
    file = build(WORKLOADS / "texts.c", tmp_path / "texts")
    facts = recorded("6.12")
    prepare(lint(new(form.format(file), facts)), facts)


def test_a_plan_without_an_attach_point_passes_lint_on_each_kernel() -> None:
    plan = lint(new(PLAN_WITHOUT_POINT, recorded("6.1")))
    for release in KERNELS:
        prepare(plan, recorded(release))


def test_a_plan_has_the_arguments_with_their_types_and_names() -> None:
    text = new("syscall:openat", recorded("6.1"))
    assert "filename: str(args.filename)" in text
    assert "# user pointer, const char *" in text
    emit = yaml.safe_load(text)["probes"]["openat"]["emit"]
    assert emit["result"] == "errno(retval)"
    assert emit["took"] == "elapsed"
    assert "reason: args.reason" in new("tracepoint:skb:kfree_skb", recorded("6.12"))


def test_named_values_become_labels() -> None:
    text = (
        b"ID: 7\nformat:\n\tfield:int state;\toffset:8;\tsize:4;\tsigned:1;\n\n"
        b'print fmt: "%s", __print_symbolic(REC->state, { 1, "TCP_ESTABLISHED" })\n'
    )
    kernel = made_up({"sys/kernel/tracing/events/sched/sched_switch/format": text})
    plan = new("tracepoint:sched:sched_switch", kernel)
    assert 'state: label(args.state, "TCP_")' in plan
    assert "# where: args.state != 0" in plan
    lint(plan)


def test_fields_that_a_record_has_anyway_get_another_name() -> None:
    emit = yaml.safe_load(new("tracepoint:sched:sched_wakeup", recorded("6.1")))
    names = list(emit["probes"]["sched_wakeup"]["emit"])
    assert names[:2] == ["event_comm", "event_pid"]


def test_a_glob_takes_the_fields_that_all_have() -> None:
    """sched_wake_idle_without_ipi has no pid."""
    text = new("tracepoint:sched:sched_wakeup*", recorded("6.1"))
    assert "event_pid: args.pid" in text
    assert "by: [func, comm]" in text
    assert "args.pid" not in new("tracepoint:sched:sched_wake*", recorded("6.1"))


def test_comments_that_a_reader_uncomments_are_valid_too() -> None:
    """Every commented field, and the commented condition, taken one at a time."""
    facts = recorded("6.12")
    for point in ("function:vfs_read", "tracepoint:sched:sched_wakeup", "function:tcp_connect"):
        lines = new(point, facts).splitlines()
        for index, line in enumerate(lines):
            if line.startswith(("      # ", "    # where:")):
                taken = [*lines[:index], line.replace("# ", "", 1), *lines[index + 1 :]]
                prepare(lint("\n".join(taken)), facts)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("function:_raw_spin_lock", HostError, "must not be probed"),
        ("tracepoint:*", PlanError, "a plan may have 64"),
        ("tracepoint:kvm:kvm_exit", HostError, "no category"),
        ("tracepoint:nosuch", HostError, "no tracepoint"),
    ],
)
def test_what_a_plan_cannot_attach_to_is_refused(
    text: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        new(text, recorded("6.1"))


def test_a_file_name_cannot_leave_its_comment() -> None:
    text = new("syscall:openat", recorded("6.1"), file="a b\nevil: \x1b[2J")
    assert "\nevil" not in text
    assert "\x1b" not in text
    lint(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("off", "off_value"),
        ("from", "from_value"),
        ("9p_x", "n9p_x"),
        ("Opt-1", "opt_1"),
        ("", "value"),
    ],
)
def test_names_are_such_that_neither_yaml_nor_python_owns_them(text: str, name: str) -> None:
    assert write_name(text) == name
