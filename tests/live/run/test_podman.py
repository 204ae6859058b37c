"""A container of a real podman, which crun starts: found by its cgroup, named by podman's files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.kernel.abi.cgroups import cgroup2_mount
from tests.support.paths import ROOT
from tests.support.product import Ran
from tests.support.projects import PODMAN, find_project

pytestmark = [pytest.mark.root, pytest.mark.features("cgroup_v2")]

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: containers, summary: for tests, requires: "1.1"}
limits: {duration: 1m, cpu: 100%}
probes:
  exec:
    attach: tracepoint:sched:sched_process_exec
    where: comm == "inside"
    emit: [container]
    metrics: {execs: {count: true, by: [container]}}
"""
#: It executes itself five times, and stays until its cgroup has been looked at.
INSIDE = """
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **words)
{
	for (int i = 0; count == 1 && i < 5; i++) {
		if (vfork() == 0) {
			execl("/inside", "inside", "again", (char *)0);
			_exit(1);
		}
		wait(0);
	}
	if (count == 1)
		sleep(2);
	return 0;
}
"""
#: podman's files are in memory, in a separate mount namespace; in another below it, cgroup v2 is
#: where podman looks for it: crun refuses hosts that have v1, too.
SCRIPT = """
set -e
mount -t tmpfs none /var/lib
mount -t tmpfs none /run
exec {python} -m orchestrator.cli run {plan} --backend bcc --json -- unshare --mount sh {start}
"""
START = """
set -e
[ {mount} = /sys/fs/cgroup ] || mount --bind {mount} /sys/fs/cgroup
exec {podman} run --name brave_web --network host --privileged --pids-limit=-1 \
    --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 --rootfs {folder}/rootfs /inside
"""


def wrap(folder: Path, program: Path, libraries: Path) -> Path:
    """A program of the unpacked packages, with their libraries: conmon hands no variables on."""
    wrapper = folder / program.name
    wrapper.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {program} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def make_rootfs(folder: Path) -> None:
    rootfs = folder / "rootfs"
    for name in ("proc", "sys", "dev", "etc", "run", "tmp"):
        (rootfs / name).mkdir(parents=True)
    (folder / "inside.c").write_text(INSIDE)
    command = ["gcc", "-O2", "-static", "-o", rootfs / "inside", folder / "inside.c"]
    subprocess.run(command, check=True)


def test_a_real_container_has_its_name_and_exact_counts(tmp_path: Path) -> None:
    root = find_project(PODMAN)
    libraries = root / f"usr/lib/{os.uname().machine}-linux-gnu"
    crun, conmon, podman = (
        wrap(tmp_path, root / "usr/bin" / name, libraries) for name in ("crun", "conmon", "podman")
    )
    make_rootfs(tmp_path)
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    words = f"{podman} --runtime {crun} --conmon {conmon} --cgroup-manager cgroupfs"
    start = tmp_path / "start.sh"
    start.write_text(
        START.format(mount=cgroup2_mount(), podman=f"{words} --storage-driver vfs", folder=tmp_path)
    )
    script = SCRIPT.format(python=sys.executable, plan=plan, start=start)
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            cwd=ROOT, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
    finally:
        remove_cgroups()
    ran = Ran.of(done.stdout)
    assert (done.returncode, ran.finished["command_status"]) == (0, 0), done.stderr.decode()
    [number] = {record["container"]["id"] for record in ran.data("exec")}
    expected = {"id": number, "name": "brave_web", "pod": None, "runtime": "podman"}
    assert [record["container"] for record in ran.data("exec")] == [
        {**expected, "name_from": "runtime"}
    ] * 6
    [cell] = ran.cells("exec", "execs")
    assert (cell["key"]["container"], cell["value"]) == (f"brave_web ({number[:12]})", 6)


def remove_cgroups() -> None:
    """podman's files are gone with the mount namespace; its cgroups are not."""
    mount = cgroup2_mount()
    assert mount is not None
    top = mount / "libpod_parent"
    for folder in sorted(top.rglob("*"), reverse=True) if top.exists() else ():
        if folder.is_dir():
            folder.rmdir()
    if top.exists():
        top.rmdir()
