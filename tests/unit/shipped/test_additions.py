"""Shipped plans counted by container, on every recorded kernel."""

from functools import cache

import pytest

from orchestrator.backends.compiled import compile_artifact
from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from orchestrator.run.choice import choose_backend
from tests.support.shipped import KERNELS, PLANS, every_kernel, lacking

#: Those that people ask most of a container, of every kind of metric.
BY_CONTAINER = (
    *("block-top", "busy-files", "cgroup-execs", "context-switches", "cpu-samples", "cpu-stacks"),
    *("failing-syscalls", "fd-leaks", "fs-latency", "fsync", "futex-waits", "lock-contention"),
    *("memory-growth", "new-processes", "off-cpu-time", "page-faults", "run-queue-latency"),
    *("slow-syscalls", "small-writes", "syscall-counts", "tcp-traffic", "vfs-calls"),
)
ENRICHED = ("execs", "opens", "slow-io", "exits", "kills", "tcp-connects", "binds", "signals")
CASES = [
    *((n, {"by": "container"}) for n in BY_CONTAINER),
    *((n, {"enrich": "containers"}) for n in ENRICHED),
]


@cache
def facts_of(kernel: str) -> KernelFacts:
    return load_facts(KERNELS[kernel])


@every_kernel
@pytest.mark.parametrize(("name", "additions"), CASES, ids=[name for name, _ in CASES])
def test_it_counts_by_container(name: str, additions: dict[str, str], kernel: str) -> None:
    """Its C is made, and asks for the cgroup. Where the plan cannot run, nor can this."""
    facts = facts_of(kernel)
    plan = load_plan(str(PLANS[name]), additions=additions)
    if lacking(name, facts):
        with pytest.raises(HostError):
            compile_plan(plan, facts)
        return
    program = compile_plan(plan, facts)
    parts = [metric.key for metric in program.metrics]
    parts += [span.resource.shown.key for span in program.spans if span.resource]
    if "by" in additions:
        assert all("container" in [part.name for part in key] for key in parts)
    else:
        assert any("container" in [field.name for field in emit.fields] for emit in program.emits)
    artifact = choose_backend(program, facts, "bcc").artifact
    assert "pp_cgroup_id()" in artifact.text or "dfl_cgrp" in artifact.text
    if kernel == "6.1" and name in ("off-cpu-time", "fd-leaks"):  # a task of a record's, and ours
        assert all(compile_artifact(artifact).values())
