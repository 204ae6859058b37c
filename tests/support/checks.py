"""Checks that tests of their language share."""

from collections.abc import Sequence

from orchestrator.check.document.load import inspect_check
from orchestrator.check.model import Check
from orchestrator.plan.document.parse import parse_document
from orchestrator.plan.findings import Finding

HEAD = """\
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: example, summary: An example}
"""
#: Counts by two keys and by none, a sum, an average, extremes, histograms of sizes and of times, a
#: span, derived figures, and a sampled probe.
PLAN = """\
plan:
  let: {slow_for: elapsed}
  probes:
    call:
      attach: tracepoint:raw_syscalls:sys_exit
      let: {number: args.id}
      metrics:
        calls: {count: true, by: [number]}
        named: {count: true, by: [number, comm]}
        failed: {count: args.ret < 0, by: [number]}
        stacks: {count: true, by: [kstack]}
    write:
      attach: syscall:write
      metrics:
        calls: {count: true}
        bytes: {sum: retval, unit: KiB}
        mean: {avg: retval}
        least: {min: retval}
        most: {max: retval, by: [comm]}
        sizes: {histogram: args.count}
        steps: {histogram: args.count, buckets: "linear(0, 100, 10)"}
        took: {sum: elapsed}
        slowest: {max: slow_for}
        latency: {histogram: elapsed, by: [comm]}
    rare:
      attach: syscall:fsync
      sample: 1/10
      metrics: {calls: {count: true}}
    begin: {attach: "entry:vfs_read", let: {at: arg0}}
    half: {attach: "entry:vfs_read", let: {at: arg0}, sample: 1/2}
    end: {attach: "kretprobe:vfs_read", let: {at: 1}}
  spans:
    wait:
      start: begin
      end: end
      key: [tid]
      metrics: {waits: {count: true}, time: {sum: elapsed}}
    part: {start: half, end: end, key: [tid], metrics: {waits: {count: true}}}
  derive:
    share: {value: call.failed / call.calls}
    rate: {value: write.calls * s / elapsed}
"""


def check_text(
    *expectations: str,
    plan: str = PLAN,
    workload: str = "run: [make, test]",
    before: str = "",
) -> str:
    """A check with these expectations, e1, e2 and so on; `workload` has its keys, one a line."""
    lines = "".join(f"  {line}\n" for line in workload.splitlines())
    expect = "".join(f"  e{n}: {text}\n" for n, text in enumerate(expectations, 1))
    return f"{HEAD}{before}{plan}workload:\n{lines}expect:\n{expect}"


def inspect(text: str, file: str = "check.yaml") -> tuple[Check | None, list[Finding]]:
    """The check that a text is, and its findings."""
    document, findings = parse_document(text.encode(), file)
    assert document is not None, findings
    return inspect_check(document, findings)


def good_check(*expectations: str, plan: str = PLAN, workload: str = "run: [make]") -> Check:
    """A check without findings."""
    check, findings = inspect(check_text(*expectations, plan=plan, workload=workload))
    assert check is not None, shown(findings)
    assert not findings, shown(findings)
    return check


def shown(findings: Sequence[Finding]) -> str:
    """Findings as text."""
    return "\n".join(map(str, findings))
