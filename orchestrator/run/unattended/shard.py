"""Which hosts are in the first so many percent of a fleet, without anything that knows them all.

Each host has a number of 64 bits for each plan and label: the first eight bytes, big-endian, of
SHA-256 over the host's id, the plan's name and the label, with a zero byte after each. It is in a
shard of P % if the number is below P % of 2^64. So a larger percentage only adds hosts, and other
hosts come first for another plan or label.
"""

import hashlib
from fractions import Fraction

from orchestrator.accounting.count import UNKNOWN
from orchestrator.values import dataclass

__all__ = ["Shard", "explain_exclusion", "read_shard"]

_BYTES = 8
_DIGITS = frozenset("0123456789.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A part of all hosts: `text` as it was given, `part` from 0 to 1, exactly."""

    text: str
    part: Fraction


def read_shard(text: str) -> Shard:
    """The shard of a percentage such as `5%` or `0.5%`, from 0 % to 100 %. Raises ValueError, whose
    text says what is wrong."""
    number = text.removesuffix("%")
    try:
        percent = Fraction(number) if number != text and set(number) <= _DIGITS else None
    except ValueError:
        percent = None
    if percent is None or percent > 100:
        raise ValueError(f"{text!r} is no percentage from 0% to 100%: write 5% or 0.5%")
    return Shard(text=text, part=percent / 100)


def explain_exclusion(shard: Shard, host_id: str, plan: str, label: str | None) -> str | None:
    """Why the host `host_id` is not in the shard for the plan with this name, run with this label;
    None: it is. A host without an id ("unknown") is in no shard."""
    if host_id == UNKNOWN:
        return "this host has no machine id (/etc/machine-id), so it is in no shard"
    if _draw_number(host_id, plan, label or "") < shard.part * (1 << 8 * _BYTES):
        return None
    return f"this host is not in the shard of {shard.text}"


def _draw_number(*names: str) -> int:
    text = "".join(f"{name}\0" for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:_BYTES], "big")
