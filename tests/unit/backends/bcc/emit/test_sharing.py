"""One event has one value of what changes while it is handled."""

import re

import pytest

from orchestrator.backends import backend
from orchestrator.kernel.facts import load_facts
from tests.support.bcc_runs import program_of
from tests.support.paths import KERNELS


def functions_of(plan: str) -> dict[str, str]:
    """The C functions of a plan on a recorded kernel, by name."""
    facts = load_facts(KERNELS / "6.1.facts.xz")
    text = backend("bcc").emit(program_of(plan, facts), facts).text
    found = re.findall(r"^PP_INLINE void (\w+)\(.*?\n}$", text, re.M | re.S)
    bodies = re.findall(r"^PP_INLINE void \w+\(.*?\n}$", text, re.M | re.S)
    return dict(zip(found, bodies, strict=True))


@pytest.mark.parametrize(
    ("metrics", "call"),
    [
        ("a: {sum: elapsed}, b: {max: elapsed}, c: {histogram: elapsed, by: [comm]}", "ktime_ns"),
        ("a: {count: now > 0}, b: {max: elapsed}", "ktime_ns"),
        ("a: {count: true, by: [cgroup]}, b: {count: true, by: [cgroup, cpu]}", "cgroup_id"),
        ("a: {sum: elapsed}, b: {count: true}", "ktime_ns"),
    ],
)
def test_metrics_share_what_they_read(metrics: str, call: str) -> None:
    """Neither again for each, nor where nothing asks for it twice."""
    functions = functions_of(
        f"probes: {{p: {{attach: function:vfs_read, metrics: {{{metrics}}}}}}}"
    )
    [kept] = [body for name, body in functions.items() if name.endswith("_kept")]
    assert kept.count(f"pp_{call}()") == 1


def test_a_name_is_read_once_for_a_condition_a_record_and_keys() -> None:
    """The record's own name of its task, too."""
    functions = functions_of("""
probes:
  p:
    attach: rawtracepoint:sched_switch
    where: startswith(comm, "x")
    emit: {who: comm}
    metrics: {a: {count: true, by: [comm]}, b: {count: true, by: [comm, cpu]}}
""")
    assert functions["hook_0_hit_work"].count("pp_comm(") == 1


def test_metrics_of_a_span_share_its_age_and_what_is_made_of_it() -> None:
    """A definition that needs the open span is made behind the search for it."""
    functions = functions_of("""
probes:
  a: {attach: rawtracepoint:sched_switch, let: {n: cpu, size: args.prev.pid}}
  b: {attach: rawtracepoint:sched_wakeup, let: {n: cpu, other: args.p.pid}}
spans:
  s:
    start: a
    end: b
    key: [n]
    let: {ratio: start.size // end.other}
    metrics:
      took: {sum: elapsed}
      most: {max: elapsed, by: [start.size]}
      ratios: {sum: ratio}
      best: {max: ratio, where: ratio > 0}
""")
    end = functions["hook_1_hit_work"]
    assert end.count("pp_ktime_ns()") == 1
    assert end.count("pp_sdiv(") == 1
    assert end.index("if (!open)") < end.index("pp_sdiv(") < end.index("metric took")
