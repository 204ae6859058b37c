"""Which hooks share one program and one link: those of a probe that do the same at many places.

A link with many places attaches and detaches them at once, where each place alone takes the kernel
a grace period. It gives each place a cookie, by which the program finds the hook's own counters, so
that every count stays that of one hook. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from orchestrator.backends.bcc.design.hook_nodes import nodes_at_hook
from orchestrator.backends.bcc.design.layout import HookSide
from orchestrator.backends.bcc.design.mechanism import (
    Mechanism,
    MechanismChoice,
    choose_mechanism,
    missing_feature,
)
from orchestrator.backends.bcc.design.scope import is_one_process, why_in_every_process
from orchestrator.compile.body_nodes import needs_stacks
from orchestrator.compile.expressions.nodes import FuncNumber
from orchestrator.compile.program import Hook, Program, ResolvedTarget
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import AttachKind
from orchestrator.values import dataclass

__all__ = ["COOKIE_FUNC", "COOKIE_HOOK", "COOKIE_SIDE", "JOINING", "choose_mechanisms"]
__all__ += ["pack_cookie"]

RefusedMechanisms = Mapping[int, Mapping[Mechanism, str]]
_NONE_REFUSED: RefusedMechanisms = {}

#: The mechanisms that join hooks, and the feature that each needs.
JOINING: Mapping[Mechanism, str] = {
    "kprobe multi": "kprobe_multi",
    "uprobe multi": "uprobe_multi",
}
#: Returns alone are not joined: which of them the kernel missed is counted by dynamic events only.
#: Calls of kernel functions are not either: entry and return do not see the same stack pointer on
#: all kernels (return_to_handler in arch/x86/kernel/ftrace_64.S, 6.14 and later), by which they are
#: paired.
_JOINED_KINDS: Mapping[AttachKind, Mechanism] = {
    "entry": "kprobe multi",
    "kprobe": "kprobe multi",
    "ufunction": "uprobe multi",
    "uprobe": "uprobe multi",
    "usdt": "uprobe multi",
}
#: A trampoline costs less per hit; so many of them take as long to attach as one link.
_FEWEST: Mapping[Mechanism, int] = {"kprobe multi": 8, "uprobe multi": 2}
_MOST_HOOKS = 1 << 15  # a cookie has 16 bits for a hook, and for a side

# A cookie: the side's element of the ledger, the hook's id, and what `func` is in keys.
COOKIE_SIDE = "(u32)(pp_attach_cookie(ctx) & 0xffff)"
COOKIE_HOOK = "(u32)(pp_attach_cookie(ctx) >> 16 & 0xffff)"
COOKIE_FUNC = "(u32)(pp_attach_cookie(ctx) >> 32)"


def pack_cookie(side: HookSide) -> int:
    """What the program gets at the place of this side."""
    nodes = nodes_at_hook(side.hook.body)
    func = next((node.value for node in nodes if isinstance(node, FuncNumber)), 0)
    return side.index | side.hook.id << 16 | func << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    """Hooks of one probe whose bodies are equal, by the mechanism that may join them."""

    mechanism: Mechanism
    hooks: list[Hook]


def choose_mechanisms(
    program: Program,
    facts: KernelFacts,
    refused: RefusedMechanisms = _NONE_REFUSED,
    *,
    may_join: bool = True,
) -> dict[int, MechanismChoice]:
    """By hook: the first mechanism that this kernel and the hook allow, but one link for each set
    of hooks that one can serve. Where this kernel or the target does not allow that, the hooks'
    choices say why. `refused`: by hook, mechanisms that were tried, with the kernel's answer.
    Without `may_join` each hook has its program."""
    choices = {
        hook.id: choose_mechanism(hook, facts, refused.get(hook.id, {})) for hook in program.hooks
    }
    return _join_hooks(program, choices, facts) if may_join else choices


def _join_hooks(
    program: Program, choices: Mapping[int, MechanismChoice], facts: KernelFacts
) -> dict[int, MechanismChoice]:
    changed = dict(choices)
    for joined in _find_sets(program, choices):
        hooks = joined.hooks
        why = missing_feature(facts, JOINING[joined.mechanism])
        why = why or _why_apart(hooks[0], program.target, joined.mechanism, facts)
        for hook in hooks:
            choice = choices[hook.id]
            if why:
                rejected = {**choice.rejected, joined.mechanism: why}
                changed[hook.id] = replace(choice, rejected=rejected)
            else:
                assert choice.mechanism is not None
                preferred = f"one link for {len(hooks)} attach points is preferred"
                changed[hook.id] = MechanismChoice(
                    mechanism=joined.mechanism,
                    rejected={**choice.rejected, choice.mechanism: preferred},
                    joined=hooks[0].id,
                )
    return changed


def _find_sets(program: Program, choices: Mapping[int, MechanismChoice]) -> Iterator[_Set]:
    if len(program.hooks) > _MOST_HOOKS:
        return
    hooks_at = Counter(_place_of(hook) for hook in program.hooks)
    for probe in program.probes:
        sets: list[_Set] = []
        for hook in probe.hooks:
            choice, mechanism = choices[hook.id], _JOINED_KINDS.get(hook.kind)
            if mechanism is None or choice.mechanism is None or mechanism in choice.rejected:
                continue
            if hooks_at[_place_of(hook)] == 1 and _can_join(hook):
                _add_to_set(sets, hook, mechanism)
        yield from (one for one in sets if len(one.hooks) >= _FEWEST[one.mechanism])


def _place_of(hook: Hook) -> tuple[object, ...]:
    return (hook.path, hook.file_offset) if hook.path else (hook.symbol, hook.offset, hook.event)


def _can_join(hook: Hook) -> bool:
    """Of kernel functions: at the entry of one that is named without its module, and where no stack
    is taken, since the kernel shows the program no more registers there than a call has."""
    if hook.path:
        return True
    return not hook.offset and ":" not in hook.symbol and not needs_stacks(hook.body)


def _add_to_set(sets: list[_Set], hook: Hook, mechanism: Mechanism) -> None:
    for one in sets:
        if one.mechanism == mechanism and _are_alike(one.hooks[0], hook):
            one.hooks.append(hook)
            return
    sets.append(_Set(mechanism=mechanism, hooks=[hook]))


def _are_alike(one: Hook, other: Hook) -> bool:
    """Whether one program does for both. Bodies are equal but for what `func` is in keys."""
    file = (one.kind, one.path, one.identity, one.optional)
    return file == (other.kind, other.path, other.identity, other.optional) and (
        one.body == other.body
    )


def _why_apart(hook: Hook, target: ResolvedTarget, mechanism: Mechanism, facts: KernelFacts) -> str:
    """Why hooks that could be joined are better attached one by one."""
    if mechanism != "uprobe multi" or why_in_every_process(hook, "dynamic event", target):
        return ""
    if is_one_process(target):
        return missing_feature(facts, "uprobe_multi_process")
    return "it would be in every process that maps the file, and not in the target's alone"
