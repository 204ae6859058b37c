"""The names by which a policy's globs match an attach point.

A policy names things; a plan may reach the same thing under another name. What is compared is the
thing: the kernel function at an address, the event, the system call, the bytes of a file.
"""

import os
import stat
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from orchestrator.compile.program import Hook
from orchestrator.kernel.facts import KernelFacts
from orchestrator.policy.kinds import event_of_function
from orchestrator.policy.model import ListEntry
from orchestrator.policy.same_file import FileNames
from orchestrator.policy.system_calls import calls_of_event, calls_of_function, names_of_calls
from orchestrator.values import dataclass

__all__ = ["AttachNames", "find_names", "match_globs", "other_names"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachNames:
    """The names of one attach point. A glob that allows has to match one of `own`; a glob that
    denies may match one of `also` too, other names of the same thing. `is_same`: whether a glob
    means the same thing under a name that cannot be listed."""

    own: tuple[str, ...]
    also: tuple[str, ...] = ()
    is_same: Callable[[str], bool] = lambda _glob: False


def find_names(hook: Hook, facts: KernelFacts) -> AttachNames:
    """The names of an attach point as it was resolved: targets without their kind."""
    target = hook.label.partition(":")[2]
    match hook.traits.site:
        case "user code":
            return _names_in_file(hook, target)
        case "kernel function":
            return _names_of_function(hook, target, facts)
        case "system call":
            return AttachNames(own=(target,), also=names_of_calls((target,), ()))
        case "raw tracepoint":
            full = tuple(f"{c}:{e}" for c, e in facts.tracepoint_names() if e == target)
            also = (target, *_names_of_event_calls("", target, facts))
            return AttachNames(own=full or (target,), also=also)
        case "tracepoint":
            category, _, event = target.partition(":")
            also = (event, *_names_of_event_calls(category, event, facts))
            return AttachNames(own=(target,), also=also)
        case "counter":
            return AttachNames(own=(target, target.partition("/")[0]))
        case _:
            return AttachNames(own=(target,))


def other_names(site: str, target: str) -> tuple[str, ...]:
    """Other names of what a target names, as far as they are known without a kernel."""
    match site:
        case "kernel function":
            symbol = target.partition("+")[0]
            return (symbol, *names_of_calls(calls_of_function(symbol), ()))
        case "system call":
            return names_of_calls((target,), ())
        case "raw tracepoint":
            return names_of_calls(calls_of_event("", target), ())
        case "tracepoint":
            category, _, event = target.partition(":")
            return (event, *names_of_calls(calls_of_event(category, event), ()))
        case "counter":
            return (target.partition("/")[0],)
        case _:
            return ()


def _names_of_event_calls(category: str, event: str, facts: KernelFacts) -> tuple[str, ...]:
    calls = calls_of_event(category, event)
    return names_of_calls(calls, facts.syscalls()) if calls else ()


# ---------------------------------------------------------------- kernel functions


def _names_of_function(hook: Hook, target: str, facts: KernelFacts) -> AttachNames:
    symbols = facts.symbols

    def is_same(name: str) -> bool:
        address = symbols.address(hook.symbol)
        return address is not None and address == symbols.address(name)

    at_address = (hook.symbol, *symbols.names_at(hook.symbol, hook.offset))
    reached = (*at_address, *map(_without_variant, at_address))
    calls = [call for symbol in reached for call in calls_of_function(symbol)]
    called = names_of_calls(calls, facts.syscalls()) if calls else ()
    events = [name for symbol in reached for name in _names_of_function_event(symbol, facts)]
    return AttachNames(own=(target,), also=(*reached, *called, *events), is_same=is_same)


def _names_of_function_event(symbol: str, facts: KernelFacts) -> tuple[str, ...]:
    """The events for which a function runs. Where it has the name of a class, its events are not
    known, and it may be any."""
    event = event_of_function(symbol)
    if not event:
        return ()
    every = facts.tracepoint_names()
    named = [pair for pair in every if pair[1] == event] or every
    return tuple(name for pair in named for name in (":".join(pair), pair[1]))


# ---------------------------------------------------------------- user code


def _names_in_file(hook: Hook, target: str) -> AttachNames:
    """A path can be written in many ways. An allowing glob has to match the file's real path, or
    the path as written if only root could have made it lead there."""
    from orchestrator.binaries.elf import names_at_offset

    symbol = target.removeprefix(f"{hook.path}:")
    real = os.path.realpath(hook.path)
    trusted = [real] if _is_one_file(real, hook.path) else []
    trusted += [hook.path] if _is_roots_path(hook.path) else []
    own = tuple(f"{path}:{symbol}" for path in trusted)
    bare = symbol.partition("+")[0].partition("@")[0]
    reached = names_at_offset(Path(hook.path), hook.file_offset)
    places = dict.fromkeys(
        (symbol, bare, *reached, *(_without_variant(name) for name in (bare, *reached)))
    )
    files = dict.fromkeys(
        (real, hook.path, os.path.basename(real), os.path.basename(hook.path))  # noqa: PTH119  # text, no path
    )
    also = tuple(f"{file}:{place}" for file in files for place in places)
    return AttachNames(own=own, also=also, is_same=FileNames(hook.path, places).is_meant)


def _is_one_file(real: str, path: str) -> bool:
    """Whether the real path leads to the file from here: below /proc/PID/root, names are another
    mount namespace's."""
    try:
        return Path(real).samefile(path)
    except OSError:
        return not Path(path).exists()  # a recorded host's file, which is not here


def _without_variant(symbol: str) -> str:
    """The function of which the compiler made a part or a variant: `name.part.0`, `name.cold`."""
    return symbol.partition(".")[0] or symbol


def _is_roots_path(path: str) -> bool:
    """Whether only root could have put there what a path names: each part belongs to root and is
    writable by root alone."""
    parts = [path, *map(str, Path(path).parents)]
    if ".." in path.split("/"):
        return False
    try:
        found = [Path(part).lstat() for part in parts]
    except OSError:
        return True  # a recorded host's file, which is not here
    return all(
        status.st_uid == 0 and (stat.S_ISLNK(status.st_mode) or not status.st_mode & 0o022)
        for status in found
    )


# ---------------------------------------------------------------- globs


def match_globs(
    globs: tuple[ListEntry, ...], names: AttachNames, *, denying: bool
) -> Iterator[ListEntry]:
    """The globs that match the attach point."""
    candidates = (*names.own, *names.also) if denying else names.own
    for glob in globs:
        by_name = any(fnmatchcase(name, glob.text) for name in candidates)
        if by_name or (denying and names.is_same(glob.text)):
            yield glob
