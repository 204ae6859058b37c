"""The words by which user space steers programs."""

import pytest

from orchestrator.backends.bcc.attach.control import ControlElement
from orchestrator.backends.bcc.design import layout
from orchestrator.compile.program import Program
from tests.support.bcc_maps import MemoryMap, recorded_program

PLAN = "limits: {{probes: 100, events: 5, at_cap: {}}}\nprobes:\n" + "".join(
    f"  p{i}: {{{{attach: 'rawtracepoint:sched_switch', emit: {{{{}}}}}}}}\n" for i in range(70)
)


class Steered:
    """A control element over ordinary memory."""

    def __init__(self, program: Program) -> None:
        self.layout = layout.MapLayout(program)
        self.control = MemoryMap(self.layout.control_bytes)
        self.shared = MemoryMap(self.layout.shared_bytes)
        self.element = ControlElement(self.layout, self.control, self.shared)  # type: ignore[arg-type]

    def enabled(self) -> set[int]:
        """The probes whose bit is set."""
        bits = self.control.word(0) | self.control.word(1) << 64
        return {probe for probe in range(128) if bits >> probe & 1}

    def emit(self, records: int) -> None:
        self.shared.put(self.layout.emitted_line(None) * layout.LINE_WORDS, records)


@pytest.fixture
def steered() -> Steered:
    return Steered(recorded_program(PLAN.format("stop")))


def test_nothing_is_enabled_before_it_is_armed(steered: Steered) -> None:
    """Neither by a deadline nor by resuming a probe."""
    steered.element.extend(10**9)
    steered.element.resume([3])
    assert steered.enabled() == set()
    assert not steered.element.is_armed()


def test_arming_enables_all_probes_until_the_deadline(steered: Steered) -> None:
    steered.element.arm(123)
    assert steered.enabled() == set(range(70))
    assert steered.control.word(steered.layout.plan_word("deadline")) == 123


def test_paused_probes_come_back_and_removed_ones_do_not(steered: Steered) -> None:
    steered.element.arm(123)
    steered.element.pause([1, 64])
    assert set(steered.element.remove(65)) == {65}
    assert steered.enabled() == set(range(70)) - {1, 64, 65}
    steered.element.resume([1, 65])
    assert steered.enabled() == set(range(70)) - {64, 65}


def test_a_lease_that_ran_out_is_renewed(steered: Steered) -> None:
    """Programs disarm themselves at the deadline; a later one enables what was enabled."""
    steered.element.arm(123)
    steered.element.pause([0])
    for word in range(2):
        steered.control.put(word, 0)
    steered.element.extend(456)
    assert steered.enabled() == set(range(1, 70))


@pytest.mark.parametrize("at_cap", ["stop", "mute"])
def test_a_plan_that_stops_at_its_cap_is_not_enabled_again(at_cap: str) -> None:
    """One that goes on counting at its cap is."""
    steered = Steered(recorded_program(PLAN.format(at_cap)))
    steered.element.arm(123)
    steered.emit(5)
    assert steered.element.is_capped()
    for word in range(2):
        steered.control.put(word, 0)
    steered.element.extend(456)
    assert bool(steered.enabled()) == (at_cap == "mute")


def test_after_its_release_it_is_as_it_was_last_seen(steered: Steered) -> None:
    """Disarming then touches no memory that is gone."""
    steered.element.arm(123)
    steered.emit(5)
    assert steered.element.is_capped()
    steered.element.release()
    steered.element.release()
    steered.element.disarm()
    assert steered.element.is_capped()
    assert not steered.element.is_armed()


def test_disarming_disables_all_at_once(steered: Steered) -> None:
    steered.element.arm(123)
    steered.element.disarm()
    assert steered.enabled() == set()


def test_sampling_is_a_word_a_probe(steered: Steered) -> None:
    steered.element.set_sampling(7, 100)
    assert steered.control.word(steered.layout.probe_word(7, "sample")) == 100
    assert steered.control.word(steered.layout.probe_word(8, "sample")) == 0
