"""One feature of a kernel."""

from orchestrator.kernel.answer import Answer
from orchestrator.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """Whether a kernel has a feature; `detail` says how it was detected and, where the answer is
    no, how to get it."""

    state: Answer
    detail: str

    def __bool__(self) -> bool:
        """True for "yes" only: what is unknown is not relied upon."""
        return self.state == "yes"


def yes(detail: str) -> Feature:
    """The kernel has it."""
    return Feature(state="yes", detail=detail)


def no(detail: str) -> Feature:
    """The kernel does not have it."""
    return Feature(state="no", detail=detail)


def unknown(detail: str) -> Feature:
    """It cannot be known."""
    return Feature(state="unknown", detail=detail)
