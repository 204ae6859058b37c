"""How many maps each program of a text uses: the kernel allows 64."""

import re
from collections.abc import Iterable

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.groups import ProgramGroup

__all__ = ["MOST_MAPS", "count_used_maps"]

MOST_MAPS = 64  # MAX_USED_MAPS, include/linux/bpf_verifier.h
_DEFINITION = re.compile(r"^PP_INLINE void (\w+)_work\(.*?^}$", re.MULTILINE | re.DOTALL)
_MAP = re.compile(r"PP_MAP\((\d+)\)")
_TAKERS = ("pp_stack(", "pp_shown_stack(", "pp_user_symbol(")
_STACKS = {layout.STACKS, layout.STACK_SCRATCH, layout.STACK_COUNTS}


def count_used_maps(text: str, groups: Iterable[ProgramGroup]) -> dict[ProgramGroup, int]:
    """The number of different maps of each group's program in the generated C."""
    used = {match[1]: _find_maps(match[0]) for match in _DEFINITION.finditer(text)}
    common = {layout.CONTROL, layout.LEDGER}  # of the function around the sides
    return {
        group: len(common.union(*(used.get(side.function, set()) for side in group.sides)))
        for group in groups
    }


def _find_maps(definition: str) -> set[int]:
    maps = {int(number) for number in _MAP.findall(definition)}
    takes_stacks = any(function in definition for function in _TAKERS)
    return maps | _STACKS if takes_stacks else maps
