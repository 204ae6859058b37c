"""By which names a policy's globs know an attach point."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestrator.compile.program import Hook
from orchestrator.kernel.facts import KernelFacts
from orchestrator.policy.model import Entry

__all__ = ["Named", "matching", "names_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The names of one attach point. `own` are those that allow it, `also` others of the same
    thing, which deny it as well. `same`: whether a function's name is another one of it."""

    own: tuple[str, ...]
    also: tuple[str, ...] = ()
    same: Callable[[str], bool] = lambda _name: False


def names_of(hook: Hook, facts: KernelFacts) -> Named:
    """The names of an attach point as it was resolved: targets without their kind."""
    target = hook.label.partition(":")[2]
    match hook.traits.site:
        case "user code":
            return _in_file(hook, target)
        case "kernel function":
            return _function(hook, target, facts)
        case "system call":
            events = tuple(f"syscalls:sys_{side}_{target}" for side in ("enter", "exit"))
            return Named(own=(target,), also=events)
        case "raw tracepoint":
            full = tuple(f"{c}:{e}" for c, e in facts.tracepoint_names() if e == target)
            return Named(own=full or (target,), also=(target,))
        case "tracepoint" if target.startswith(("syscalls:sys_enter_", "syscalls:sys_ex")):
            return Named(own=(target,), also=(target.split("_", 2)[2],))
        case _:
            return Named(own=(target,))


def _function(hook: Hook, target: str, facts: KernelFacts) -> Named:
    address = facts.symbols.address

    def same(name: str) -> bool:
        here = address(hook.symbol)
        return here is not None and here == address(name)

    return Named(own=(target,), also=(hook.symbol,), same=same)


def _in_file(hook: Hook, target: str) -> Named:
    """A path may be spelled in many ways: what allows is the file's real one, or the spelling
    where nothing in it leads up again."""
    what = target.removeprefix(f"{hook.path}:")
    real = os.path.realpath(hook.path)
    plain = ".." not in hook.path.split("/")
    bare = what.partition("+")[0]
    names = {os.path.basename(path) for path in (real, hook.path)}  # noqa: PTH119  # text, no path
    also = [f"{path}:{bare}" for path in (real, hook.path, *sorted(names))]
    own = [f"{real}:{what}", *([f"{hook.path}:{what}"] if plain else [])]
    return Named(own=tuple(own), also=tuple(also))


def matching(globs: tuple[Entry, ...], names: Named, *, denying: bool) -> Iterator[Entry]:
    """The globs that name the attach point."""
    known = (*names.own, *names.also) if denying else names.own
    for glob in globs:
        by_name = any(fnmatchcase(name, glob.text) for name in known)
        if by_name or (denying and names.same(glob.text)):
            yield glob
