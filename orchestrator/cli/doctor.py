"""`probeplan doctor`: what this host offers, and why a plan cannot run on it."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from orchestrator.cli.options import add_override_options, facts_of, overrides
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError

EPILOG = """\
examples:
  probeplan doctor                          what can be probed on this host, and how
  probeplan doctor plans/fs/vfs-reads.yaml  can this plan run here? if not: why, and what to do
  probeplan doctor PLAN --kernel FACTS      the same for a recorded kernel (`probeplan facts`)
  probeplan doctor --json                   for programs

Exit code: 0 the host (or the plan) is fine, 2 the plan is invalid, 3 it cannot run here.
"""

#: What people ask about, in the order in which they ask. `lockdown` is good news when it is no.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "kernel functions": (
        "kprobes", "kprobe_events", "kretprobe_maxactive", "fentry", "kprobe_pmu",
        "kprobe_blacklist", "filter_functions", "optprobes", "kprobe_optimization",
    ),
    "tracepoints and user code": (
        "perf_tracepoint", "raw_tracepoint", "syscall_tracepoints", "uprobe_events", "uprobe_pmu",
    ),
    "BPF": ("bpf", "btf", "ringbuf", "fetch_atomics", "jiffies64", "mmap_array", "bcc"),
    "tracefs": (
        "tracefs", "tracefs_instances", "dynamic_events", "hist_triggers", "event_fork",
        "free_buffer", "per_cpu_stats", "argn_in_return", "btf_args", "fprobe_events",
    ),
    "rights": (
        "lockdown", "cap_sys_admin", "cap_bpf", "cap_perfmon", "cap_syslog", "cap_dac_override",
        "perf_events", "cgroup_v2",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """A plan on this host: whether each backend can run it, and what stands in the way."""

    plan: str
    runs_on: tuple[str, ...]
    alternatives: tuple[str, ...]
    problems: tuple[Finding, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `doctor`."""
    parser.epilog = EPILOG
    parser.add_argument("plan", nargs="?", metavar="PLAN", help="a plan to examine on this host")
    parser.add_argument("--kernel", metavar="FACTS", help="a recorded kernel instead of this one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_override_options(parser)


def main(args: argparse.Namespace) -> int:
    """Examine the host, or a plan on it; returns the exit code."""
    facts = facts_of(args.kernel)
    if not args.kernel:
        _mount_tracefs()
    if args.plan is None:
        print(json.dumps(_host_record(facts), indent=2) if args.json else _host_text(facts))
        return 0 if _can_trace(facts) else 3
    checkup = examine(args.plan, facts, **overrides(args))
    print(json.dumps(_record(checkup), indent=2) if args.json else _text(checkup, facts))
    return 0 if checkup.runs_on else 3


def _mount_tracefs() -> None:
    """An unmounted tracefs would make everything look absent."""
    from orchestrator.kernel.abi.mounts import ensure_tracefs

    try:
        ensure_tracefs()
    except OSError as error:
        print(f"note: {error.strerror}", file=sys.stderr)


# ---------------------------------------------------------------- the host


def _can_trace(facts: KernelFacts) -> bool:
    return any(facts.feature(name).state == "yes" for name in ("tracefs", "raw_tracepoint"))


def _host_record(facts: KernelFacts) -> dict[str, object]:
    return {
        "kernel": facts.release,
        "arch": facts.arch,
        "cpus": {"possible": facts.possible_cpus, "online": list(facts.online_cpus)},
        "features": {
            name: {"state": facts.feature(name).state, "detail": facts.feature(name).detail}
            for names in SECTIONS.values()
            for name in names
        },
    }


def _host_text(facts: KernelFacts) -> str:
    cpus = f"{len(facts.online_cpus)} of {facts.possible_cpus} possible CPUs online"
    lines = [f"kernel {facts.release} ({facts.arch}), {cpus}"]
    for title, names in SECTIONS.items():
        lines += ["", title]
        for name in names:
            feature = facts.feature(name)
            lines.append(f"  {_mark(name, feature.state)} {name:<20} {feature.detail}")
    return "\n".join([*lines, "", *_advice(facts)])


def _mark(name: str, state: str) -> str:
    if name == "lockdown":
        state = {"yes": "no", "no": "yes"}.get(state, state)
    return {"yes": "+", "no": "-"}.get(state, "?")


def _advice(facts: KernelFacts) -> Iterator[str]:
    """What the table means for plans, in a sentence each."""
    kprobes, fentry = facts.feature("kprobes").state, facts.feature("fentry").state
    if "yes" not in (kprobes, fentry):
        yield "kernel functions cannot be probed here: give plans a tracepoint or a syscall as an"
        yield "alternative (attach_first)"
    elif fentry != "yes":
        yield "functions are probed by dynamic events (kprobes); fentry would cost less"
    if facts.feature("bcc").state == "no":
        yield "the bcc backend is not available: plans run on tracefs, where it can do them"
    if "no" in (facts.feature("cap_bpf").state, facts.feature("cap_perfmon").state):
        yield "run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYSLOG"


# ---------------------------------------------------------------- a plan


def examine(plan_path: str, facts: KernelFacts, **options: Mapping[str, str]) -> Checkup:
    """What stands between the plan and this host. Raises PlanError for an invalid plan."""
    from orchestrator.compile.lower import compile_plan
    from orchestrator.plan.load import load_plan
    from orchestrator.run.shipped import find_plan

    plan = load_plan(find_plan(plan_path), **options)
    try:
        program = compile_plan(plan, facts)
    except HostError as error:
        return Checkup(
            plan=plan.metadata.name, runs_on=(), alternatives=(), problems=error.findings
        )
    from orchestrator.backends import BACKENDS

    runs_on: list[str] = []
    problems: list[Finding] = []
    for name, backend in BACKENDS.items():
        refused = backend.unsupported(program, facts, user_space=True)
        problems += refused
        if not refused:
            runs_on.append(name)
    skipped = tuple(f"{s.probe}: {s.item} is passed over: {s.reason}" for s in program.skipped)
    return Checkup(
        plan=plan.metadata.name,
        runs_on=tuple(runs_on),
        alternatives=skipped,
        problems=() if runs_on else tuple(problems),
    )


def _record(checkup: Checkup) -> dict[str, object]:
    return {
        "plan": checkup.plan,
        "runs_on": list(checkup.runs_on),
        "alternatives": list(checkup.alternatives),
        "problems": [asdict(problem) for problem in checkup.problems],
    }


def _text(checkup: Checkup, facts: KernelFacts) -> str:
    lines = [f"plan {checkup.plan!r} on kernel {facts.release}"]
    lines += [f"  ? {text}" for text in checkup.alternatives]
    if checkup.runs_on:
        return "\n".join([*lines, f"  + it can run, on {' and on '.join(checkup.runs_on)}"])
    lines += [f"  - {problem}".replace("\n", "\n    ") for problem in checkup.problems]
    return "\n".join([*lines, "  it cannot run here"])
