"""Which mechanism attaches a hook, on which kernels."""

from orchestrator.backends import backend
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.kernel.feature import Feature
from tests.support.bcc_runs import program_of
from tests.support.paths import KERNELS


def recorded(name: str = "6.1") -> KernelFacts:
    """A kernel that the tests carry; a new one each time, to be changed."""
    return load_facts(KERNELS / f"{name}.facts.xz")


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


def test_perf_tracepoints_have_a_witness_unless_only_tasks_cause_them() -> None:
    """System calls and switches cannot be missed; without raw tracepoints there is none."""
    plan = one("tracepoint:kmem:kmalloc", "emit: {size: args.bytes_req}")
    for text, facts, witnesses in (
        (plan, recorded(), ["witness_0"]),
        (plan, without(recorded(), "raw_tracepoint"), []),
        (one("tracepoint:kmem:kmalloc"), recorded(), []),
        (one("syscall:read"), recorded(), []),
        (one("tracepoint:sched:sched_switch", "emit: {p: args.prev_pid}"), recorded(), []),
    ):
        functions = backend("bcc").emit(program_of(text, facts), facts).detail.functions
        assert [name for name in functions if name.startswith("witness")] == witnesses
