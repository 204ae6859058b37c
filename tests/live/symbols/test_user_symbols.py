"""Addresses of user memory by their names, on this machine's kernel."""

import sys
from pathlib import Path

from tests.support.product import check_accounts, run_cli

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: user-symbols, summary: for tests, requires: "1.1"}
limits: {duration: 1m, cpu: 100%, rate: 1M/s}
probes:
  call:
    attach: syscall:prctl
    where: args.option == 99999
    emit: {name: usym(args.arg2), bare: usym(7), none: usym(0)}
    metrics: {calls: {count: true, by: [{name: usym(args.arg2)}]}}
"""
#: Addresses of functions of the C library, in a process that ends at once after the last call.
CALLS = """
import ctypes, time
libc = ctypes.CDLL(None)
def at(name):
    return ctypes.cast(getattr(libc, name), ctypes.c_void_p).value
for name, times in (("getpgrp", 3), ("getppid", 5)):
    for n in range(times):
        libc.prctl(99999, ctypes.c_ulong(at(name) + n), 0, 0, 0)
time.sleep(0.5)
"""


def test_addresses_have_names_and_offsets(tmp_path: Path) -> None:
    """The first of each function is its start, for which no call is looked for before it; what is
    no address of a file is bare. Each is kept once."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    ran = run_cli(plan, "--backend", "bcc", command=[sys.executable, "-c", CALLS])
    check_accounts(ran)
    names = [one["name"] for one in ran.data("call")]
    calls = {"getpgrp": 3, "getppid": 5}
    wanted = [f"{name}+{n:#x}" for name, times in calls.items() for n in range(times)]
    assert [name.partition(" ")[0] for name in names] == wanted
    assert all(name.endswith("(libc.so.6)") for name in names)
    assert {(one["bare"], one["none"]) for one in ran.data("call")} == {("0x7", "0x0")}
    cells = {cell["key"]["name"]: cell["value"] for cell in ran.cells("call", "calls")}
    assert cells == dict.fromkeys(names, 1)
    assert ran.finished["ledger"]["stacks"]["kept"] == len(names) + 1
