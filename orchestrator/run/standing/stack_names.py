"""The names of stacks in the keys of metrics, as figures of different runs are compared by them.

Addresses differ with every process, and offsets in a function with every build; what remains is
which functions called each other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.backends.protocol import Session
from orchestrator.compile.program import STACK_FORMS, USER_STACK_FORMS, Program
from orchestrator.run.stacks import make_stack_book
from orchestrator.symbols.frames import EMPTY_STACK, Frame

if TYPE_CHECKING:
    from orchestrator.symbols.book import StackBook

__all__ = ["KeyStacks", "name_function"]

_UNKNOWN = "?"


class KeyStacks:
    """The stacks in the keys of a program's metrics and of what is outstanding, by number."""

    def __init__(self, program: Program) -> None:
        shown = (span.resource.shown for span in program.spans if span.resource is not None)
        forms = {part.form for spec in (*program.metrics, *shown) for part in spec.key}
        self.are_taken = bool(forms & STACK_FORMS)
        self.are_of_processes = bool(forms & USER_STACK_FORMS)
        self._book: StackBook | None = None
        self._names: dict[int, tuple[str, ...] | None] = {}
        if "kstack" in forms:  # its symbols take about 100 ms
            self._open_book().prepare()

    def learn_new(self, session: Session) -> None:
        """Name the stacks that are new. Those of a process that has ended get no names."""
        if not self.are_taken or not (new := session.new_stacks()):
            return
        for known in self._open_book().learn(new):
            names = tuple(name_function(frame) for frame in known.frames)
            self._names[known.stack.id] = None if known.why else names

    def _open_book(self) -> "StackBook":
        if self._book is None:
            self._book = make_stack_book()
        return self._book

    def names(self, number: int) -> Sequence[str] | None:
        """The functions of a stack, from the innermost outwards; None: it was lost, or has no
        names."""
        return () if number == EMPTY_STACK else self._names.get(number)

    def close(self) -> None:
        """No more stacks follow. Idempotent."""
        if self._book is not None:
            self._book.close()


def name_function(frame: Frame) -> str:
    """The function of a frame with its file or module, without the place in it: `main (app)`,
    `start_this_handle [jbd2]`, `vfs_read`; `?` where there is no symbol."""
    function, module = frame.symbol or _UNKNOWN, frame.module
    if module is None or module == "vmlinux":
        return function
    is_file = "/" in module or module.startswith("[")
    return f"{function} ({module.rpartition('/')[2]})" if is_file else f"{function} [{module}]"
