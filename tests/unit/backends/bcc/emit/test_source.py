"""The generated C: what a reviewer reads, and what a plan can never put into it."""

from dataclasses import replace

import pytest

from orchestrator.backends import BACKENDS, backend
from orchestrator.backends.bcc.design.registers import OperandAccess, parse_operand
from orchestrator.backends.bcc.emit.target import comm_test
from orchestrator.backends.bcc.emit.writer import comment_text
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.kernel.feature import Feature
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


@pytest.mark.parametrize(
    "text", ["*/ evil(); /*", "a\nint b;", "\\", "??/", "\x00", "é", "x" * 500, "/*/", "**//"]
)
def test_no_text_leaves_its_comment(text: str) -> None:
    """Whatever a plan says, a comment stays one line of printable ASCII without its own end."""
    made = comment_text(text)
    assert "*/" not in made
    assert "/*" not in made
    assert "\\" not in made
    assert "??/" not in made
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= 200


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


def test_backends_are_two_and_lazy() -> None:
    """Both by name; asking for one imports it."""
    assert sorted(BACKENDS) == ["bcc", "tracefs"]
    assert BACKENDS["bcc"].NAME == "bcc"
    assert backend("tracefs").NAME == "tracefs"
    with pytest.raises(KeyError):
        backend("other")


# ---------------------------------------------------------------- mechanisms


def without(facts: KernelFacts, *names: str) -> KernelFacts:
    """The kernel with some features taken away."""
    gone = {name: Feature(state="no", detail=f"no {name} here") for name in names}
    facts.features = {**facts.features, **gone}
    return facts


def mechanism(plan: str, facts: KernelFacts) -> tuple[str, dict[str, str]]:
    """Of the only hook."""
    hook = backend("bcc").emit(program_of(plan, facts), facts).hooks[0]
    return hook.mechanism, dict(hook.rejected)


def one(attach: str, rest: str = "metrics: {n: {count: true}}") -> str:
    """A plan of one probe."""
    return f"probes: {{p: {{attach: '{attach}', {rest}}}}}\n"


def test_functions_prefer_trampolines_then_events_then_the_pmu() -> None:
    """Each is taken away in turn; the reasons say what was missing."""
    plan = one("function:vfs_read")
    assert mechanism(plan, recorded())[0] == "fentry"
    chosen, why = mechanism(plan, without(recorded(), "fentry"))
    assert (chosen, why["fentry"]) == ("dynamic event", "no fentry here")
    chosen, why = mechanism(plan, without(recorded(), "fentry", "kprobe_events"))
    assert (chosen, why["dynamic event"]) == ("kprobe PMU", "no kprobe_events here")
    facts = without(recorded(), "fentry", "kprobe_events", "kprobe_pmu")
    findings = backend("bcc").unsupported(program_of(plan, facts), facts, user_space=True)
    assert [finding.code for finding in findings] == ["PP110"]
    assert "no kprobe_pmu here" in findings[0].message
    assert findings[0].position.line > 0


def test_an_instruction_inside_a_function_has_no_trampoline() -> None:
    """kprobe:SYM+OFF is a dynamic event."""
    assert mechanism(one("kprobe:vfs_read+4"), recorded())[0] == "dynamic event"


def test_tracepoints_are_raw_unless_fields_are_read() -> None:
    """A count needs no record; `args` do."""
    assert mechanism(one("tracepoint:sched:sched_switch"), recorded())[0] == "raw tracepoint"
    plan = one("tracepoint:sched:sched_switch", "emit: {pid: args.next_pid}")
    assert mechanism(plan, recorded())[0] == "perf tracepoint"
    assert mechanism(one("syscall:read"), recorded())[0] == "perf tracepoint"


def test_a_key_too_large_for_the_stack_is_refused() -> None:
    """By the metric's name, before anything is compiled."""
    facts = recorded()
    plan = """
let: {name: "str(args.filename, 400)"}
probes:
  p: {attach: "syscall:openat", metrics: {files: {count: true, by: [name]}}}
"""
    findings = backend("bcc").unsupported(program_of(plan, facts), facts, user_space=True)
    assert any("p.files" in finding.message for finding in findings)


# ---------------------------------------------------------------- small parts


@pytest.mark.parametrize(
    ("text", "arch", "operand"),
    [
        ("-4@%edi", "x86_64", OperandAccess(size=4, signed=True, register=14)),
        ("8@%rax", "x86_64", OperandAccess(size=8, signed=False, register=10)),
        ("1@%r10b", "x86_64", OperandAccess(size=1, signed=False, register=7)),
        ("2@%ax", "x86_64", OperandAccess(size=2, signed=False, register=10)),
        ("1@%dil", "x86_64", OperandAccess(size=1, signed=False, register=14)),
        ("4@$-5", "x86_64", OperandAccess(size=4, signed=False, constant=-5)),
        ("8@-8(%rbp)", "x86_64", OperandAccess(size=8, signed=False, base=4, displacement=-8)),
        ("8@(%rax,%rbx,4)", "x86_64",
         OperandAccess(size=8, signed=False, base=10, index=5, scale=4)),
        ("8@name(%rip)", "x86_64", None),
        ("-4@w3", "aarch64", OperandAccess(size=4, signed=True, register=3)),
        ("8@[sp, 16]", "aarch64", OperandAccess(size=8, signed=False, base=31, displacement=16)),
        ("4@7", "aarch64", OperandAccess(size=4, signed=False, constant=7)),
    ],
)  # fmt: skip
def test_operands_of_usdt_notes(text: str, arch: str, operand: OperandAccess | None) -> None:
    """Registers by any name, constants, memory; what we do not know is None."""
    assert parse_operand(text, arch) == operand


@pytest.mark.parametrize(
    ("glob", "name", "holds"),
    [
        ("load", "load", True), ("load", "load2", False), ("load", "loa", False),
        ("lo*", "load", True), ("lo*", "l", False), ("*ad", "load", True), ("*ad", "loads", False),
        ("*", "any", True), ("exactly15bytes!", "exactly15bytes!", True),
        ("12345678*", "1234567890", True), ("*90", "1234567890", True), ("*9", "1234567890", False),
    ],
)  # fmt: skip
def test_a_names_test_computes_what_it_says(glob: str, name: str, holds: bool) -> None:
    """The C condition, evaluated here on the 16 bytes that the kernel would give."""
    raw = name.encode().ljust(16, b"\0")
    words = [int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")]
    condition = comm_test(glob).replace("ULL", "").replace("&&", "and").replace("||", "or")
    assert bool(eval(condition, {"name": words})) == holds  # noqa: S307  # our own condition


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


def test_memory_grows_with_what_is_asked() -> None:
    """More keys take more; the ring is a power of two of pages, at most half of the budget."""
    facts = recorded()
    program = program_of(SLOW_READS, facts)
    small = backend("bcc").emit(program, facts)
    spec = replace(program.probes[0].metrics[0], keys=100_000)
    more = replace(program.probes[0], metrics=(spec, program.probes[0].metrics[1]))
    large = backend("bcc").emit(replace(program, probes=(more,)), facts)
    purpose = "metric read.calls"
    assert large.memory[purpose] > 5 * small.memory[purpose]
    assert sum(small.memory.values()) <= program.limits.memory
    ring = small.detail.ring_bytes  # type: ignore[attr-defined]  # bcc's Detail
    assert ring & (ring - 1) == 0
    assert 1 << 16 <= ring <= program.limits.memory // 2
