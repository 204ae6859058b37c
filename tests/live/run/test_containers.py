"""Counts and records by container: exact, of cgroups named as runtimes name them."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.abi.cgroups import cgroup2_mount
from tests.support.product import run_cli

pytestmark = pytest.mark.features("cgroup_v2")

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: containers, summary: for tests}
limits: {duration: 1m, cpu: 100%}
probes:
  exec:
    attach: tracepoint:sched:sched_process_exec
    emit: {id: cgroup}
    metrics: {execs: {count: true, by: [comm]}, all: {count: true}}
  end:
    attach: tracepoint:sched:sched_process_exit
    let: {who: tid}
  begin:
    attach: tracepoint:sched:sched_process_exec
    let: {who: tid}
spans:
  life: {start: begin, end: end, key: [who], metrics: {number: {count: true}}}
"""
FIRST, SECOND = "c1" * 32, "c2" * 32
POD = "0a1b2c3d_89ab_4cde_8f01_23456789abcd"


@pytest.fixture
def cgroups() -> Iterator[Sequence[Path]]:
    """Two of one container of docker and one of Kubernetes."""
    mount = cgroup2_mount()
    assert mount is not None
    top = f"probeplan-test-{os.getpid()}"
    docker = mount / f"{top}.slice/docker-{FIRST}.scope"
    pod = mount / f"{top}.slice/kubepods-pod{POD}.slice/cri-containerd-{SECOND}.scope"
    made = [docker, docker / "init", pod]
    for path in made:
        path.mkdir(parents=True)
    yield made
    for path in (docker / "init", docker, pod, pod.parent, docker.parent):
        if path.exists():
            path.rmdir()


def work(cgroups: Sequence[Path], counts: Sequence[int]) -> list[str]:
    """A command that starts so many programs in each, and removes the last when they are over."""
    true = shutil.which("true") or "/bin/true"
    steps = [
        f"(echo 0 > {path}/cgroup.procs; for i in {' '.join('x' * count)}; do {true}; done)"
        for path, count in zip(cgroups, counts, strict=True)
    ]
    return ["sh", "-c", "; ".join([*steps, f"rmdir {cgroups[-1]}"])]


def test_a_pattern_chooses_what_there_is_and_what_begins_later(
    tmp_path: Path, cgroups: Sequence[Path]
) -> None:
    """Two of the pattern's level, of which one has a cgroup inside; the third and the fourth begin
    during the run, and the fourth has the path of the third, which is gone. None of their programs
    is missed, the first neither; what `not` names is left out, and so is another level."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    other, late, hidden = (
        cgroups[0].with_name(f"docker-{digit * 64}.scope") for digit in ("d", "e", "f")
    )
    other.mkdir()
    command = work([*cgroups[:2], other, cgroups[2]], (5, 4, 3, 1))
    begin = "; ".join(
        f"mkdir {path}; {work([path], [count])[2]}"
        for path, count in ((late, 2), (late, 7), (hidden, 6), (other / "f", 2))
    )
    top = f"/{cgroups[0].parent.name}"
    try:
        ran = run_cli(
            str(plan), "--backend", "bcc", "--target", f"cgroup={top}/docker-*",
            "--target", f"not.cgroup={top}/docker-f*",
            command=["sh", "-c", f"{begin}; {command[2]}"],
        )  # fmt: skip
    finally:
        other.rmdir()
    # Those that enter a cgroup end in it, too.
    assert ran.value("exec", "execs", comm="true") == 5 + 4 + 3 + 2 + 7 + 2
    watched = ran.of_kind("run.started")[0]["target"]["cgroup"]
    assert [name.rpartition("/")[2] for name in watched] == [cgroups[0].name, other.name]
    assert ran.finished["complete"] is True


def test_a_pattern_may_match_nothing_at_the_start(tmp_path: Path, cgroups: Sequence[Path]) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    late = cgroups[0].parent / "app-1"
    pattern = f"/{cgroups[0].parent.name}/app-*"
    begin = f"mkdir {late}; {work([late], [3])[2]}"
    ran = run_cli(
        str(plan), "--backend", "bcc", "--target", f"cgroup={pattern}", command=["sh", "-c", begin]
    )
    assert ran.of_kind("run.started")[0]["target"]["cgroup"] == [pattern]
    # What enters the cgroup is the shell; of the command that makes it, nothing is.
    assert ran.value("exec", "execs", comm="true") == 3 == ran.value("exec", "all")
    assert ran.finished["complete"] is True


def by_container(cells: Sequence[dict[str, Any]], **key: str) -> dict[Any, int]:
    return {
        cell["key"]["container"]: cell["value"]
        for cell in cells
        if {**cell["key"], **key} == cell["key"]
    }


def test_cgroups_of_a_container_are_one_exact_cell(tmp_path: Path, cgroups: Sequence[Path]) -> None:
    """In the metrics of a probe and of a span, and in records; also of what is gone at the end."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    options = ("--by", "container", "--enrich", "containers")
    ran = run_cli(str(plan), *options, command=work(cgroups, (5, 4, 3)))
    first, second = f"docker {FIRST[:12]}", f"containerd {SECOND[:12]}"
    expected = {first: 9, second: 3}
    assert by_container(ran.cells("exec", "execs"), comm="true") == expected
    for metric in (ran.cells("exec", "all"), ran.cells("life", "number")):
        assert {name: by_container(metric)[name] for name in expected} == expected
    seen = [record["container"] for record in ran.data("exec")]
    of_docker = {"id": FIRST, "name": None, "pod": None, "runtime": "docker", "name_from": None}
    assert seen.count(of_docker) == 9
    assert isinstance(ran.finished["unknown_cgroups"], int)
    pods = [one["pod"] for one in seen if isinstance(one, dict) and one["id"] == SECOND]
    assert pods == [POD.replace("_", "-")] * 3
