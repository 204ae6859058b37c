"""`probeplan doctor`: what this host supports, and why a plan cannot run on it."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS
from orchestrator.cli.install.versions import describe_installation, list_installation_lines
from orchestrator.cli.messages import print_note, print_text
from orchestrator.cli.options import (
    add_addition_options,
    add_override_options,
    facts_of,
    overrides,
)
from orchestrator.cli.signatures import describe_signature
from orchestrator.cli.unattended.quarantined import (
    describe_state,
    entry_fields,
    find_entries,
    indent_entry,
    read_state_of_host,
    state_fields,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError
from orchestrator.policy.model import Policy
from orchestrator.run.unattended.quarantine import QuarantineEntry
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.cli.named_plan import NamedPlan
    from orchestrator.run.choice import Prepared

EPILOG = """\
examples:
  probeplan doctor                          what can be probed here, by which Python and bcc
  probeplan doctor plans/fs/vfs-reads.yaml  can this plan run here? if not, why, and what to do
  probeplan doctor slow-io --kernel 6.1.xz  the same on a recorded kernel (`probeplan facts`)
  probeplan doctor slow-io.ppb              does this bundle serve this host?
  probeplan doctor --json                   JSON, for programs

A plan is examined as `run` would run it: this host's policy applies, but not to a recorded kernel.
A bundle serves a host for which it has a program, or which can run its plan on tracefs.

exit codes: 0 the host can trace, or the plan can run; 2 the plan is invalid; 3 it cannot run here
"""

#: Features by section, the most asked for first. Of `lockdown` alone, "no" is the good answer.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "kernel functions": (
        "kprobes", "kprobe_events", "kretprobe_maxactive", "fentry", "kprobe_multi", "kprobe_pmu",
        "kprobe_blacklist", "filter_functions", "optprobes", "kprobe_optimization",
    ),
    "tracepoints and user code": (
        "perf_tracepoint", "raw_tracepoint", "syscall_tracepoints", "uprobe_events", "uprobe_multi",
        "uprobe_multi_process", "uprobe_pmu", "hardware_counters",
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
    """A plan on this host. `runs_on`: the backends that can run it; `alternatives`: attach points
    that the kernel lacks and the plan has a substitute for; `problems`: why no backend can;
    `signatures`: by what policies accept it, and `bundle`: the bundle that it is from and its
    program for this host, as in run.started; `quarantine`: what keeps unattended runs of it from
    this host."""

    plan: str
    runs_on: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    problems: tuple[Finding, ...] = ()
    signatures: tuple[Mapping[str, object], ...] = ()
    bundle: Mapping[str, object] | None = None
    quarantine: tuple[QuarantineEntry, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `doctor`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "plan",
        nargs="?",
        metavar="PLAN",
        help="examine this plan or bundle (default: only the host)",
    )
    parser.add_argument(
        "--kernel",
        metavar="FACTS",
        help="use a recorded kernel, not this one: a file, or a profile such as debian:6.1",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.add_argument_group("plan options")
    add_override_options(options)
    add_addition_options(options)


def main(args: argparse.Namespace) -> int:
    """Examine the host, or a plan on it; returns the exit code."""
    facts = facts_of(args.kernel)
    if not args.kernel:
        _mount_tracefs()
    if args.plan is None:
        state = None if args.kernel else read_state_of_host()
        print_text(
            json.dumps(_host_fields(facts) | state_fields(state), indent=2)
            if args.json
            else "\n".join([_host_text(facts), *describe_state(state)])
        )
        return 0 if _can_trace(facts) else 3
    checkup = _examine(args, facts)
    print_text(
        json.dumps(_plan_fields(checkup), indent=2) if args.json else _plan_text(checkup, facts)
    )
    return 0 if checkup.runs_on else 3


def _examine(args: argparse.Namespace, facts: KernelFacts) -> Checkup:
    from orchestrator.cli.named_plan import load_named_plan, read_named  # for a plan only
    from orchestrator.policy.file import read_policies

    content, file = read_named(args.plan)
    policies = () if args.kernel else read_policies()
    try:
        named = load_named_plan(content, file, policies, facts.arch, overrides(args))
    except HostError as error:
        return Checkup(plan=file, problems=error.findings)
    checkup = examine(named, facts, policies)
    held = () if args.kernel else find_entries(named.plan.sha256)
    return replace(checkup, quarantine=held)


def _mount_tracefs() -> None:
    """Without tracefs, every feature of it would look absent."""
    from orchestrator.kernel.abi.mounts import ensure_tracefs

    try:
        ensure_tracefs()
    except OSError as error:
        print_note(str(error.strerror))


# ---------------------------------------------------------------- the host


def _can_trace(facts: KernelFacts) -> bool:
    return any(facts.feature(name).state == "yes" for name in ("tracefs", "raw_tracepoint"))


def _host_fields(facts: KernelFacts) -> dict[str, object]:
    return {
        **describe_installation(),
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
    lines = [f"kernel {facts.release} ({facts.arch}), {cpus}", *list_installation_lines()]
    for title, names in SECTIONS.items():
        lines += ["", title]
        for name in names:
            feature = facts.feature(name)
            lines.append(f"  {_state_mark(name, feature.state)} {name:<20} {feature.detail}")
    return "\n".join([*lines, "", *_advice_lines(facts)])


def _state_mark(name: str, state: str) -> str:
    if name == "lockdown":
        state = {"yes": "no", "no": "yes"}.get(state, state)
    return {"yes": "+", "no": "-"}.get(state, "?")


def _advice_lines(facts: KernelFacts) -> Iterator[str]:
    """What the features mean for plans, in a sentence each."""
    kprobes, fentry = facts.feature("kprobes").state, facts.feature("fentry").state
    if "yes" not in (kprobes, fentry):
        yield "kernel functions cannot be probed here: give plans a tracepoint or a syscall as an"
        yield "alternative (attach_first)"
    elif fentry != "yes":
        yield "functions are probed by dynamic events (kprobes): fentry costs less, and is missing"
    if facts.feature("bcc").state == "no":
        yield "the bcc backend is not available: plans run on tracefs, as far as it supports them"
    if "no" in (facts.feature("cap_bpf").state, facts.feature("cap_perfmon").state):
        yield "run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYSLOG"


# ---------------------------------------------------------------- a plan


def examine(named: "NamedPlan", facts: KernelFacts, policies: Sequence[Policy] = ()) -> Checkup:
    """Which backends can run the plan on this host, and if none can, why not. Raises PlanError for
    a plan that does not fit this kernel."""
    from orchestrator.run.prepare import resolve, select_backend  # for a plan only
    from orchestrator.run.report.records import acceptance_fields

    plan = named.plan
    try:
        resolved = resolve(plan, facts, policies, acceptances=named.acceptances)
    except HostError as error:
        return Checkup(plan=plan.metadata.name, problems=error.findings)
    runs_on: list[str] = []
    problems: list[Finding] = []
    bundles: list[dict[str, Any] | None] = []
    for name in BACKEND_DESCRIPTORS:
        try:
            prepared = select_backend(resolved, name, named.backends)
            _try_bundled(named, prepared)
        except HostError as error:
            problems += error.findings
        else:
            runs_on.append(name)
            bundles.append(named.describe_bundle(prepared.choice.artifact))
    skipped = resolved.program.skipped
    return Checkup(
        plan=plan.metadata.name,
        runs_on=tuple(runs_on),
        alternatives=tuple(f"{one.probe}: skips {one.item}: {one.reason}" for one in skipped),
        problems=() if runs_on and not _lacks_program(named, runs_on) else tuple(problems),
        signatures=tuple(acceptance_fields(resolved.acceptances)),
        bundle=next(iter(bundles), None),
    )


def _try_bundled(named: "NamedPlan", prepared: "Prepared") -> None:
    """Fill a bundle's program, which takes no compiler. Raises HostError."""
    if named.bundle is not None:
        prepared.choice.backend.try_artifact(prepared.choice.artifact)


def _lacks_program(named: "NamedPlan", runs_on: Sequence[str]) -> bool:
    """Whether the plan is from a bundle that does not serve this host by a program."""
    return named.bundle is not None and named.bundle.programs.NAME not in runs_on


def _plan_fields(checkup: Checkup) -> dict[str, object]:
    return {
        "plan": checkup.plan,
        "runs_on": list(checkup.runs_on),
        "alternatives": list(checkup.alternatives),
        "signatures": list(checkup.signatures),
        "bundle": checkup.bundle,
        "quarantined": [entry_fields(entry) for entry in checkup.quarantine],
        "problems": [asdict(problem) for problem in checkup.problems],
    }


def _plan_text(checkup: Checkup, facts: KernelFacts) -> str:
    lines = [f"plan {checkup.plan!r} on kernel {facts.release}"]
    lines += [f"  ? {text}" for text in checkup.alternatives]
    lines += [f"  {_signature_line(signature)}" for signature in checkup.signatures]
    if checkup.bundle and checkup.bundle["key"]:
        lines.append(f"  + the bundle has a program for this host: {checkup.bundle['key']}")
    lines += [f"  - {problem}".replace("\n", "\n    ") for problem in checkup.problems]
    for entry in checkup.quarantine:
        lines += ["  ? in quarantine for unattended runs:", *indent_entry(entry)]
    if checkup.runs_on:
        return "\n".join([*lines, f"  + it can run, on {' and on '.join(checkup.runs_on)}"])
    return "\n".join([*lines, "  it cannot run here"])


def _signature_line(signature: Mapping[str, object]) -> str:
    mark = "+" if signature["status"] in ("accepted", "shipped") else "?"
    return f"{mark} signature: {describe_signature(signature)}"
