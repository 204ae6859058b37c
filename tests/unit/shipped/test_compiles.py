"""Every shipped plan and example, on every recorded kernel: it resolves, its C compiles into
instructions and its tracefs writes can be laid out, or tracefs says why not. None of it needs root
or the kernel meant."""

import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from orchestrator.backends import BACKENDS
from orchestrator.backends.bcc.compiler.clang import compile_c, compile_open
from orchestrator.backends.bcc.compiler.places import fill_program
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.source import render_source
from orchestrator.backends.compiled import compile_artifact
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import check_plan, load_plan
from orchestrator.plan.model import Plan
from orchestrator.run.choice import choose_backend
from tests.support.peers import PEERS
from tests.support.shipped import (
    EXAMPLES,
    FOREIGN_CANNOT,
    KERNELS,
    PLANS,
    ROOT,
    every_kernel,
    lacking,
    tracefs_cannot,
)

ALL = PLANS | EXAMPLES
CHECKS = [
    file
    for file in (ROOT / "examples").rglob("*.yaml")
    if "kind: ProbeCheck" in file.read_text().splitlines()
]
MINUTE = 60_000_000_000
MIB = 1 << 20
LINT = ("lint", "--format", "github")

every_plan = pytest.mark.parametrize("name", sorted(ALL))


@cache
def facts_of(kernel: str) -> KernelFacts:
    return load_facts(KERNELS[kernel])


def program_of(name: str, kernel: str) -> Program:
    return compile_plan(load_plan(str(ALL[name])), facts_of(kernel))


def refuses(name: str, kernel: str) -> None:
    """What the kernel lacks is named at the attach point that needs it."""
    with pytest.raises((PlanError, HostError)) as caught:
        program_of(name, kernel)
    assert isinstance(caught.value, PlanError | HostError)
    assert {finding.code for finding in caught.value.findings} == {"PP080"}


@pytest.mark.slow
@every_kernel
@every_plan
def test_it_compiles_into_instructions(name: str, kernel: str) -> None:
    """bcc: every attach point has a mechanism and every function its instructions. What was
    compiled is kept on disk by its content, so that a second run starts no compiler."""
    facts = facts_of(kernel)
    if lacking(name, facts):
        refuses(name, kernel)
        return
    if facts.arch != platform.machine() and name in FOREIGN_CANNOT:
        with pytest.raises(HostError, match=FOREIGN_CANNOT[name]):
            choose_backend(program_of(name, kernel), facts, "bcc")
        return
    artifact = choose_backend(program_of(name, kernel), facts, "bcc").artifact
    assert all(hook.mechanism != "none" for hook in artifact.hooks)
    functions = artifact.detail.functions  # type: ignore[attr-defined]  # the backend's own
    compiled = compile_artifact(artifact)
    assert set(compiled) == set(functions)
    assert all(code and len(code) % 8 == 0 for code in compiled.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["file-life", "off-cpu-time", "tcp-accepts", "block-latency", "permission-changes"]
)
def test_other_placeholders_give_the_same_program(name: str) -> None:
    """What is found as the place of a number is none by accident, and none is overlooked."""
    artifact = choose_backend(program_of(name, "6.12"), facts_of("6.12"), "bcc").artifact
    functions = artifact.detail.functions  # type: ignore[attr-defined]  # the backend's own
    first, second = (compile_open(artifact.text, functions, attempt) for attempt in (0, 1))
    assert first.places == second.places != ()
    assert first.code != second.code
    numbers = artifact.numbers
    assert fill_program(first, numbers) == fill_program(second, numbers)
    assert {place.slot for place in first.places} == set(range(len(numbers)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["io-sizes", "softirqs", "tcp-listens"])
def test_open_numbers_cost_few_instructions(name: str) -> None:
    """The two plans with the most more, and the one with the most less, against the same text with
    the numbers written out."""
    facts, program = facts_of("6.1"), program_of(name, "6.1")
    artifact = choose_backend(program, facts, "bcc").artifact
    detail = artifact.detail
    assert isinstance(detail, BccDetail)
    text = render_source(program, detail.layout, detail.choices, facts, OpenNumbers(literal=True))
    literal = compile_open(text, detail.functions)
    assert literal.places == ()
    filled = compile_c(artifact.text, detail.functions, artifact.numbers)
    assert sum(map(len, filled.values())) <= 1.1 * sum(map(len, literal.code.values()))


@every_kernel
@every_plan
def test_tracefs_takes_it_or_says_why_not(name: str, kernel: str) -> None:
    """tracefs: either what will be written, or the reason in words."""
    facts = facts_of(kernel)
    if lacking(name, facts):
        refuses(name, kernel)
        return
    program = program_of(name, kernel)
    reasons = BACKENDS["tracefs"].unsupported(program, facts, user_space=True)
    cannot = tracefs_cannot(facts.feature("kprobes").state == "yes")
    if reasons:  # a plan's alternatives may differ by kernel, and so what tracefs makes of them
        assert name in cannot
        assert any(cannot[name] in reason.message for reason in reasons)
    else:
        assert choose_backend(program, facts, "tracefs").artifact.text


@pytest.mark.parametrize("name", ["vfs-reads", "06-alternatives"])
@every_kernel
def test_alternatives_follow_the_kernel(name: str, kernel: str) -> None:
    """The kernel's own function where it can be probed, the system call where it cannot."""
    kinds = {hook.kind for hook in program_of(name, kernel).probes[0].hooks}
    assert kinds == {"syscall" if kernel.endswith("no-kprobes") else "function"}


# ---------------------------------------------------------------- what a plan owes its users


@cache
def plan_of(name: str) -> Plan:
    plan, findings = check_plan(str(ALL[name]))
    assert plan is not None
    assert findings == [], [str(finding) for finding in findings]
    return plan


@every_plan
def test_it_is_clean_and_named_as_its_file(name: str) -> None:
    """Not even a warning; `probeplan run NAME` finds it by the name that its records carry."""
    plan = plan_of(name)
    assert plan.metadata.name == ALL[name].stem.lstrip("0123456789-")
    assert plan.metadata.summary.rstrip(".") == plan.metadata.summary != ""
    assert plan.metadata.owner


@pytest.mark.parametrize("name", sorted(PLANS))
def test_a_shipped_plan_is_described_and_bounded(name: str) -> None:
    """A recipe for production says what it shows, and is cheap by its limits alone. Every param
    has a default, so that it runs as it is."""
    plan = plan_of(name)
    limits = plan.limits
    assert len(plan.metadata.description or "") > 80
    assert 0 < (limits.duration_ns or 0) <= MINUTE  # nor is it unlimited
    assert limits.events <= 10_000
    assert limits.rate.count * 1_000_000_000 <= 1000 * limits.rate.per_ns
    assert limits.memory <= 32 * MIB
    assert all(param.value is not None and param.summary for param in plan.params.values())
    reported = any(probe.emit is not None or probe.metrics for probe in plan.probes)
    assert reported or plan.spans or plan.outstanding


def test_lint_finds_nothing_in_them() -> None:
    """The command that the CI example runs, on both folders."""
    done = subprocess.run(
        [*(sys.executable, "-m", "orchestrator.cli"), *LINT, "plans", "examples"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(
        f"{len(ALL) + len(PEERS)} plans, {len(CHECKS)} checks, no errors\n"
    )


def test_names_are_unique() -> None:
    """`probeplan run NAME` can mean one plan only."""
    files = [*Path(ROOT / "plans").rglob("*.yaml")]
    assert len({file.stem for file in files}) == len(files) >= 12


@pytest.mark.parametrize("folder", ["plans", "examples"])
def test_the_index_lists_every_plan_and_nothing_else(folder: str) -> None:
    """README.md of both folders; in plans/ it also says truly which of them tracefs can run."""
    text = (ROOT / folder / "README.md").read_text()
    linked = {Path(link).stem for link in re.findall(r"^\|.*?\]\(([\w/-]+\.yaml)\)", text, re.M)}
    checks = {file.stem for file in CHECKS if ROOT / folder in file.parents}
    assert linked - {"github-lint"} == checks | set(PLANS if folder == "plans" else EXAMPLES)
    without_bpf = text.partition("\n## Without BPF\n")[2].partition("\n## ")[0]
    lists = re.findall(r"^\| ([a-z0-9, -]+) \| (?!reason)[^|]+ \|$", without_bpf, re.M)
    refused = {name for names in lists for name in names.split(", ")}
    cannot = tracefs_cannot(kprobes=False)
    assert refused == (set(cannot) & set(PLANS) if folder == "plans" else set())
