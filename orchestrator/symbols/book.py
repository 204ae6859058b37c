"""All stacks of a run: each is resolved once, as soon as it is seen."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from orchestrator.symbols.frames import EMPTY_STACK, Frame, KnownStack, Stack, make_frame
from orchestrator.symbols.kernel_symbols import KernelSymbols
from orchestrator.symbols.machinery import begin_at_function, drop_machinery
from orchestrator.symbols.process import FileCache, NamedStacks, ProcessNames

__all__ = ["StackBook"]

_HIDDEN = "kernel addresses are hidden: CAP_SYSLOG and kernel.kptr_restrict below 2 are needed"
_NAMESPACE = "this is a PID namespace, in which the kernel's process ids are unknown"
_RETURNING = (
    "this kernel cannot unwind past the return of a probed function: use entry(kstack), which "
    "needs a kind with entry and return"
)
# Where a probed function returns to; before 5.15 unwinding ends there.
_TRAMPOLINES = frozenset(
    {"kretprobe_trampoline", "__kretprobe_trampoline", "arch_rethook_trampoline"}
)


class UserNames(Protocol):
    """Names the stacks of processes: ProcessNames, or IsolatedNames, which bounds what it costs."""

    def name_stacks(self, pid: int, stacks: Sequence[Sequence[int]]) -> NamedStacks:
        """The frames of some stacks of process `pid`."""

    def close(self) -> None:
        """No more stacks follow. Idempotent."""


class StackBook:
    """The names of one run's stacks, by id. A stack is kept as the names of its frames alone, each
    text once, which takes about as much memory as the kernel's map of stacks; that map bounds their
    number, and the kernel counts what did not fit. `users` names those of processes (None: this
    process does, without bounds). `numbers_are_ours` False: this is a PID namespace, in which
    processes cannot be found by the kernel's ids."""

    def __init__(
        self,
        *,
        kernel: KernelSymbols | None = None,
        users: UserNames | None = None,
        numbers_are_ours: bool = True,
    ) -> None:
        self._kernel, self._users = kernel, users or ProcessNames(FileCache())
        self._numbers_are_ours = numbers_are_ours
        self._names: dict[int, tuple[str, ...]] = {}
        self._texts: dict[str, str] = {}
        #: The number of stacks with missing names: their `why` gave the reason.
        self.unnamed = 0

    def __contains__(self, stack_id: int) -> bool:
        return stack_id in self._names

    def learn(self, stacks: Iterable[Stack]) -> list[KnownStack]:
        """Resolve the new stacks, and return them: their frames are not kept."""
        new = [stack for stack in stacks if stack.id not in self._names]
        resolved = list(self._name_user_stacks(new))  # first, since processes may exit
        resolved += self._name_kernel_stacks([stack for stack in new if stack.space == "kernel"])
        once = self._texts.setdefault
        for known in resolved:
            self._names[known.stack.id] = tuple([once(name, name) for name in known.names])
            self.unnamed += bool(known.why)
        return resolved

    def names(self, stack_id: int) -> tuple[str, ...] | None:
        """The names of a stack's frames, from the innermost outwards; None: it was lost."""
        if stack_id == EMPTY_STACK:
            return ()
        return self._names.get(stack_id)

    def close(self) -> None:
        """No more stacks of processes follow."""
        self._users.close()

    def prepare(self) -> KernelSymbols:
        """Read the kernel's symbols, which takes about 100 ms."""
        if self._kernel is None:
            self._kernel = KernelSymbols.live()
        return self._kernel

    def _name_kernel_stacks(self, stacks: Sequence[Stack]) -> Iterable[KnownStack]:
        if not stacks:
            return
        kernel = self.prepare()
        frames = kernel.frames([stack.addresses for stack in stacks])
        for stack, stack_frames in zip(stacks, frames, strict=True):
            why = _RETURNING if _ends_at_once(stack_frames) else "" if kernel.available else _HIDDEN
            shown = _limit(stack, _begin_at_probe(stack, stack_frames, kernel))
            yield KnownStack(stack=stack, frames=shown, why=why)

    def _name_user_stacks(self, new: Sequence[Stack]) -> Iterator[KnownStack]:
        users = sorted((stack for stack in new if stack.space == "user"), key=_pid_of)
        for pid, group in groupby(users, _pid_of):
            stacks = list(group)
            addresses = [stack.addresses for stack in stacks]
            if self._numbers_are_ours:
                named = self._users.name_stacks(pid, addresses)
            else:
                bare = [tuple(map(make_frame, stack)) for stack in addresses]
                named = NamedStacks(frames=bare, why=_NAMESPACE)
            for stack, frames in zip(stacks, named.frames, strict=True):
                yield KnownStack(stack=stack, frames=_limit(stack, frames), why=named.why)


def _limit(stack: Stack, frames: Sequence[Frame]) -> Sequence[Frame]:
    """The innermost frames, as many as the plan wants."""
    return frames[: stack.shown] if stack.shown else frames


def _pid_of(stack: Stack) -> int:
    return stack.pid


def _begin_at_probe(
    stack: Stack, frames: Sequence[Frame], kernel: KernelSymbols
) -> Sequence[Frame]:
    """A kernel stack without the way from the probed place to the program that took it."""
    probed = kernel.function(stack.probed) if stack.probed is not None else None
    return drop_machinery(frames) if probed is None else begin_at_function(frames, probed)


def _ends_at_once(frames: Sequence[Frame]) -> bool:
    return len(frames) == 1 and frames[0].symbol in _TRAMPOLINES
