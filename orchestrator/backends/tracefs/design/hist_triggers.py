"""Metrics that the kernel counts by hist triggers.

Source: Documentation/trace/histogram.rst. A table has at most three keys and three values, of which
one is used here, and from 2^7 to 2^17 entries (kernel/trace/tracing_map.h). Triggers ignore
set_event_pid and tracing_on: so our own threads are excluded by the trigger's filter, and a trigger
is armed by `continue`.
"""

from collections.abc import Iterable, Mapping

from orchestrator.backends.tracefs.design.filters import field_name_of
from orchestrator.backends.tracefs.design.layout import HistUse
from orchestrator.compile.expressions.nodes import Convert, Node, ShownAs
from orchestrator.compile.expressions.types import Bool, Int
from orchestrator.compile.program import MetricSpec, MetricUse

__all__ = ["hist_use", "table_bytes", "trigger_text"]

MOST_KEYS = 3
_LEAST_BITS, _MOST_BITS = 7, 17
_ENTRY_BYTES = 256  # upper bound: a tracing_map element with key, key copy and sums


def hist_use(
    spec: MetricSpec, use: MetricUse, source: int, names: Mapping[Node, str], condition: str | None
) -> HistUse | None:
    """How a hist trigger counts this metric; None where it cannot. `names` are the fields of
    the event by node, `condition` is the filter of what is to be counted."""
    if spec.kind not in ("count", "sum", "avg") or len(use.key) > MOST_KEYS or use.where:
        return None
    keys = [field_name_of(node, names) for node in use.key]
    value = None if use.value is None else _summed_field(use.value, names)
    known = [key for key in keys if key is not None]
    if len(known) != len(keys) or not known or (use.value is not None and value is None):
        return None
    bits = min(_MOST_BITS, max(_LEAST_BITS, (spec.keys - 1).bit_length()))
    return HistUse(
        metric=spec.index,
        source=source,
        keys=tuple(known),
        value=value,
        size=1 << bits,
        condition=condition,
    )


def _summed_field(value: Node, names: Mapping[Node, str]) -> str | None:
    """The field that a trigger sums; None where it cannot, or must not: sums are kept modulo 2^64,
    without a sign that one left them, so only values of at most 32 bits are left to it."""
    source = value
    while isinstance(source, Convert | ShownAs):
        source = source.value
    narrow = isinstance(source.type, Bool) or (
        isinstance(source.type, Int) and source.type.bits <= 32
    )
    return field_name_of(value, names) if narrow else None


def table_bytes(use: HistUse) -> int:
    """Bytes of the table. It is allocated in full, with twice as many slots as entries."""
    return use.size * (_ENTRY_BYTES + 2 * 16)


def trigger_text(use: HistUse, own: Iterable[str], state: str = "") -> str:
    """The trigger's text. `own` are threads to exclude; `state` is empty, `pause`, `continue`
    or `clear`."""
    value = f":vals={use.value}" if use.value else ""
    parts = [f"({use.condition})"] if use.condition else []
    parts += [f"common_pid != {tid}" for tid in own]
    condition = f" if {' && '.join(parts)}" if parts else ""
    switch = f":{state}" if state else ""
    return f"hist:keys={','.join(use.keys)}{value}:size={use.size}{switch}{condition}"
