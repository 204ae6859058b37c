"""The names by which a policy's globs match an attach point."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestrator.compile.program import Hook
from orchestrator.kernel.facts import KernelFacts
from orchestrator.policy.model import ListEntry

__all__ = ["AttachNames", "find_names", "match_globs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachNames:
    """The names of one attach point. A glob that allows has to match one of `own`; a glob that
    denies may match one of `also` too, other names of the same thing. `is_same`: whether a name is
    another one of the same kernel function."""

    own: tuple[str, ...]
    also: tuple[str, ...] = ()
    is_same: Callable[[str], bool] = lambda _name: False


def find_names(hook: Hook, facts: KernelFacts) -> AttachNames:
    """The names of an attach point as it was resolved: targets without their kind."""
    target = hook.label.partition(":")[2]
    match hook.traits.site:
        case "user code":
            return _names_in_file(hook, target)
        case "kernel function":
            return _names_of_function(hook, target, facts)
        case "system call":
            events = tuple(f"syscalls:sys_{side}_{target}" for side in ("enter", "exit"))
            return AttachNames(own=(target,), also=events)
        case "raw tracepoint":
            full = tuple(f"{c}:{e}" for c, e in facts.tracepoint_names() if e == target)
            return AttachNames(own=full or (target,), also=(target,))
        case "tracepoint" if target.startswith(("syscalls:sys_enter_", "syscalls:sys_ex")):
            return AttachNames(own=(target,), also=(target.split("_", 2)[2],))
        case _:
            return AttachNames(own=(target,))


def _names_of_function(hook: Hook, target: str, facts: KernelFacts) -> AttachNames:
    address_of = facts.symbols.address

    def is_same(name: str) -> bool:
        address = address_of(hook.symbol)
        return address is not None and address == address_of(name)

    return AttachNames(own=(target,), also=(hook.symbol,), is_same=is_same)


def _names_in_file(hook: Hook, target: str) -> AttachNames:
    """A path can be written in many ways. An allowing glob has to match the file's real path, or
    the path as written if it contains no `..`."""
    symbol = target.removeprefix(f"{hook.path}:")
    real = os.path.realpath(hook.path)
    plain = ".." not in hook.path.split("/")
    bare = symbol.partition("+")[0].partition("@")[0]
    files = {os.path.basename(path) for path in (real, hook.path)}  # noqa: PTH119  # text, no path
    also = [f"{path}:{bare}" for path in (real, hook.path, *sorted(files))]
    own = [f"{real}:{symbol}", *([f"{hook.path}:{symbol}"] if plain else [])]
    return AttachNames(own=tuple(own), also=tuple(also))


def match_globs(
    globs: tuple[ListEntry, ...], names: AttachNames, *, denying: bool
) -> Iterator[ListEntry]:
    """The globs that match the attach point."""
    candidates = (*names.own, *names.also) if denying else names.own
    for glob in globs:
        by_name = any(fnmatchcase(name, glob.text) for name in candidates)
        if by_name or (denying and names.is_same(glob.text)):
            yield glob
