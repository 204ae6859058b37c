"""What identifies a metric: its meaning, and nothing else."""

from orchestrator.check.measurement import MetricIdentity
from orchestrator.check.measuring.identity import identify_metrics, identify_probes
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from tests.support.recorded import recorded

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: identity, summary: for tests}
params: {least: {type: int, default: 5}, other: {type: int, default: 1}}
limits: {duration: 10s}
probes:
  write:
    attach: "syscall:write"
    where: retval >= params.least
    let: {size: retval}
    emit: {size: size}
    metrics:
      bytes: {sum: size, by: [comm], top: 3}
      calls: {count: true}
  reads:
    attach_first: ["function:no_such_function", "function:vfs_read"]
    metrics: {reads: {count: true}}
"""


def load(text: str, kernel: str = "6.1", **settings: str) -> tuple[Plan, Program]:
    plan = load_plan(text.encode(), settings=settings)
    return plan, compile_plan(plan, recorded(kernel))


def bytes_of(text: str = PLAN, kernel: str = "6.1", **settings: str) -> MetricIdentity:
    return identify_metrics(*load(text, kernel, **settings))["write"]["bytes"]


def test_a_metric_is_the_same_whatever_changes_beside_it() -> None:
    same = bytes_of()
    for old, new in (
        ("{size: size}", "{size: size, who: comm}"),
        ("summary: for tests", "summary: other"),
        ("duration: 10s", "duration: 20s"),
        ("top: 3", "top: 4"),
        ("calls: {count: true}", "calls: {count: true}\n      more: {max: size}"),
        ("retval >= params.least", "retval  >=  params.least"),
    ):
        assert bytes_of(PLAN.replace(old, new)) == same, new
    assert bytes_of(other="7") == same
    assert bytes_of(kernel="6.12") == same
    assert (same.kind, same.by) == ("sum", ("comm",))


def test_a_metric_is_another_where_its_meaning_changes() -> None:
    digests = [bytes_of().digest, bytes_of(least="6").digest]
    for old, new in (
        ("syscall:write", "syscall:pwrite64"),
        ("retval >= params.least", "retval > params.least"),
        ("{size: retval}", "{size: retval + 1}"),
        ("sum: size", "max: size"),
        ("by: [comm]", "by: [pid]"),
        ("    where:", "    sample: 1/2\n    where:"),
        ("probes:", "target: {comm: cat}\nprobes:"),
    ):
        digests.append(bytes_of(PLAN.replace(old, new)).digest)
    assert len(set(digests)) == len(digests)


def test_a_probe_is_known_by_its_alternative_and_its_place() -> None:
    _, program = load(PLAN)
    found = identify_probes(program, (), ())
    assert (found["write"].place, found["reads"].place) == ("user-visible", "kernel-side")
    assert found["reads"].alternative == "function:vfs_read"
    assert found["write"].skipped is None


def test_an_optional_probe_that_is_not_there_says_why() -> None:
    text = PLAN.replace(
        'attach_first: ["function:no_such_function", "function:vfs_read"]',
        "attach: function:no_such_function\n    optional: true",
    )
    _, program = load(text)
    assert "no_such_function" in (identify_probes(program, (), ())["reads"].skipped or "")
