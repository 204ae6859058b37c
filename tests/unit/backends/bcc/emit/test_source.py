"""The generated C: what a reviewer reads, and what a plan can never put into it."""

import pytest

from orchestrator.backends import backend
from orchestrator.kernel.facts import KernelFacts, load_facts
from tests.support.bcc_runs import program_of
from tests.support.paths import GOLDEN, KERNELS

SLOW_READS = """
params: {threshold: {type: duration, default: 10ms}}
target: {comm: "postgres*"}
probes:
  read:
    attach: function:vfs_read
    where: elapsed > params.threshold and args.count >= 4096
    sample: 1/10
    emit: {wanted: args.count, got: retval, took: elapsed}
    metrics:
      calls: {count: true, by: [comm]}
      latency: {histogram: elapsed}
"""
SWITCHES = """
probes:
  run:
    attach: rawtracepoint:sched_switch
    task: args.next
    where: tid != 0
    metrics: {runs: {count: true, by: [tid]}}
"""


def recorded(name: str = "6.1") -> KernelFacts:
    """A kernel that the tests carry."""
    return load_facts(KERNELS / f"{name}.facts.xz")


@pytest.mark.parametrize(("name", "plan"), [("slow-reads", SLOW_READS), ("switches", SWITCHES)])
def test_the_c_reads_as_reviewed(name: str, plan: str) -> None:
    """The text for a recorded kernel, as it is in tests/data/golden."""
    facts = recorded()
    text = backend("bcc").emit(program_of(plan, facts), facts).text
    golden = GOLDEN / f"{name}.c"
    if not golden.exists():
        golden.write_text(text)
        pytest.fail(f"{golden} was missing and has been written: review it")
    assert text == golden.read_text()


@pytest.mark.parametrize(
    ("probes", "most"),
    [
        ("a: {attach: 'syscall:read', emit: [pid]}", 4),
        ("a: {attach_all: ['syscall:read', 'syscall:write'], emit: [pid]}", 4),
        ("a: {attach: 'syscall:read', emit: [pid]}\n  b: {attach: 'syscall:read', emit: [tid]}", 6),
        ("a: {attach_all: ['syscall:read', 'function:vfs_read'], emit: [pid]}", 38),
        ("a: {attach: 'ufunction:libc:malloc', emit: [pid]}", 72),
    ],
)
def test_as_many_frames_are_looked_at_as_a_task_may_have(probes: str, most: int) -> None:
    """The verifier walks through every round: system calls of a task do not nest, functions do."""
    facts = recorded()
    text = backend("bcc").emit(program_of(f"probes:\n  {probes}\n", facts), facts).text
    assert f"#define PP_MOST_OVER {most}\n" in text


def test_without_fetching_atomics_none_is_emitted() -> None:
    """On 5.10 the text lacks PP_HAVE_FETCH, and the cap is the reader's to trim."""
    for name, fetch in (("5.10", False), ("6.1", True)):
        facts = recorded(name)
        artifact = backend("bcc").emit(program_of(SLOW_READS, facts), facts)
        assert ("PP_HAVE_FETCH" in artifact.text) == fetch
        assert artifact.enforced["events"] == ("kernel" if fetch else "user")


def test_one_of_one_looks_at_n_and_draws_nothing() -> None:
    """Sampling may be lowered while a plan runs, so that its code is there without `sample` too."""
    facts = recorded()
    plan = SLOW_READS.replace("    sample: 1/10\n", "")
    text = backend("bcc").emit(program_of(plan, facts), facts).text
    assert "if (weight > 1)\n\t\tweight = pp_sampled(" in text


def test_strings_of_a_plan_become_numbers() -> None:
    """A text to compare with is in the C as words, and in a comment."""
    facts = recorded()
    plan = """
probes:
  p:
    attach: syscall:openat
    where: str(args.filename) == 'a*/");exit(1);/*'
    metrics: {n: {count: true}}
"""
    lines = backend("bcc").emit(program_of(plan, facts), facts).text.splitlines()
    assert not [line for line in lines if "exit(1)" in line and not line.strip().startswith("/*")]


def test_the_control_element_has_a_bit_for_each_of_many_probes() -> None:
    """70 probes: two words of bits, and every probe looks at its own."""
    facts = recorded()
    plan = "limits: {probes: 100}\nprobes:\n" + "".join(
        f"  p{i}: {{attach: 'rawtracepoint:sched_switch', metrics: {{n: {{count: true}}}}}}\n"
        for i in range(70)
    )
    text = backend("bcc").emit(program_of(plan, facts), facts).text
    assert "u64 enabled[2];" in text
    assert text.count("FUSE(1, 5);") == 1
