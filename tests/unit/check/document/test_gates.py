"""Checks as performance engineers write them, over shipped plans: all of them are read."""

import pytest

from tests.support.checks import HEAD, inspect, shown

MAKE = "workload: {run: [make, test]}\n"
SIZES = "workload: {run: [./queue, $(ops)], ops: [1000, 2000], cpu: 0}\n"
NGINX = """\
workload:
  serve:
    run: [nginx, -c, $(here)/nginx.conf, -g, daemon off;]
    ready: "tcp:127.0.0.1:18080"
    stop: SIGQUIT
  run: [ab, -q, -n, $(ops), -c, "1", "http://127.0.0.1:18080/"]
  ops: [1000, 2000]
"""
GATES = {
    "tests make nothing durable": """\
plan: fsync
workload:
  run: [python3, -m, pytest, -q, tests/unit]
  witness: [python3, -c, "import os; os.fsync(os.open('w', 66))"]
expect: {fsyncs: sync.calls == 0}
""",
    "no storm of missing files at import": """\
plan: opens
set: {failed_only: true}
workload: {run: [python3, -c, import app]}
expect: {missing: open.failed <= 40, not-more: open.failed <= baseline}
""",
    "two syncs a transaction": """\
plan: syscall-counts
workload:
  setup: [[rm, -f, $(scratch)/t.db]]
  run: [./bulk, $(scratch)/t.db, $(ops)]
  ops: [100, 200]
expect: {syncs: "call.calls[number in (SYS_fsync, SYS_fdatasync)] / ops == 2"}
""",
    "system calls of a request": f"plan: syscall-counts\n{NGINX}"
    "expect: {calls: call.calls / ops <= 15}\n",
    "no fork in the request path": f"plan: new-processes\n{NGINX}"
    "expect: {forks: task.processes / ops == 0}\n",
    "allocations": f"plan: malloc-calls\n{MAKE}"
    "expect: {mallocs: malloc.calls <= 1.01 * baseline}\n",
    "page faults": f"plan: page-faults\nset: {{sample: 1/1}}\n{MAKE}"
    "expect: {faults: fault.faults <= 1.02 * baseline}\n",
    "no shell is started": f"plan: execs\n{MAKE}"
    'expect: {no-shell: \'exec.execs[comm in ("sh", "dash", "bash")] == 0\'}\n',
    "switches of an operation": f"plan: context-switches\nset: {{sample: 1/1}}\n{SIZES}"
    "expect: {switches: switch.switches / ops <= 2}\n",
    "opens at the start": f"plan: opens\n{MAKE}expect: {{opens: open.opens <= 300}}\n",
    "the pool of connections works": f"plan: tcp-connects\n{MAKE}"
    "expect: {connects: connect.connects == 1}\n",
    "the clock is read without system calls": f"plan: syscall-counts\n{MAKE}"
    "expect: {clock: 'call.calls[number in (SYS_clock_gettime, SYS_gettimeofday)] == 0'}\n",
    "bytes written for bytes read": f"""\
plan:
  probes:
    w:
      attach_all: ["syscall:write", "syscall:pwrite64"]
      metrics: {{bytes: {{sum: "max(retval, 0)"}}}}
{MAKE}expect: {{amplification: w.bytes / 1048576 <= 3}}
""",
    "names are looked up once": f"plan: name-lookups\n{MAKE}"
    "expect: {lookups: lookup.lookups <= 1}\n",
    "each program by itself": f"plan: tcp-connects\n{MAKE}"
    "expect: {each-program: {that: connect.connects <= baseline, each: true}}\n",
    "a function that is fast enough": f"plan: function-latency\n{MAKE}"
    "expect: {p99: call.latency.p99 <= 10*ms}\n",
}


@pytest.mark.parametrize("name", GATES)
def test_a_gate_is_read(name: str) -> None:
    check, findings = inspect(HEAD + GATES[name])
    assert check is not None, shown(findings)
    assert not findings, shown(findings)
