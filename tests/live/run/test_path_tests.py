"""Conditions on paths on this machine's kernel: names, mounts, and what has no way to the root."""

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.product import check_accounts, run_cli

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: path-tests, summary: for tests, requires: "1.1"}
limits: {duration: 1m, cpu: 100%, rate: 1M/s}
probes:
  exec:
    attach: rawtracepoint:sched_process_exec
    let: {f: args.bprm.file, p: path(f)}
    where: >-
      endswith(p, "/one") or endswith(p, ".conf") or endswith(p, "memfd:x") or endswith(p, "z/far")
    emit:
      path: p
      under_a: under(f, "TOP/a")
      under_m: under(p, "TOP/m")
      under_all: under(f, "/")
      same: p == "TOP/a/one"
      other: p != "TOP/a/one"
      some: p in ("TOP/a/one", "TOP/m/b/two.conf")
      ends: endswith(p, "b/two.conf")
      slash: endswith(p, "/memfd:x")
    metrics:
      under: {count: 'under(f, "TOP/a")'}
      outside: {count: 'not under(f, "TOP/a")'}
      exact: {count: 'p == "TOP/a/b/two.conf"'}
"""
RUNS = """
import os, subprocess, sys
top = sys.argv[1]
subprocess.run(["mount", "--bind", f"{top}/a", f"{top}/m"], check=True)
times = {"a/one": 3, "a/b/two.conf": 2, "ab/one": 1, "m/b/two.conf": 4, "m/one": 1}
for name, count in times.items():
    for _ in range(count):
        subprocess.run([f"{top}/{name}"], check=True)
fd = os.memfd_create("x")
os.write(fd, open("/bin/true", "rb").read())
if os.fork() == 0:
    os.execve(fd, ["x"], {})
os.wait()
os.chdir(f"{top}/a")
for _ in range(50):
    os.mkdir("z"); os.chdir("z")
import shutil
shutil.copy("/bin/true", "far")
subprocess.run(["./far"], check=True)
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_paths_are_tested_as_they_are_shown(tmp_path: Path) -> None:
    """Of folders whose names begin alike, through a mount, of a file outside of any directory; what
    is too far from the root is unknown to the tests, and counted, and no test says that it is not
    there."""
    top = tmp_path / "t"
    for folder in ("a/b", "ab", "m"):
        (top / folder).mkdir(parents=True)
    for name in ("a/one", "a/b/two.conf", "ab/one"):
        shutil.copy("/bin/true", top / name)
    plan, script = tmp_path / "plan.yaml", tmp_path / "runs.py"
    plan.write_text(PLAN.replace("TOP", str(top)))
    script.write_text(RUNS)
    command = ["unshare", "-m", sys.executable, str(script), str(top)]
    ran = run_cli(plan, "--backend", "bcc", command=command)
    check_accounts(ran)
    records = ran.data("exec")
    *_, far = records
    counts = Counter(one["path"] for one in records if one is not far)
    times = {"a/one": 3, "a/b/two.conf": 2, "ab/one": 1, "m/b/two.conf": 4, "m/one": 1}
    expected = {f"{top}/{name}": count for name, count in times.items()}
    assert counts == {**expected, "memfd:x": 1}
    near = records[:-1]
    for one in near:
        path = one["path"]
        rooted = path.startswith("/")
        assert one["under_a"] == path.startswith(f"{top}/a/")
        assert one["under_m"] == path.startswith(f"{top}/m/")
        assert one["under_all"] == rooted
        assert one["same"] == (path == f"{top}/a/one") == (not one["other"])
        assert one["some"] == (path in (f"{top}/a/one", f"{top}/m/b/two.conf"))
        assert one["ends"] == path.endswith("b/two.conf")
        assert one["slash"] is False
    unknown = [far[name] for name in ("under_a", "under_all", "same", "ends")]
    assert unknown == [None, None, False, False]
    assert ran.value("exec", "under") == 5
    assert ran.value("exec", "outside") == len(near) - 5
    assert ran.value("exec", "exact") == 2
