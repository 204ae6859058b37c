"""`probeplan explain`: what `run` would attach, and what it would cost, without attaching it."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.backends.descriptors import descriptor_of
from orchestrator.cli.messages import print_error, print_text
from orchestrator.cli.named_plan import load_named_plan, read_named
from orchestrator.cli.options import (
    add_plan_options,
    facts_of,
    further_policies,
    overrides,
    policies_in_force,
)
from orchestrator.cli.signatures import describe_signature
from orchestrator.plan.model import Param, Plan
from orchestrator.plan.params import show_value
from orchestrator.plan.printable import make_printable
from orchestrator.plan.units import format_duration
from orchestrator.run.explanation import explain_plan
from orchestrator.run.prepare import prepare

EPILOG = """\
examples:
  probeplan explain plans/fs/slow-io.yaml
  probeplan explain slow-io --backend tracefs --set threshold=5ms
  probeplan explain slow-io --kernel debian:6.1       a shipped kernel profile: no root, any machine
  probeplan explain slow-io.ppb --kernel web7.facts.xz    which program of a bundle serves it
  probeplan explain slow-io --source                      with the generated C, or tracefs writes

First what is attached, where and how; then what it may cost, its limits, and what user space does;
then each probe. It is what `run` attaches; for this kernel it is also compiled, to see that it can
be. --json always has everything.
Of a bundle, the numbers that are filled into its program are shown by name and value.
Nothing is attached here, so the kernel's verifier has not judged it: `run` reports what it refuses.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `explain`."""
    parser.epilog = EPILOG
    add_plan_options(parser, takes_bundles=True)
    parser.add_argument(
        "--kernel",
        metavar="FACTS",
        help="a recorded kernel: a file of `probeplan facts`, or a profile such as debian:6.1; "
        "default: this one",
    )
    parser.add_argument(
        "--source", action="store_true", help="also print the generated C, or the tracefs writes"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Explain the plan; returns 0. Raises PlanError and HostError as `run` does before it attaches
    anything."""
    content, file = read_named(args.plan)
    facts = facts_of(args.kernel)
    policies = policies_in_force(args) if args.kernel is None else further_policies(args)
    named = load_named_plan(content, file, policies, facts.arch, overrides(args))
    prepared = prepare(
        named.plan,
        facts,
        policies,
        backend=args.backend,
        backends=named.backends,
        acceptances=named.acceptances,
    )
    for doubt in prepared.program.doubts:
        print_error(str(doubt))
    if args.kernel is None or named.bundle is not None:  # filling a program needs no compiler
        prepared.choice.backend.try_artifact(prepared.choice.artifact)
    shown = explain_plan(prepared)
    shown["bundle"] = named.describe_bundle(prepared.choice.artifact)
    if args.json:
        print(json.dumps(shown, indent=2))
    else:
        lines = list(map(make_printable, _text_lines(shown, prepared.plan)))
        print_text("\n".join([*lines, *(_program_lines(shown) if args.source else ())]))
    return 0


# ---------------------------------------------------------------- text


def _text_lines(shown: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    """What a reader wants to know first comes first; each probe in detail is at the end."""
    yield from _head_lines(shown, plan)
    for section in (
        _attached_lines,
        _skipped_lines,
        _hot_lines,
        _limit_lines,
        _memory_lines,
        _work_lines,
        _figure_lines,
        _capability_lines,
    ):
        lines = list(section(shown))
        yield from ("", *lines) if lines else ()
    for probe in shown["probes"]:
        yield ""
        yield from _probe_lines(probe)
    for span in shown["spans"]:
        yield ""
        yield from _span_lines(span)
    for note in shown["notes"]:
        yield ""
        yield from _note_lines(note)


def _head_lines(shown: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    yield f"plan {shown['plan']} on {shown['kernel']} ({shown['arch']})"
    yield f"  {plan.metadata.summary}"
    yield f"backend: {shown['backend']}"
    for name, reasons in shown["refused_backends"].items():
        for reason in reasons:
            why, *details = reason["reason"].split("\n")
            yield f"  not {name}: {why} ({reason['at']})"
            yield from (f"    {detail}" for detail in details)
    if shown["bundle"] is not None:
        yield from _bundle_lines(shown)
    if plan.params:
        yield f"params: {', '.join(map(_format_param, plan.params.values()))}"
    if plan.metadata.cost:
        yield f"cost: {plan.metadata.cost}"


def _attached_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    """Each attach point in a line: the probe's name once, the point, and the mechanism."""
    rows = [
        ("" if index else probe["probe"], hook["to"], hook["mechanism"])
        for probe in shown["probes"]
        for index, hook in enumerate(probe["hooks"])
    ]
    points = "attach point" if len(rows) == 1 else "attach points"
    yield f"attached: {len(rows):,} {points}"
    names, places = (max((len(row[at]) for row in rows), default=0) for at in (0, 1))
    for name, place, mechanism in rows:
        yield f"  {name:<{names}}  {place:<{places}}  {mechanism}"


def _skipped_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    if shown["skipped"]:
        yield "alternatives not taken"
        yield from (f"  {one['probe']}: {one['to']}: {one['reason']}" for one in shown["skipped"])


def _bundle_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    """The bundle, its program for this kernel, and the numbers that are filled in."""
    bundle = shown["bundle"]
    created = f"{bundle['created'][:19]}Z"  # to the second
    yield f"bundle {bundle['file']}, made by probeplan {bundle['builder']} at {created}"
    if bundle["key"] is None:
        return
    yield f"  its program for this kernel: {bundle['key']}"
    for slot, number in enumerate(shown["numbers"]):
        yield f"  slot {slot}: {number['name']} = {number['value']}"


def _hot_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    if shown["hot"]:
        yield "may be hot: `run` counts for a second first, unless it is given a command"
        yield from (f"  {place}: {why}" for place, why in shown["hot"].items())


def _format_param(param: Param) -> str:
    """As --set takes it: threshold=10ms."""
    shown = "" if param.value is None else show_value(param.type, param.value)
    return f"{param.name}={shown}"


def _probe_lines(probe: Mapping[str, Any]) -> Iterator[str]:
    sample = f", one of {probe['sample']} sampled" if probe["sample"] > 1 else ""
    yield f"probe {probe['probe']}{sample}"
    for hook in probe["hooks"]:
        yield from _hook_lines(hook)
    yield from _output_lines(probe)


def _span_lines(span: Mapping[str, Any]) -> Iterator[str]:
    key = ", ".join(f"{part['name']} {part['form']}" for part in span["key"])
    yield f"{'outstanding' if span['outstanding'] else 'span'} {span['span']}, joined by {key}"
    yield f"  a second start: {span['again']}; at most {span['max_open']:,} open"
    for part in span["parts"]:
        yield f"  {part['role']} at {part['probe']} ({part['to']}), by {', '.join(part['key'])}"
        yield from (f"    keep {name} = {text}" for name, text in part["kept"].items())
        yield from (f"    if {text}" for text in part["where"])
        yield from (f"    emit {name} = {text}" for name, text in part["emit"].items())
    yield from _output_lines(span)


def _note_lines(note: Mapping[str, Any]) -> Iterator[str]:
    key = ", ".join(f"{part['name']} {part['form']}" for part in note["key"])
    yield f"note {note['note']}, found by {key}"
    again = "is left as it is" if note["once"] else "is replaced"
    yield f"  what is set again {again}; at most {note['max']:,} are kept"
    for part in note["parts"]:
        yield f"  {part['role']} at {part['probe']} ({part['to']}), by {', '.join(part['key'])}"
        yield from (f"    keep {name} = {text}" for name, text in part["kept"].items())
    yield f"  read by {', '.join(note['read_by'])}"


def _output_lines(maker: Mapping[str, Any]) -> Iterator[str]:
    """What a probe or a span makes: its record and metrics."""
    if maker["record"] is not None:
        fields = ", ".join(f"{field['name']} {field['form']}" for field in maker["record"])
        yield f"  record: {fields or 'the common fields'}"
    if once := maker.get("once"):
        by = ", ".join(f"{part['name']} {part['form']}" for part in once["by"])
        period = f"in {format_duration(once['per_ns'])}" if once["per_ns"] else "in the run"
        yield f"  recorded once {period} for each of at most {once['keys']:,} keys: {by}"
    for metric in maker["metrics"]:
        by = ", ".join(f"{part['name']} {part['form']}" for part in metric["by"])
        keys = f" by {by} (at most {metric['keys']:,} keys, then `other`)" if by else ""
        yield f"  metric {metric['metric']}: {metric['kind']}{keys}"


def _hook_lines(hook: Mapping[str, Any]) -> Iterator[str]:
    optional = " (optional)" if hook["optional"] else ""
    yield f"  {hook['to']}: {hook['mechanism']}{optional}"
    for name, reason in hook["rejected"].items():
        yield f"    not {name}: {reason}"
    if hook["scope"]:
        yield f"    {hook['scope']}"
    yield from (f"    {argument}" for argument in hook["arguments"])
    yield from (f"    at entry, if {test}" for test in hook["at_entry"])
    yield from (f"    let {name} = {text}" for name, text in hook["let"].items())
    yield from (f"    if {test}" for test in hook["where"])
    yield from (f"    emit {name} = {text}" for name, text in hook["emit"].items())


def _figure_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    figures = shown["figures"]
    if not (figures["derive"] or figures["warn"] or figures["stop_when"]):
        return
    yield "figures, computed of metrics in user space"
    for name, one in figures["derive"].items():
        by = f" by {', '.join(one['by'])}" if one["by"] else ""
        yield f"  {name} = {one['value']} {one['unit']}".rstrip() + by
        if one["warn"]:
            yield f"    warn if {one['warn']}"
    yield from (f"  warn of {name} if {text}" for name, text in figures["warn"].items())
    if figures["stop_when"]:
        every = format_duration(figures["window_ns"])
        yield f"  stop when {figures['stop_when']}, judged every {every}"


def _limit_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    for policy in shown["policies"]:
        yield f"policy {policy['file']}"
    for signature in shown["signatures"]:
        yield f"signature: {describe_signature(signature)}"
    yield "limits in force"
    for name, limit in shown["limits"].items():
        by = _NOT_ENFORCED.get(name) or f"enforced by {_format_enforcer(limit['enforced_by'])}"
        yield f"  {name:<10} {_format_bound(name, limit):<16} {by}, from {_SOURCES[limit['from']]}"


_SOURCES = {
    "plan": "the plan",
    "default": "the default",
    "command line": "the command line",
    "policy": "a policy",
}
_NOT_ENFORCED = {
    "memory": "computed before attaching",
    "probes": "counted before attaching",
    "output": "enforced by the reader",
    "incomplete": "the exit code when data was lost",
}


def _format_bound(name: str, limit: Mapping[str, Any]) -> str:
    value = limit["value"]
    if isinstance(value, str):
        return value
    if name == "duration":
        return f"{value / 1e9:g} s"
    if name in ("memory", "output"):
        return _format_size(value)
    if name == "cpu":
        return f"{value * 100:g}% of a CPU"
    period = f" per {limit['per_ns'] / 1e9:g} s" if "per_ns" in limit else ""
    return f"{value:,}{period}"


def _format_enforcer(where: str) -> str:
    return "the kernel" if where == "kernel" else "user space, after the fact"


def _work_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    """Who does what, apart from the limits: what user space does costs more, and is done late."""
    others = {name: by for name, by in shown["enforced"].items() if name not in shown["limits"]}
    for where in ("kernel", "user"):
        if names := [
            name for name, by in others.items() if (by == "kernel") == (where == "kernel")
        ]:
            yield f"done by {_format_enforcer(where)}: {', '.join(names)}"


def _memory_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    memory = shown["memory"]
    yield f"kernel memory: {_format_size(memory['total'])} of {_format_size(memory['limit'])}"
    for purpose, size in sorted(memory["by_purpose"].items(), key=lambda item: -item[1]):
        yield f"  {purpose:<24} {_format_size(size):>12}"


def _format_size(size: int) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift:
            return f"{size / (1 << shift):,.1f} {unit}".replace(".0 ", " ")
    return f"{size} bytes"


def _capability_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    yield f"capabilities needed: {', '.join(shown['capabilities']) or 'none'}"


def _program_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield f"the program ({descriptor_of(shown['backend']).program_language})"
    yield ""
    yield shown["program"].rstrip()
