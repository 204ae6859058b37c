"""What identifies a metric and a probe, so that figures are compared with their like alone."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.backends.protocol import AttachedHook, SkippedHook
from orchestrator.check.measurement import MetricIdentity, ProbeIdentity, ProbePlace
from orchestrator.check.measuring.figures import outstanding_metrics, probes_of_span
from orchestrator.compile.program import Hook, MetricSpec, Program
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.model import Metric, Outstanding, Plan, Probe, Span

__all__ = ["identify_metrics", "identify_probes"]

#: What changes no figure: positions, texts, and what of a probe is recorded or counted besides.
_LEFT_OUT = frozenset(
    {
        "position",
        "emit",
        "metrics",
        "events",
        "rate",
        "optional",
        "unsafe_return",
        "text",
        "deferred",
    }
    | {"warn", "top", "unit", "exclude_self"}
)
_PARAM = re.compile(r"\bparams\.([A-Za-z_][A-Za-z0-9_]*)")


def identify_metrics(plan: Plan, program: Program) -> dict[str, dict[str, MetricIdentity]]:
    """By probe (or span) and name."""
    found: dict[str, dict[str, MetricIdentity]] = {}
    of_spans = (spec for span in program.spans for spec in outstanding_metrics(span))
    for spec in (*program.metrics, *of_spans):
        found.setdefault(spec.probe, {})[spec.name] = MetricIdentity(
            kind=spec.kind,
            unit=spec.unit,
            by=tuple(part.name for part in spec.key),
            digest=_digest(plan, spec),
        )
    return found


def _digest(plan: Plan, spec: MetricSpec) -> str:
    """Of the definition with all that it is made of, as the plan has it after its params: it does
    not depend on the kernel."""
    definition = {
        "metric": _find_metric(plan, spec),
        "of": _find_maker(plan, spec.probe),
        "probes": _find_parts(plan, spec.probe),
        "let": plan.let,
        "target": plan.target,
    }
    plain = _plain(definition)
    text = json.dumps(plain, sort_keys=True)
    used = sorted(set(_PARAM.findall(text)) & set(plan.params))
    values = {name: plan.params[name].value for name in used}
    return hashlib.sha256((text + json.dumps(values, sort_keys=True)).encode()).hexdigest()


def _find_maker(plan: Plan, name: str) -> Probe | Span | Outstanding:
    makers: Sequence[Probe | Span | Outstanding] = (*plan.probes, *plan.spans, *plan.outstanding)
    return next(maker for maker in makers if maker.name == name)


def _find_metric(plan: Plan, spec: MetricSpec) -> Metric | str:
    """Metrics that an `outstanding` makes are described by it."""
    metrics = getattr(_find_maker(plan, spec.probe), "metrics", ())
    return next((metric for metric in metrics if metric.name == spec.name), spec.name)


def _find_parts(plan: Plan, name: str) -> list[Probe]:
    """The probes of a span."""
    match _find_maker(plan, name):
        case Span() as span:
            names = set(span.probes)
        case Outstanding() as outstanding:
            names = {*outstanding.open, *outstanding.close}
        case _:
            names = set()
    return [probe for probe in plan.probes if probe.name in names]


def _plain(value: Any) -> Any:
    """As JSON has it; of an expression its text, blanks made one."""
    if isinstance(value, Expr):
        return " ".join(value.text.split())
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in _LEFT_OUT
        }
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


# ---------------------------------------------------------------- probes


def identify_probes(
    program: Program, attached: Sequence[AttachedHook], skipped: Sequence[SkippedHook]
) -> dict[str, ProbeIdentity]:
    """By probe and span; a span is what its probes are together."""
    mechanisms = {hook.hook: hook.mechanism for hook in attached}
    why = {hook.hook: hook.reason for hook in skipped}
    found = {
        probe.name: ProbeIdentity(
            mechanisms=_distinct(mechanisms[h.id] for h in probe.hooks if h.id in mechanisms),
            alternative=", ".join(hook.label for hook in probe.hooks),
            place="user-visible" if all(map(_is_user_visible, probe.hooks)) else "kernel-side",
            sample=probe.sample,
            skipped=_join([why[hook.id] for hook in probe.hooks if hook.id in why])
            or (None if probe.hooks else _why_not(program, probe.name)),
        )
        for probe in program.probes
    }
    for item in program.skipped:
        found.setdefault(item.probe, _absent(_why_not(program, item.probe)))
    parts = {span.name: probes_of_span(program, span.index) for span in program.spans}
    return found | {
        name: _join_identities([found[part] for part in names]) for name, names in parts.items()
    }


def _why_not(program: Program, probe: str) -> str:
    reasons = [f"{item.item}: {item.reason}" for item in program.skipped if item.probe == probe]
    return _join(reasons) or "it is attached nowhere"


def _absent(reason: str) -> ProbeIdentity:
    return ProbeIdentity(mechanisms=(), alternative="", place="kernel-side", skipped=reason)


def _join_identities(parts: Sequence[ProbeIdentity]) -> ProbeIdentity:
    places: set[ProbePlace] = {part.place for part in parts}
    return ProbeIdentity(
        mechanisms=_distinct(name for part in parts for name in part.mechanisms),
        alternative=", ".join(part.alternative for part in parts),
        place="user-visible" if places == {"user-visible"} else "kernel-side",
        sample=max((part.sample for part in parts), default=1),
        skipped=_join([part.skipped for part in parts if part.skipped]),
    )


def _is_user_visible(hook: Hook) -> bool:
    """What a program does itself: its system calls and what it runs. Where a system call is seen at
    the tracepoints that all calls pass, it is one too."""
    site = hook.traits.site
    by_tracepoint = hook.tracepoint is not None and hook.tracepoint.category in (
        "syscalls",
        "raw_syscalls",
    )
    return site in ("system call", "user code") or (site == "tracepoint" and by_tracepoint)


def _distinct(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _join(texts: Sequence[str]) -> str | None:
    return "; ".join(dict.fromkeys(texts)) or None
