"""Numbers of the host that the C text leaves open: one text serves all hosts of its shape.

The text names a slot (`PP_NUMBER(2)`); which number is in it, the artifact says. Slots are numbered
in the order in which the text uses them, so that hosts that differ in these numbers alone have the
same text, comments aside. compiler/places.py finds where the slots are in the instructions.
"""

from orchestrator.backends.protocol import OpenNumber

__all__ = ["MOST_SLOTS", "OpenNumbers"]

MOST_SLOTS = 2048  # further numbers are written out: PP_OPEN_BELOW in headers, probeplan/prelude.h


class OpenNumbers:
    """The slots of one text. Two uses share a slot if their name and their number are the same."""

    def __init__(self, *, literal: bool = False) -> None:
        """`literal`: leave nothing open."""
        self._slots: dict[OpenNumber, int] = {}
        self._most = 0 if literal else MOST_SLOTS

    def list_numbers(self) -> tuple[OpenNumber, ...]:
        """The numbers, by slot."""
        return tuple(self._slots)

    def number(self, name: str, value: int) -> str:
        """A C expression of type u64: `value`, from 0 to 2^64 - 1, called `name` for people."""
        slot = self._find_slot(name, value)
        return f"{value}ULL" if slot is None else f"PP_NUMBER({slot})"

    def member(self, base: str, name: str, offset: int) -> str:
        """A C expression of type u64: the address `offset` bytes after `base`, where the member
        `name` is. A member without a name gets no slot."""
        slot = self._find_slot(name, offset) if name else None
        return f"({base} + {offset}ULL)" if slot is None else f"PP_MEMBER({base}, {slot})"

    def record(self, kind: str, name: str, offset: int) -> str:
        """A C expression of type `kind`, u8 to u64: what is `offset` bytes into the context."""
        slot = self._find_slot(name, offset)
        return (
            f"*({kind} *)((char *)ctx + {offset})" if slot is None else f"PP_RECORD({kind}, {slot})"
        )

    def offset(self, name: str, offset: int) -> str:
        """The same as a constant for PP_AT and PP_OFFSET, of type u32."""
        slot = self._find_slot(name, offset)
        return f"{offset}U" if slot is None else f"PP_SLOT({slot})"

    def _find_slot(self, name: str, value: int) -> int | None:
        number = OpenNumber(name=name, value=value)
        if number not in self._slots and len(self._slots) >= self._most:
            return None
        return self._slots.setdefault(number, len(self._slots))
