"""Stacks are read once."""

import struct

import pytest

from orchestrator.backends.bcc.counts.stacks import StackReader
from orchestrator.backends.bcc.design import layout
from orchestrator.symbols.frames import KernelFunction
from tests.support.bcc_maps import FakeMap, fake_maps, recorded_program

PLAN = "limits: {memory: 2MiB}\nprobes: {p: {attach: 'fentry:vfs_read', emit: {s: kstack}}}"


class Kept:
    """A map of stacks of 32 frames, and its counters."""

    def __init__(self) -> None:
        map_layout, maps = fake_maps(recorded_program(PLAN))
        self.stacks: FakeMap = maps[layout.STACKS]
        self.counts: FakeMap = maps[layout.STACK_COUNTS]
        [self.hook] = map_layout.program.hooks
        self.reader = StackReader(self.stacks, self.counts, [self.hook])  # type: ignore[arg-type]  # fakes

    def keep(self, number: int, *addresses: int, user: int = 0, owner: int = 0) -> None:
        padded = (*addresses, *[0] * (32 - len(addresses)))
        self.stacks.update(struct.pack("=Q", number), struct.pack("=II32Q", user, owner, *padded))
        self.counts.put_words(0, {0: len(self.stacks.contents), 1: 5, 2: 6})


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_a_stack_ends_at_its_first_zero(kept: Kept) -> None:
    """A user's belongs to a process, a kernel's to none."""
    kept.keep(10, 1, 2, 3)
    kept.keep(11, 4, user=1, owner=77)
    kernel, user = kept.reader.read_new()
    assert (kernel.id, kernel.space, kernel.addresses, kernel.cut) == (
        10,
        "kernel",
        (1, 2, 3),
        False,
    )
    assert (user.id, user.space, user.pid, user.addresses) == (11, "user", 77, (4,))


def test_a_kernels_stack_names_the_function_whose_trampoline_took_it(kept: Kept) -> None:
    """By the hook that its program belongs to. A process with that number is none."""
    place = layout.stack_place(kept.hook)
    kept.keep(10, 1, owner=place)
    kept.keep(11, 2)
    kept.keep(12, 3, user=1, owner=place)
    probed = [(stack.probed, stack.pid) for stack in kept.reader.read_new()]
    assert probed == [(KernelFunction("vfs_read", "vmlinux"), 0), (None, 0), (None, place)]


def test_a_stack_that_fills_its_room_may_be_cut(kept: Kept) -> None:
    kept.keep(10, *range(1, 33))
    kept.keep(11, *range(1, 31))
    assert [stack.cut for stack in kept.reader.read_new()] == [True, False]


def test_what_was_read_is_not_read_again(kept: Kept) -> None:
    """By number or all; a number that is not there is passed over."""
    kept.keep(10, 1)
    kept.keep(11, 2)
    assert [stack.id for stack in kept.reader.read_new([11, 99])] == [11]
    assert [stack.id for stack in kept.reader.read_new()] == [10]
    assert kept.reader.read_new([10, 11]) == []


def test_the_map_is_searched_only_when_it_has_grown(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.keep(10, 1)
    kept.reader.read_new()
    monkeypatch.setattr(FakeMap, "items", lambda _map: pytest.fail("searched"))
    assert kept.reader.read_new() == []


def test_counters_are_kept_full_and_busy(kept: Kept) -> None:
    kept.keep(10, 1)
    counts = kept.reader.counts()
    assert (counts.kept, counts.map_full, counts.map_busy) == (1, 5, 6)
