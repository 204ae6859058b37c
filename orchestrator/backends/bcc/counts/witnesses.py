"""Events at perf tracepoints that the kernel kept from our program, as a second program saw them.

A witness is a raw tracepoint program at the same event, which counts and does nothing else. The
kernel passes over it only while it runs itself, and counts that (design/misses.py). Its counter is
a word of the element of the ledger that the program counts in, so that both are read together.
"""

from collections.abc import Mapping, Sequence

from orchestrator.backends.bcc.counts.reading import LedgerReader, sum_word
from orchestrator.backends.bcc.handles.attachment import AttachedSide
from orchestrator.kernel.abi import bpf

__all__ = ["Witnesses"]

#: An event that is between the two programs while we look has been seen by the witness alone. It is
#: gone at another look, and what was really missed is not.
_LOOKS = 16


class Witnesses:
    """What the witnesses of a session saw that its programs did not."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader
        #: By element: events between the attaching of the witness and of the program.
        self._before: dict[int, int] = {}

    def start(self, sides: Sequence[AttachedSide]) -> None:
        """Exclude what happened while programs were being attached: the witness comes first."""
        self._before = self._look(sides)

    def count_missed(self, sides: Sequence[AttachedSide]) -> Mapping[int, int]:
        """By the index of a side that has a witness, the events since `start` for which its program
        did not run."""
        unseen = self._look(sides)
        return {
            attached.side.index: max(unseen[element] - self._before.get(element, 0), 0)
            for attached in sides
            if (element := attached.witnessed_in) is not None
        }

    def _look(self, sides: Sequence[AttachedSide]) -> dict[int, int]:
        programs = {one.witnessed_in: one.witness for one in sides}
        return {
            element: self._count_unseen(element) + _count_passed_over(program)
            for element, program in programs.items()
            if element is not None and program is not None
        }

    def _count_unseen(self, element: int) -> int:
        word = self._reader.layout.ledger_word
        least: int | None = None
        for _ in range(_LOOKS):
            rows = self._reader.read_element(element)
            fired = sum_word(rows, word("entered")) + sum_word(rows, word("expired"))
            unseen = sum_word(rows, word("happened")) - fired
            least = unseen if least is None else min(least, unseen)
            if least <= self._before.get(element, 0):
                break
        return least or 0


def _count_passed_over(program: int) -> int:
    """How often the witness itself was skipped; 0 where the kernel has no such counter, since it
    then skips none."""
    return bpf.program_statistics(program).recursion_misses or 0
