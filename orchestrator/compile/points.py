"""Finds attach points: `KIND:TARGET` on this kernel, and the values that are available there."""

from collections.abc import Callable, Mapping

from orchestrator.compile.expressions.members import (
    FieldNodes,
    argument_nodes,
    parse_type,
    register_type,
    require_btf,
)
from orchestrator.compile.expressions.nodes import Node, RawArg
from orchestrator.compile.expressions.types import S64, U64, Space, Type, with_space
from orchestrator.compile.globs import is_glob, list_tracepoints, match_names, select_probeable
from orchestrator.compile.iterators import find_iterator
from orchestrator.compile.perf.events import find_perf_events
from orchestrator.compile.point import (
    REGISTER_ARGUMENTS,
    Point,
    parse_arguments,
    register_arguments,
)
from orchestrator.compile.user_code.points import find_usdt_probes, find_user_functions
from orchestrator.kernel.btf import Btf
from orchestrator.kernel.btf_types import FunctionType
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.syscalls import RETURNS_AS
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.plan.attach_kinds import KINDS, AttachKind
from orchestrator.plan.findings import PlanError, plan_error
from orchestrator.plan.model import AttachItem
from orchestrator.plan.nearest import find_nearest, suggest_or_list
from orchestrator.plan.units import parse_duration


def find_points(item: AttachItem, facts: KernelFacts, limit: int) -> tuple[Point, ...]:
    """All attach points of an item: one, or for a glob each that matches, at most `limit` of them.
    Raises PlanError (PP080 … PP083 where this kernel or host lacks something)."""
    return _FINDERS[item.kind](item, facts, limit)


# ---------------------------------------------------------------- kernel functions


def _find_functions(item: AttachItem, facts: KernelFacts, limit: int) -> tuple[Point, ...]:
    if is_glob(item.target):
        return _find_matching(item, facts, limit)
    return (_find_function(item, facts, item.target),)


def _find_matching(item: AttachItem, facts: KernelFacts, limit: int) -> tuple[Point, ...]:
    names = select_probeable(facts, facts.symbols.glob(item.target, 1 << 20))
    found = match_names(item, names, limit, "functions")
    return tuple(_find_function(item, facts, name) for name in found)


def _find_function(item: AttachItem, facts: KernelFacts, target: str) -> Point:
    symbol, _, offset_text = target.partition("+")
    offset = int(offset_text, 0) if offset_text else 0
    _check_function(item, facts, symbol.rpartition(":")[2], offset)
    signature = _find_signature(item, facts, symbol.rpartition(":")[2]) if not offset else None
    arguments, count = _find_arguments(item, facts, signature)
    traits = KINDS[item.kind]
    has_arguments = traits.has_arguments and not offset
    return Point(
        kind=item.kind,
        label=f"{item.kind}:{target}",
        func=symbol,
        arguments=arguments if has_arguments else {},
        positional=register_arguments("kernel", count) if has_arguments else lambda _index: None,
        retval=_return_type(item, facts, signature, "kernel") if traits.has_return else None,
        paired=traits.is_paired,
        symbol=symbol,
        offset=offset,
        btf_id=signature.btf_id if signature is not None and not signature.ambiguous else 0,
        module=signature.module if signature is not None else "",
        register_count=count,
    )


def _check_function(item: AttachItem, facts: KernelFacts, symbol: str, offset: int) -> None:
    """Raise PlanError when a probe at `symbol` + `offset` must not be, or when the kernel will
    refuse it; the common case, a function that can be probed, takes a few quick look-ups."""
    _refuse_denied(item, facts, symbol, offset)
    _refuse_outside(item, facts, symbol, offset)
    symbols = facts.symbols
    if (
        can_probe_functions(facts)
        and symbols.count(symbol) == 1
        and symbols.traceable(symbol) == "yes"
        and symbols.blacklisted(symbol) == "no"
    ):
        return
    _refuse_function(item, facts, symbol)


def _refuse_denied(item: AttachItem, facts: KernelFacts, symbol: str, offset: int) -> None:
    from orchestrator.compile.denied import DENIED, find_denied

    name = find_denied(facts, symbol, offset)
    if name is not None:
        same = "" if name == symbol else f", as a name or a part of {name}"
        raise plan_error(
            "PP081",
            f"{symbol!r} is on the list of functions that must not be probed{same}: {DENIED[name]}",
            item.position,
        )
    if offset and not facts.recorded and facts.symbols.address(symbol) is None:
        raise plan_error(
            "PP081",
            f"the function that {symbol}+{offset:#x} is in is not known, and some must not be "
            "probed: addresses are hidden",
            item.position,
            "run as root, or with CAP_SYSLOG, and with sysctl kernel.kptr_restrict below 2; or "
            "probe the function's entry",
        )


def _refuse_outside(item: AttachItem, facts: KernelFacts, symbol: str, offset: int) -> None:
    """The kernel adds the offset to the symbol's address, and probes the function that is there."""
    if not offset or facts.symbols.address(symbol) is None:
        return
    names = facts.symbols.names_at(symbol, offset)
    if symbol not in names:
        place = f"in {names[0]}" if names else "in none"
        raise plan_error(
            "PP081",
            f"{symbol}+{offset:#x} is outside the function: it is {place}",
            item.position,
            "give an offset within the function, or name the one that is meant",
        )


def can_probe_functions(facts: KernelFacts) -> bool:
    """True where kernel functions can be probed by one mechanism at least."""
    return "yes" in (facts.feature("kprobes").state, facts.feature("fentry").state)


def _refuse_function(item: AttachItem, facts: KernelFacts, symbol: str) -> None:
    from orchestrator.kernel.diagnose import diagnose_function

    diagnosis = diagnose_function(facts, symbol)
    if diagnosis.verdict == "ok" or (diagnosis.verdict == "unknown" and can_probe_functions(facts)):
        return
    near = f"; nearest: {', '.join(diagnosis.suggestions[:4])}" if diagnosis.suggestions else ""
    raise plan_error(
        "PP080" if diagnosis.verdict in ("missing", "module_not_loaded", "no_kprobes") else "PP081",
        f"{symbol!r} cannot be probed: {diagnosis.explanation}",
        item.position,
        diagnosis.cure + near,
    )


def _find_signature(item: AttachItem, facts: KernelFacts, symbol: str) -> FunctionType | None:
    """The function's types, of the module that it is in."""
    return facts.btf.function(symbol, facts.symbols.module(symbol)) if facts.btf else None


def _find_arguments(
    item: AttachItem, facts: KernelFacts, signature: FunctionType | None
) -> tuple[dict[str, Node], int | None]:
    """`args.NAME` and their number; the plan's own `args` take precedence over the kernel's."""
    if item.args:
        # The return value follows the arguments, whose number is the kernel's, not the plan's.
        clear = signature is not None and not signature.ambiguous
        count = len(signature.params) if signature is not None and clear else len(item.args)
        return parse_arguments(item, facts, "kernel"), count
    if signature is None:
        return {}, None
    pairs = tuple((param.name, param.type_id) for param in signature.params)
    return argument_nodes(facts, pairs[:REGISTER_ARGUMENTS], raw=False), len(pairs)


def _return_type(
    item: AttachItem, facts: KernelFacts, signature: FunctionType | None, space: Space
) -> Type | None:
    if item.returns:
        return parse_type(facts, item.returns, space, item.position)
    if signature is None or facts.btf is None:
        return U64
    return register_type(facts.btf, signature.returns)


# ---------------------------------------------------------------- tracepoints and syscalls


#: Categories of tracepoints whose numbers are those that a program passes or gets.
_SPACES: Mapping[str, Space] = {"syscalls": "user", "raw_syscalls": "user"}


def _find_tracepoints(item: AttachItem, facts: KernelFacts, limit: int) -> tuple[Point, ...]:
    names: tuple[str, ...] = (item.target,)
    if is_glob(item.target):
        names = match_names(item, list_tracepoints(facts), limit, "tracepoints")
    return tuple(_find_tracepoint(item, facts, name) for name in names)


def _find_tracepoint(item: AttachItem, facts: KernelFacts, name: str) -> Point:
    category, _, event = name.partition(":")
    tracepoint = _require_tracepoint(item, facts, category, event)
    return Point(
        kind="tracepoint",
        label=f"tracepoint:{name}",
        func=event,
        arguments=FieldNodes(facts, tracepoint.fields, _SPACES.get(category, "kernel")),
        tracepoint=tracepoint,
        event=event,
    )


def _require_tracepoint(
    item: AttachItem, facts: KernelFacts, category: str, event: str
) -> Tracepoint:
    tracepoint = facts.tracepoint(category, event)
    if tracepoint is None:
        problem, hint = explain_missing_tracepoint(facts, category, event)
        raise plan_error("PP080", problem, item.position, hint)
    return tracepoint


def explain_missing_tracepoint(facts: KernelFacts, category: str, event: str) -> tuple[str, str]:
    """Why there is no tracepoint of this name, and what to do; `event` may be a glob, or ""."""
    problem = f"this kernel has no tracepoint {category}:{event}"
    names = list_tracepoints(facts)
    if not names:
        return problem, "no tracepoints can be seen: is tracefs mounted, and are you root?"
    inside = [name for name in names if name.startswith(f"{category}:")]
    if inside:
        near = find_nearest(event, (name.partition(":")[2] for name in inside), 3)
        known = [f"{category}:{name}" for name in near] or inside
        return problem, suggest_or_list(f"{category}:{event}", known)
    problem += f": it has no category {category!r}"
    module = _suggest_module(event) or _suggest_module(category)
    near = find_nearest(f"{category}:{event}", names, 3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "is the module loaded?"
    return problem, module + hint


def _find_raw_tracepoints(item: AttachItem, facts: KernelFacts, limit: int) -> tuple[Point, ...]:
    btf = require_btf(facts, item.position, "the arguments of a raw tracepoint need types")
    names: tuple[str, ...] = (item.target,)
    if is_glob(item.target):
        names = match_names(item, btf.raw_tracepoint_names(), limit, "raw tracepoints")
    return tuple(_find_raw_tracepoint(item, facts, btf, name) for name in names)


def _find_raw_tracepoint(item: AttachItem, facts: KernelFacts, btf: Btf, event: str) -> Point:
    signature = btf.raw_tracepoint(event)
    if signature is None:
        raise plan_error(
            "PP080",
            f"this kernel has no raw tracepoint {event!r} whose types are known",
            item.position,
            _suggest_instead_of_raw(facts, btf, event),
        )
    pairs = tuple((param.name, param.type_id) for param in signature.params)
    return Point(
        kind="rawtracepoint",
        label=f"rawtracepoint:{event}",
        func=event,
        arguments=argument_nodes(facts, pairs, raw=True),
        positional=lambda index: RawArg(index, U64) if index < len(pairs) else None,
        event=event,
        btf_id=signature.btf_id,
        register_count=len(pairs),
    )


def _suggest_instead_of_raw(facts: KernelFacts, btf: Btf, event: str) -> str:
    """The tracepoint of this name, where there is one: a module may lack BTF."""
    same = [":".join(pair) for pair in facts.tracepoint_names() if pair[1] == event]
    if same:
        return f"it is there as tracepoint:{same[0]}"
    return _suggest_module(event) + suggest_or_list(event, btf.raw_tracepoint_names())


def _suggest_module(event: str) -> str:
    """What to load, where the events of a module begin like this one."""
    from orchestrator.kernel.diagnose import module_of_prefix

    module = module_of_prefix(event)
    return f"if it is of the module {module}: modprobe {module}; " if module is not None else ""


def _syscall_error(item: AttachItem, facts: KernelFacts, name: str) -> PlanError:
    known = facts.syscalls()
    if name not in known:
        problem = f"this kernel has no system call {name!r} with tracepoints"
        return plan_error("PP080", problem, item.position, suggest_or_list(name, known))
    problem = f"the tracepoints of system call {name!r} cannot be seen"
    if facts.tracepoint_names():
        hint = "the kernel needs CONFIG_FTRACE_SYSCALLS=y"
    else:
        hint = "is tracefs mounted, and are you root?"
    return plan_error("PP080", problem, item.position, hint)


def _find_syscalls(item: AttachItem, facts: KernelFacts, limit: int) -> tuple[Point, ...]:
    names: tuple[str, ...] = (item.target,)
    if is_glob(item.target):
        names = match_names(item, facts.syscalls(), limit, "system calls")
    return tuple(_find_syscall(item, facts, name) for name in names)


def _find_syscall(item: AttachItem, facts: KernelFacts, name: str) -> Point:
    enter = facts.tracepoint("syscalls", f"sys_enter_{name}")
    leave = facts.tracepoint("syscalls", f"sys_exit_{name}")
    if enter is None or leave is None:
        raise _syscall_error(item, facts, name)
    arguments = FieldNodes(
        facts, tuple(field for field in enter.fields if field.name != "__syscall_nr"), "user"
    )
    names = tuple(arguments)
    return Point(
        kind="syscall",
        label=f"syscall:{name}",
        func=name,
        arguments=arguments,
        positional=lambda index: arguments[names[index]] if index < len(names) else None,
        retval=with_space(S64, "user"),
        paired=True,
        tracepoint=enter,
        exit_tracepoint=leave,
        other_exit=_find_other_exit(facts, name),
    )


def _find_other_exit(facts: KernelFacts, name: str) -> Tracepoint | None:
    """The exit of another call, by which the kernel may leave this one."""
    other = RETURNS_AS.get(facts.arch, {}).get(name)
    return None if other is None else facts.tracepoint("syscalls", f"sys_exit_{other}")


# ---------------------------------------------------------------- timers


def _make_profile_point(item: AttachItem, _facts: KernelFacts, _limit: int) -> tuple[Point, ...]:
    return (
        Point(
            kind="profile",
            label=f"profile:{item.target}",
            func="profile",
            frequency=int(item.target.removesuffix("hz")),
        ),
    )


def _make_interval_point(item: AttachItem, _facts: KernelFacts, _limit: int) -> tuple[Point, ...]:
    return (
        Point(
            kind="interval",
            label=f"interval:{item.target}",
            func="interval",
            period_ns=parse_duration(item.target),
        ),
    )


#: How the attach points of an item are found: a function for each kind.
_FINDERS: Mapping[AttachKind, Callable[[AttachItem, KernelFacts, int], tuple[Point, ...]]] = {
    "function": _find_functions,
    "entry": _find_functions,
    "kprobe": _find_functions,
    "kretprobe": _find_functions,
    "fentry": _find_functions,
    "fexit": _find_functions,
    "tracepoint": _find_tracepoints,
    "rawtracepoint": _find_raw_tracepoints,
    "syscall": _find_syscalls,
    "ufunction": find_user_functions,
    "uprobe": find_user_functions,
    "uretprobe": find_user_functions,
    "usdt": find_usdt_probes,
    "profile": _make_profile_point,
    "interval": _make_interval_point,
    "iter": find_iterator,
    "perf": find_perf_events,
}
