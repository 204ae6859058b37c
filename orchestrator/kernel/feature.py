"""One thing that a kernel offers or not."""

from dataclasses import dataclass

from orchestrator.kernel.answer import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """`detail` says how it was found out and, where the answer is no, what would cure it."""

    state: Answer
    detail: str

    def __bool__(self) -> bool:
        """True for a yes alone: what is unknown is not relied upon."""
        return self.state == "yes"


def yes(detail: str) -> Feature:
    return Feature(state="yes", detail=detail)


def no(detail: str) -> Feature:
    return Feature(state="no", detail=detail)


def unknown(detail: str) -> Feature:
    return Feature(state="unknown", detail=detail)
