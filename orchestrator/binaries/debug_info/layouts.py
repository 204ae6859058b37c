"""Whether two structures are laid out in the same way."""

from typing import Any

from orchestrator.binaries.debug_info.entries import (
    EntryBudget,
    describe_type,
    members_of,
    target_of,
    text_of,
)

__all__ = ["layout_of"]

_MOST_MEMBERS = 20_000  # of a structure and all that are in it


def layout_of(struct: Any) -> object:
    """A value that two structures share if a plan reads the same in both: sizes, and offsets and
    types of members; of what pointers lead to, the names. Raises TooLargeError."""
    return _describe_struct(struct, EntryBudget(_MOST_MEMBERS))


def _describe_struct(struct: Any, budget: EntryBudget) -> object:
    members = []
    for member in members_of(struct):
        budget.take()
        what = _describe_member(member.type, budget)
        members.append((member.name, member.bit_offset, member.bit_size, what))
    return describe_type(struct).size, tuple(members)


def _describe_member(kind: Any, budget: EntryBudget) -> object:
    known = describe_type(kind)
    match known.kind:
        case "struct" | "union":
            return known, _describe_struct(kind, budget)
        case "array":
            budget.take()
            return known, _describe_member(target_of(kind), budget)
        case "pointer":
            target = target_of(kind)
            return known, "" if target is None else text_of(target, "DW_AT_name")
        case _:
            return known
