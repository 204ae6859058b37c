"""What a hit of each program costs by the way it is attached, measured at first use on a host."""

from collections.abc import Mapping, Sequence

from orchestrator.backends.bcc.design.groups import WITNESS_PRICE, ProgramGroup, price_kind
from orchestrator.backends.prices import Price, look_up_prices

__all__ = ["read_prices"]


def read_prices(groups: Sequence[ProgramGroup]) -> Mapping[str, Price]:
    """The price of each way that `groups` are attached by, as named in backends/prices.py."""
    kinds = {price_kind(group) for group in groups}
    kinds |= {WITNESS_PRICE for group in groups if group.witness}
    return look_up_prices(kinds, _measure)


def _measure(kind: str) -> tuple[float, float] | None:
    # costs start-up time, and is needed only at first use on a host
    from orchestrator.backends.bcc.attach.calibration import measure_price

    return measure_price(kind)
