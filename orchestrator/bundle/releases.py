"""Which of two releases of probeplan is the newer one."""

import re

__all__ = ["is_newer_release"]

#: Of version specifiers (PEP 440) what probeplan's releases use.
_RELEASE = re.compile(
    r"(?P<numbers>\d{1,9}(?:\.\d{1,9})*)(?:\.?(?P<stage>dev|a|b|rc)(?P<turn>\d{1,9}))?"
)
_STAGES = ("dev", "a", "b", "rc", None)


def is_newer_release(one: str, other: str) -> bool:
    """Whether the release `one` came after `other`; False where either is no release."""
    first, second = _order(one), _order(other)
    return first is not None and second is not None and first > second


def _order(release: str) -> tuple[tuple[int, ...], int, int] | None:
    found = _RELEASE.match(release)
    if found is None:
        return None
    numbers = [int(number) for number in found["numbers"].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()  # 1.0 is 1.0.0
    return tuple(numbers), _STAGES.index(found["stage"]), int(found["turn"] or 0)
