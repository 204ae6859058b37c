"""Counters of the ledger become accounts, with what the kernel counted by itself."""

from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.accounting.count import UNKNOWN, Count
from orchestrator.backends.bcc.counts import kernel_counts
from orchestrator.backends.bcc.counts.counting import Accounts
from orchestrator.backends.bcc.counts.reading import LedgerReader
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.attachment import AttachedSide, Attachment
from orchestrator.backends.protocol import SideCounts
from orchestrator.kernel.abi import bpf, bpf_links, dynamic_events
from orchestrator.kernel.abi.bpf import ProgramStatistics
from orchestrator.kernel.abi.dynamic_events import Hits
from tests.support.bcc_maps import FakeMap, fake_maps, recorded_program

PLAN = """
probes:
  p: {attach: "function:vfs_read", emit: {took: elapsed}, metrics: {n: {count: true}}}
  out: {attach: "entry:vfs_write"}
  back: {attach: "fexit:vfs_write"}
spans:
  s: {start: out, end: back, key: [tid], metrics: {n: {count: true}}}
"""


class Booked:
    """The accounts of PLAN over a ledger of ordinary memory."""

    def __init__(self, plan: str = PLAN) -> None:
        self.layout, maps = fake_maps(recorded_program(plan))
        self.ledger: FakeMap = maps[layout.LEDGER]
        reader = LedgerReader(self.layout, self.ledger)  # type: ignore[arg-type]
        self.open: int | None = None
        self.accounts = Accounts(self.layout, reader, lambda _span: self.open)

    def count(self, element: int, cpu: int = 0, **counters: int) -> None:
        """Counters of one element of the ledger on one CPU."""
        words = {self.layout.ledger_word(name): n for name, n in counters.items()}
        self.ledger.put_words(element, words, cpu)

    def side(self, index: int, attached: list[AttachedSide] | None = None) -> SideCounts:
        return self.accounts.counts(attached or []).sides[index]


@pytest.fixture
def booked() -> Booked:
    return Booked()


@pytest.fixture
def hits(monkeypatch: pytest.MonkeyPatch) -> dict[str, Hits]:
    """The kernel's hits by event; no program was passed over."""
    made: dict[str, Hits] = {}
    statistics = ProgramStatistics(run_time_ns=None, run_count=None, recursion_misses=3)
    monkeypatch.setattr(dynamic_events, "read_profile", lambda _names: dict(made))
    monkeypatch.setattr(bpf, "program_statistics", lambda _fd: statistics)
    return made


def attached(
    booked: Booked, index: int, mechanism: str = "dynamic event", fds: Sequence[int] = ()
) -> AttachedSide:
    """A side that is attached, to the event pp_0 if that is dynamic."""
    events: Any = ("probeplan/pp_0",) if mechanism == "dynamic event" else ()
    attachment = Attachment(mechanism=mechanism, place="x", events=events, fds=list(fds))
    return AttachedSide(side=booked.layout.sides[index], program=9, attachment=attachment)


def test_counters_are_added_over_cpus(booked: Booked) -> None:
    """Fired is what entered and what had expired; late events are expired too."""
    booked.count(0, entered=10, expired=2, late=1, filtered=3, accepted=6)
    booked.count(0, cpu=1, entered=5, accepted=5)
    side = booked.side(0)
    assert (side.fired, side.expired, side.filtered, side.accepted) == (17, 3, 3, 11)


def test_what_fired_before_the_start_is_left_out(booked: Booked) -> None:
    """While programs are being attached they run disarmed, and only expire."""
    booked.count(0, expired=7)
    booked.accounts.start([])
    booked.count(0, expired=9, entered=4, accepted=4)
    side = booked.side(0)
    assert (side.fired, side.expired, side.accepted) == (6, 2, 4)


def test_calls_are_in_flight_until_their_return_is_judged(booked: Booked) -> None:
    """Of 10 accepted entries 7 returned: 2 were filtered there and 5 accepted."""
    booked.count(0, entered=10, accepted=10)
    booked.count(1, entered=7, filtered=2, accepted=5)
    assert booked.side(0).in_flight == 3
    assert booked.side(1).in_flight == 0


def test_calls_that_are_known_not_to_return_are_not_in_flight(booked: Booked) -> None:
    booked.count(0, entered=10, accepted=10, abandoned=1, execed=2, exited=3)
    booked.count(1, entered=1, accepted=1)
    side = booked.side(0)
    assert (side.abandoned, side.execed, side.exited, side.in_flight) == (1, 2, 3, 3)


def test_a_kernel_function_that_was_left_was_missed_at_its_return(
    booked: Booked, hits: dict[str, Hits]
) -> None:
    """Kernel code does not jump out of functions. The kernel may have counted the same miss."""
    sides = [attached(booked, 1)]
    booked.count(0, entered=5, accepted=5, abandoned=2)
    booked.count(1, entered=3, accepted=3)
    assert booked.side(1).kernel_missed == 2
    for misses, missed in ((0, 2), (1, 2), (4, 4)):
        hits["pp_0"] = Hits(hits=3, misses=misses)
        assert booked.side(1, sides).kernel_missed == missed


USER = """
probes:
  p: {attach: "ufunction:libc.so.6:getenv", emit: {took: elapsed}}
  r: {attach: "uretprobe:libc.so.6:getenv", emit: {}}
"""


def test_calls_of_a_user_function_without_a_return_are_no_misses(hits: dict[str, Hits]) -> None:
    """The kernel counts a hit of the return event at the entry, also of a call that is filtered
    there, and of one that is open."""
    booked = Booked(USER)
    sides = [attached(booked, 1)]
    booked.count(0, entered=10, accepted=4, filtered=6)
    booked.count(1, entered=3, accepted=1, unpaired=2)
    hits["pp_0"] = Hits(hits=10, misses=None)
    assert booked.side(1, sides).kernel_missed == 0
    assert booked.side(0).in_flight == 3
    hits["pp_0"] = Hits(hits=12, misses=None)
    assert booked.side(1, sides).kernel_missed == 2


def test_where_returns_alone_are_probed_calls_without_one_are_in_flight(
    hits: dict[str, Hits],
) -> None:
    """Unless calls were nested so deep that the kernel may not have shown their returns."""
    booked = Booked(USER)
    sides = [attached(booked, 2)]
    booked.count(2, entered=3, accepted=3)
    hits["pp_0"] = Hits(hits=5, misses=None)
    side = booked.side(2, sides)
    assert (side.kernel_missed, side.in_flight) == (0, 2)
    booked.count(2, entered=3, accepted=3, at_bound=1)
    assert booked.side(2, sides).kernel_missed == UNKNOWN
    hits["pp_0"] = Hits(hits=3, misses=None)
    assert booked.side(2, sides).kernel_missed == 0


def test_hits_without_a_run_are_missed(booked: Booked, hits: dict[str, Hits]) -> None:
    """And misses of the probe itself; but not those from before the start, when the event had
    no program yet."""
    sides = [attached(booked, 0)]
    booked.count(0, expired=1)
    hits["pp_0"] = Hits(hits=5, misses=0)
    booked.accounts.start(sides)
    booked.count(0, expired=1, entered=10, accepted=10)
    hits["pp_0"] = Hits(hits=17, misses=4)
    side = booked.side(0, sides)
    assert side.kernel_missed == (17 - 4 - 11) + 4
    assert side.recursion_misses == 3


def test_accounts_that_begin_again_leave_out_all_from_before(
    booked: Booked, hits: dict[str, Hits]
) -> None:
    """Hits, misses of the probe, recursion, and open spans that were forgotten."""
    sides = [attached(booked, 0)]
    booked.accounts.start(sides)
    booked.count(0, entered=7, accepted=7)
    booked.accounts.forgotten[0] = 2
    hits["pp_0"] = Hits(hits=9, misses=4)
    assert booked.side(0, sides).kernel_missed == (9 - 7) + 4
    booked.count(0, entered=0, accepted=0)
    booked.accounts.forget()
    booked.accounts.start(sides)
    before = booked.side(0, sides)
    assert (before.fired, before.kernel_missed, before.recursion_misses) == (0, 0, 0)
    assert booked.accounts.forgotten == [0]
    booked.count(0, entered=5, accepted=5)
    hits["pp_0"] = Hits(hits=15, misses=5)
    assert booked.side(0, sides).kernel_missed == (15 - 9 - 5) + (5 - 4)


def test_where_hits_are_not_counted_misses_are_unknown(
    booked: Booked, hits: dict[str, Hits]
) -> None:
    """Except where being passed over is the only way to miss an event."""
    assert booked.side(0, [attached(booked, 0, "kprobe PMU")]).kernel_missed == UNKNOWN
    assert booked.side(0, [attached(booked, 0, "fentry")]).kernel_missed == 3
    assert booked.side(0, [attached(booked, 0)]).kernel_missed == UNKNOWN
    assert booked.side(0).kernel_missed == UNKNOWN


def test_places_of_a_link_have_missed_nothing_or_an_unknown_part(
    booked: Booked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel counts the misses of all places of a link, and of their program, together; before
    6.7 not those of the link. Those from before a new start do not count."""
    missed: list[int | None] = [0]
    skipped = [0]
    monkeypatch.setattr(bpf_links, "read_missed", lambda _link: missed[-1])
    monkeypatch.setattr(kernel_counts, "_read_recursion_misses", lambda _program: skipped[-1])
    function = attached(booked, 0, "kprobe multi", fds=[5])
    place = attached(booked, 0, "uprobe multi", fds=[6])

    def missed_at(side: AttachedSide) -> tuple[Count, Count]:
        counts = booked.side(0, [side])
        return counts.kernel_missed, counts.recursion_misses

    assert missed_at(function) == missed_at(place) == (0, 0)
    missed.append(2)
    assert (missed_at(function), missed_at(place)) == ((UNKNOWN, 0), (0, 0))
    missed.append(None)
    assert missed_at(function) == (UNKNOWN, 0)
    missed.append(2)
    booked.accounts.forget()
    booked.accounts.start([function])
    assert missed_at(function) == (0, 0)
    skipped.append(3)
    assert missed_at(function) == missed_at(place) == (UNKNOWN, UNKNOWN)


def test_a_side_that_left_keeps_what_the_kernel_counted(
    booked: Booked, hits: dict[str, Hits]
) -> None:
    sides = [attached(booked, 0)]
    hits["pp_0"] = Hits(hits=8, misses=0)
    booked.count(0, entered=6, accepted=6)
    booked.accounts.leave(sides)
    hits.clear()
    assert (booked.side(0).kernel_missed, booked.side(0).recursion_misses) == (2, 3)


def test_records_of_a_probe_are_counted_at_its_returns(booked: Booked) -> None:
    """The entry makes none."""
    booked.count(0, accepted=9, recorded=1000)
    booked.count(1, accepted=9, rate_limited=1, over_cap=2, ring_lost=3, recorded=3)
    [emit] = booked.accounts.counts([]).emits
    assert (emit.rate_limited, emit.over_cap, emit.ring_lost, emit.recorded) == (1, 2, 3, 3)


def test_a_span_is_in_flight_by_its_fates_until_it_can_be_counted(booked: Booked) -> None:
    """10 started, 4 ended, 1 cancelled, 1 replaced; open spans that user space forgot count as
    cancelled. At the end the map itself says how many are open."""
    element = booked.layout.span_element(0)
    booked.count(element, started=10, ended=4, cancelled=1, replaced=1)
    booked.accounts.forgotten[0] = 2
    [span] = booked.accounts.counts([]).spans
    assert (span.cancelled, span.in_flight) == (3, 2)
    booked.open = 1
    assert booked.accounts.counts([]).spans[0].in_flight == 1


def test_a_metric_that_counts_every_event_has_its_count_from_accepted(booked: Booked) -> None:
    booked.count(1, accepted=12)
    booked.count(booked.layout.span_element(0), accepted=5)
    metrics = {counts.metric: counts for counts in booked.accounts.counts([]).metrics}
    assert sorted(counts.counted for counts in metrics.values()) == [5, 12]


def test_faults_of_all_elements_are_added_but_lost_children_are_not(booked: Booked) -> None:
    booked.count(0, faulted=1)
    booked.count(booked.layout.span_element(0), faulted=2)
    booked.count(booked.layout.children_element, map_full=4, faulted=100)
    counts = booked.accounts.counts([])
    assert (counts.faulted, counts.children_lost) == (3, 4)


def test_after_the_finish_nothing_changes(booked: Booked) -> None:
    booked.count(0, entered=1, accepted=1)
    booked.accounts.finish([])
    booked.count(0, entered=2, accepted=2)
    assert booked.side(0).fired == 1
