"""Where the events of one side of one hook went, as user space booked them."""

from orchestrator.values import dataclass

__all__ = ["SideTally"]


@dataclass(slots=True)
class SideTally:
    """Events by what became of them; each event is in exactly one of the counts."""

    expired: int = 0
    not_target: int = 0
    filtered: int = 0
    sampled_out: int = 0
    unpaired: int = 0
    map_full: int = 0
    too_deep: int = 0
    accepted: int = 0

    @property
    def read(self) -> int:
        """All events, whatever became of them."""
        return (
            self.expired
            + self.not_target
            + self.filtered
            + self.sampled_out
            + self.unpaired
            + self.map_full
            + self.too_deep
            + self.accepted
        )
