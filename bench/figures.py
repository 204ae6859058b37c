"""What a benchmark finds: figures with their samples, the peer's samples, and the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

__all__ = ["Figure", "Target", "Verdict"]

Verdict = Literal["pass", "miss", "none", "untargeted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`ours / theirs` (without a peer: `ours`) is to be at least, or at most, `bound`."""

    at: Literal["least", "most"]
    bound: float

    def met(self, value: float) -> bool:
        """Whether `value` meets the target."""
        return value >= self.bound if self.at == "least" else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at == 'least' else '≤'} {self.bound:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. `ours` and `theirs` are samples, one per round, taken in turns; the
    figure is their median. `theirs` is empty without a peer."""

    name: str
    unit: str
    ours: Sequence[float]
    peer: str = ""
    theirs: Sequence[float] = ()
    target: Target | None = None

    @property
    def value(self) -> float:
        """Ours."""
        return median(self.ours)

    @property
    def peers_value(self) -> float | None:
        """The peer's."""
        return median(self.theirs) if self.theirs else None

    @property
    def ratio(self) -> float | None:
        """Ours divided by theirs; None without a peer, or if the peer's is 0."""
        theirs = self.peers_value
        return self.value / theirs if theirs is not None and theirs > 0 else None

    @property
    def verdict(self) -> Verdict:
        """pass or miss; none: no ratio although one was wanted; untargeted: there is no target."""
        if self.target is None:
            return "untargeted"
        judged = self.ratio if self.theirs else self.value
        if judged is None:
            return "none"
        return "pass" if self.target.met(judged) else "miss"

    def fields(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.value,
            "peer": self.peer or None,
            "theirs": self.peers_value,
            "ratio": self.ratio,
            "target": None if self.target is None else str(self.target),
            "verdict": self.verdict,
            "samples": {"ours": list(self.ours), "theirs": list(self.theirs)},
        }
