"""Stacks as the kernel gave them, and their frames with names."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from orchestrator.values import dataclass

__all__ = ["EMPTY_STACK", "LOST_STACK", "Frame", "KernelFunction", "KnownStack", "Stack"]
__all__ += ["make_frame"]

StackSpace = Literal["kernel", "user"]

#: Ids of a stack that could not be taken, and of one without frames; neither is in the map.
LOST_STACK, EMPTY_STACK = 0, 1


class KernelFunction(NamedTuple):
    """A function of the kernel, or of one of its modules. `module` as in Frame."""

    symbol: str
    module: str = "vmlinux"


class Frame(NamedTuple):
    """One address of a stack. `name` is what records show: `vfs_read+0x1a`,
    `start_this_handle+0x5c [jbd2]`, `main+0x2f (app)`, the bare address where there is no symbol.
    `offset` counts from the symbol's start; `module` is "vmlinux", a kernel module's name, or a
    file's path as the process has it mapped, None when it is unknown; `build_id` is hexadecimal."""

    address: int
    name: str
    symbol: str | None
    offset: int
    module: str | None
    build_id: str | None


def make_frame(
    address: int,
    symbol: str | None = None,
    offset: int = 0,
    module: str | None = None,
    build_id: str | None = None,
) -> Frame:
    """A frame with its name."""
    name = f"{symbol}+{offset:#x}" if symbol else f"{address:#x}"
    if module is not None and module != "vmlinux":
        is_file = "/" in module or module.startswith("[")
        name += f" ({module.rpartition('/')[2]})" if is_file else f" [{module}]"
    return Frame(address, name, symbol, offset, module, build_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack as it was taken: addresses from the innermost outwards. `pid` is the process of a
    user stack, 0 of a kernel stack; `cut`: it filled the buffer, and may continue; `shown`: the
    most frames that the plan wants (0: all), of which the way to the program is none; `probed`: the
    function whose trampoline called the program that took it, which may be missing among the
    addresses (None: it was taken otherwise)."""

    id: int
    space: StackSpace
    pid: int
    addresses: tuple[int, ...]
    cut: bool = False
    shown: int = 0
    probed: KernelFunction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStack:
    """A stack with its frames. `why`: the reason why names are missing, "" when none are."""

    stack: Stack
    frames: Sequence[Frame]
    why: str = ""

    @property
    def cut(self) -> bool:
        """Whether the stack has more frames, or may have."""
        return self.stack.cut or (0 < self.stack.shown <= len(self.frames))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that records and keys show."""
        return tuple(frame.name for frame in self.frames)
