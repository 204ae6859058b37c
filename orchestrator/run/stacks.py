"""The stacks of a run: named as soon as they are seen, and written once, before a record that shows
them."""

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.output.run_output import RunOutput
from orchestrator.run.startup import import_in_own_process
from orchestrator.symbols.frames import EMPTY_STACK, KnownStack, Stack

if TYPE_CHECKING:
    from orchestrator.symbols.book import StackBook  # numpy, and only with stacks

__all__ = ["Stacks", "make_stack_book"]

_FIRST_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_PAUSE_NS = 10_000_000  # between looks at all of them: as soon as it costs little
_SHARE = 20  # a look is at most this part of the time


class Read(Protocol):
    """Session.new_stacks."""

    def __call__(self, numbers: Collection[int] | None = None) -> Sequence[Stack]: ...


class Stacks:
    """Reads stacks with `read` (Session.new_stacks) and writes them to `output`."""

    def __init__(self, read: Read, output: RunOutput, *, expected: bool = False) -> None:
        """`expected`: the plan takes stacks, so that everything for them is loaded now."""
        self._read, self._output = read, output
        self._next_ns = 0
        self._book: StackBook | None = make_stack_book() if expected else None
        if self._book is not None:
            self._book.prepare()

    def close(self) -> None:
        """No more stacks follow. Idempotent."""
        if self._book is not None:
            self._book.close()

    def write_new_if_due(self) -> None:
        """Read new stacks from time to time, before the processes they are from have ended."""
        if time.monotonic_ns() >= self._next_ns:
            self.write_new()

    def write_new(self) -> None:
        """Name and write all new stacks."""
        began = time.monotonic_ns()
        new = self._read()
        took = time.monotonic_ns() - began
        self._next_ns = began + max(_PAUSE_NS, _SHARE * took)
        self._write(new)

    def write_shown(self, numbers: Collection[int]) -> None:
        """Name and write the new ones of these; records that show them follow."""
        new = {number for number in numbers if number > EMPTY_STACK and not self._knows(number)}
        if new:
            self._write(self._read(new))

    def _knows(self, number: int) -> bool:
        return self._book is not None and number in self._book

    def _write(self, new: Sequence[Stack]) -> None:
        if not new:
            return
        if self._book is None:
            self._book = make_stack_book()
        for known in self._book.learn(new):
            self._output.write_record("stack.named", **_stack_fields(known))

    def names(self, number: int) -> Sequence[str] | None:
        """The names of a stack by its number (None: it has not been read)."""
        if number == EMPTY_STACK:
            return ()
        return None if self._book is None else self._book.names(number)

    @property
    def unnamed(self) -> int:
        """The number of stacks that could not be named in full."""
        return 0 if self._book is None else self._book.unnamed


def make_stack_book() -> "StackBook":
    """An empty book, which names the stacks of processes in a child process."""
    import_in_own_process("numpy")
    from orchestrator.symbols.book import StackBook  # numpy, and only with stacks
    from orchestrator.symbols.isolated import IsolatedNames  # the same

    try:
        ours = str(Path("/proc/self/ns/pid").readlink()) == _FIRST_NAMESPACE
    except OSError:
        ours = False
    return StackBook(users=IsolatedNames(), numbers_are_ours=ours)


def _stack_fields(known: KnownStack) -> dict[str, Any]:
    """Of a stack record."""
    return {
        "id": f"{known.stack.id:016x}",
        "space": known.stack.space,
        "pid": known.stack.pid if known.stack.space == "user" else None,
        "names": list(known.names),
        "frames": [
            {
                "address": f"{frame.address:#x}",
                "symbol": frame.symbol,
                "offset": frame.offset,
                "module": frame.module,
                "build_id": frame.build_id,
            }
            for frame in known.frames
        ],
        "truncated": known.cut,
        "incomplete_because": known.why,
    }
