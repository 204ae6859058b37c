"""The maps of a session: created together, and filled before anything is attached."""

import struct
from collections.abc import Mapping

from orchestrator.backends.bcc.attach import seed
from orchestrator.backends.bcc.design import layout, memory
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.bcc.handles.maps import Map, create_map
from orchestrator.kernel.abi import perf
from orchestrator.plan.findings import Finding, HostError

__all__ = ["close_maps", "create_maps", "fill_ledger"]


def create_maps(detail: BccDetail) -> dict[int, Map]:
    """All maps of an artifact by placeholder, with the ring. None is left behind by a failure.
    Raises HostError."""
    specs = dict(detail.maps)
    if detail.ring_bytes:
        specs[layout.RING] = memory.ring_spec(detail.ring_bytes)
    maps: dict[int, Map] = {}
    for placeholder, spec in specs.items():
        try:
            maps[placeholder] = create_map(spec)
        except OSError as error:
            close_maps(maps)
            message = f"the kernel refused map {spec.name}: {error.strerror}"
            raise HostError([Finding(code="PP089", message=message)]) from None
    return maps


def close_maps(maps: dict[int, Map]) -> None:
    """Close and forget all; a map that a program still uses is freed with the program."""
    for created in maps.values():
        created.close()
    maps.clear()


def fill_ledger(map_layout: layout.MapLayout, maps: Mapping[int, Map]) -> None:
    """Write the first contents of the ledger, by element."""
    ledger, cpus = maps[layout.LEDGER], perf.possible_cpus()
    of_notes = map(map_layout.note_element, range(len(map_layout.program.notes)))
    for index in (map_layout.children_element, *of_notes):
        ledger.update(struct.pack("=I", index), bytes(ledger.value_bytes))
    for side in map_layout.sides:
        element = seed.ledger_element(map_layout, side, cpus)
        ledger.update(struct.pack("=I", side.index), element)
    for span in map_layout.program.spans:
        element = seed.span_element(map_layout, span, cpus)
        ledger.update(struct.pack("=I", map_layout.span_element(span.index)), element)
