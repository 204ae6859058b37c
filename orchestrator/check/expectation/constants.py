"""Constants in expectations: UPPER_CASE names that mean a number, such as SYS_fsync and ENOENT.

A check is read where no kernel is at hand, so that only the shipped tables count, and not the
enumerators of a kernel.
"""

from collections.abc import Mapping

from orchestrator.plan.expression.names import CONSTANT
from orchestrator.plan.nearest import suggest_name

__all__ = ["constants_of", "explain_unknown_constant", "is_constant_name"]


def is_constant_name(name: str) -> bool:
    """Whether a name has the form of a constant."""
    return CONSTANT.fullmatch(name) is not None


def constants_of(arch: str) -> Mapping[str, int]:
    """The constants by name, as on `arch` (uname's word)."""
    from orchestrator.kernel.constants import constants_on  # only for expectations that name some
    from orchestrator.kernel.syscalls import syscall_numbers

    return {**constants_on(arch), **syscall_numbers(arch)}


def explain_unknown_constant(name: str) -> str | None:
    """A hint for a constant that no architecture has; None for one that some architecture has."""
    from orchestrator.kernel.syscalls import SYSCALL_ARCHITECTURES

    known = {name for arch in SYSCALL_ARCHITECTURES for name in constants_of(arch)}
    if name in known:
        return None
    return suggest_name(name, known, "write the number; a check knows no enumerators of kernels")
