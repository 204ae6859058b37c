"""The maps of a session: created together, or none."""

import errno
import struct

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach import session_maps as module
from orchestrator.backends.bcc.attach.session_maps import close_maps, create_maps, fill_ledger
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.maps import MapSpec
from orchestrator.kernel.abi import perf
from orchestrator.plan.findings import HostError
from tests.support.bcc_maps import CPUS, fake_maps, recorded_program
from tests.support.recorded import recorded

PLAN = """
probes:
  p: {attach: "fexit:vfs_read", emit: {}, metrics: {low: {min: retval}}}
  out: {attach: "entry:vfs_write"}
  back: {attach: "fexit:vfs_write"}
spans:
  s: {start: out, end: back, key: [tid], metrics: {long: {max: elapsed}, short: {min: elapsed}}}
"""


class Created:
    """A map that writes down its end."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self.name, self.closed = name, closed

    def close(self) -> None:
        self.closed.append(self.name)


def test_a_map_that_is_refused_takes_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ring comes last; the finding names the map and the kernel's reason."""
    closed: list[str] = []

    def create(spec: MapSpec) -> Created:
        if spec.kind == "ringbuf":
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return Created(spec.name, closed)

    monkeypatch.setattr(module, "create_map", create)
    detail = backend("bcc").emit(recorded_program(PLAN), recorded("6.1")).detail
    with pytest.raises(HostError, match=r"map pp_ring: Cannot allocate memory"):
        create_maps(detail)
    assert sorted(closed) == sorted(spec.name for spec in detail.maps.values())


def test_closed_maps_are_forgotten() -> None:
    """So that nothing is closed twice."""
    closed: list[str] = []
    maps = {1: Created("a", closed), 2: Created("b", closed)}
    close_maps(maps)  # type: ignore[arg-type]
    close_maps(maps)  # type: ignore[arg-type]
    assert closed == ["a", "b"]


def test_extremes_of_sides_and_spans_have_their_first_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On every CPU: a signed minimum, and an unsigned maximum and minimum."""
    monkeypatch.setattr(perf, "possible_cpus", lambda: CPUS)
    map_layout, maps = fake_maps(recorded_program(PLAN))
    fill_ledger(map_layout, maps)  # type: ignore[arg-type]

    def starts(element: int, uses: int) -> list[list[int]]:
        ledger = maps[layout.LEDGER]
        words = [
            struct.unpack(f"={len(slot) // 8}Q", slot)
            for slot in ledger.slots(ledger.contents[struct.pack("=I", element)])
        ]
        places = [map_layout.metric_word(use, "value") for use in range(uses)]
        return [[cpu[place] for place in places] for cpu in words]

    assert starts(0, 1) == [[(1 << 63) - 1]] * CPUS
    assert starts(map_layout.span_element(0), 2) == [[0, (1 << 64) - 1]] * CPUS
