"""All stacks of a run: each is given its names once, as soon as it is seen."""

from collections.abc import Iterable, Sequence

from orchestrator.symbols.frames import EMPTY_STACK, Frame, KnownStack, Stack, make_frame
from orchestrator.symbols.kernel_symbols import KernelSymbols, drop_machinery
from orchestrator.symbols.process import FileCache, Process

__all__ = ["StackBook"]

_HIDDEN = "the kernel's addresses are hidden from us: CAP_SYSLOG, and kernel.kptr_restrict below 2"
_NAMESPACE = "we are in a PID namespace, where the kernel's numbers of processes mean nothing"
_RETURNING = (
    "this kernel cannot look past the return of a probed function: ask for entry(kstack), which "
    "needs a kind with entry and return"
)
# Where a probed function returns to; before 5.15 unwinding ends there.
_TRAMPOLINES = frozenset(
    {"kretprobe_trampoline", "__kretprobe_trampoline", "arch_rethook_trampoline"}
)


class StackBook:
    """What is known of the stacks of one run, by id. `numbers_are_ours` False: in a PID namespace
    processes cannot be found by the kernel's numbers."""

    def __init__(
        self,
        *,
        kernel: KernelSymbols | None = None,
        binaries: FileCache | None = None,
        numbers_are_ours: bool = True,
    ) -> None:
        self._kernel, self._binaries = kernel, binaries or FileCache()
        self._numbers_are_ours = numbers_are_ours
        self._processes: dict[int, Process] = {}
        self._known: dict[int, KnownStack] = {}

    def __contains__(self, stack_id: int) -> bool:
        return stack_id in self._known

    @property
    def unnamed(self) -> int:
        """Stacks that tell less than they should: `why` says it."""
        return sum(bool(known.why) for known in self._known.values())

    def learn(self, stacks: Iterable[Stack]) -> list[KnownStack]:
        """Name the stacks that are new; returns these."""
        new = [stack for stack in stacks if stack.id not in self._known]
        found = [
            self._name_process_stack(stack) for stack in new if stack.space == "user"
        ]  # these die
        found += self._name_kernel_stacks([stack for stack in new if stack.space == "kernel"])
        self._known |= {known.stack.id: known for known in found}
        return found

    def get(self, stack_id: int) -> KnownStack | None:
        """The stack, None for one that was lost or is not known yet."""
        return self._known.get(stack_id)

    def names(self, stack_id: int) -> tuple[str, ...] | None:
        """What is shown of a stack: its frames from the innermost outwards; None: it was lost."""
        if stack_id == EMPTY_STACK:
            return ()
        known = self._known.get(stack_id)
        return None if known is None else known.names

    def prepare(self) -> KernelSymbols:
        """Read the kernel's symbols, which takes a tenth of a second."""
        if self._kernel is None:
            self._kernel = KernelSymbols.live()
        return self._kernel

    def _name_kernel_stacks(self, stacks: Sequence[Stack]) -> Iterable[KnownStack]:
        if not stacks:
            return
        kernel = self.prepare()
        frames = kernel.frames([stack.addresses for stack in stacks])
        for stack, found in zip(stacks, frames, strict=True):
            why = _RETURNING if _ends_at_once(found) else "" if kernel.available else _HIDDEN
            yield KnownStack(stack=stack, frames=drop_machinery(found), why=why)

    def _name_process_stack(self, stack: Stack) -> KnownStack:
        if not self._numbers_are_ours:
            bare = tuple(map(make_frame, stack.addresses))
            return KnownStack(stack=stack, frames=bare, why=_NAMESPACE)
        process = self._processes.setdefault(stack.pid, Process(stack.pid, self._binaries))
        frames = process.frames(stack.addresses)
        return KnownStack(stack=stack, frames=frames, why=process.why)


def _ends_at_once(frames: Sequence[Frame]) -> bool:
    return len(frames) == 1 and frames[0].symbol in _TRAMPOLINES
