"""One link for many places; where the kernel refuses it, the places that are to blame."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.backends.bcc.attach.joined import PlacesRefused, attach_joined
from orchestrator.backends.bcc.design.joining import pack_cookie
from orchestrator.backends.bcc.design.layout import HookSide, MapLayout
from orchestrator.kernel.abi import bpf_links
from tests.support.bcc_maps import recorded_program

PLAN = """
limits: {probes: 100}
probes: {p: {attach: 'entry:vfs_*', metrics: {n: {count: true, by: [func]}}}}
"""


class Kernel:
    """Makes links of functions that are not in `refuses`; how many it made or refused."""

    def __init__(self) -> None:
        self.refuses: set[str] = set()
        self.code = errno.EINVAL
        self.tried: list[tuple[list[str], list[int], bool]] = []

    def link(
        self, _program: int, symbols: Sequence[str], cookies: Sequence[int], *, returns: bool
    ) -> int:
        self.tried.append((list(symbols), list(cookies), returns))
        if self.refuses.intersection(symbols):
            raise OSError(self.code, os.strerror(self.code))
        return os.open(os.devnull, os.O_RDONLY)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(bpf_links, "link_functions", made.link)
    return made


def count_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def sides() -> Sequence[HookSide]:
    return MapLayout(recorded_program(PLAN)).sides


def test_all_places_are_one_link_with_their_cookies(kernel: Kernel) -> None:
    of = sides()
    attachment = attach_joined(of, "kprobe multi", 7)
    assert attachment.place == f"one link for {len(of)} functions"
    [(symbols, cookies, returns)] = kernel.tried
    assert symbols == [side.hook.symbol for side in of]
    assert cookies == [pack_cookie(side) for side in of]
    assert (len(attachment.fds), returns) == (1, False)
    attachment.detach()


def test_the_refused_places_are_found_and_every_trial_is_undone(kernel: Kernel) -> None:
    kernel.refuses = {"vfs_read", "vfs_write"}
    before = count_descriptors()
    with pytest.raises(PlacesRefused, match=r"Invalid argument \(EINVAL\)") as refused:
        attach_joined(sides(), "kprobe multi", 7)
    assert {side.hook.symbol for side in refused.value.sides} == kernel.refuses
    assert len(kernel.tried) < 40
    assert count_descriptors() == before


def test_an_error_that_is_of_no_place_is_of_all_at_once(kernel: Kernel) -> None:
    kernel.refuses, kernel.code = {"vfs_read"}, errno.EPERM
    with pytest.raises(PlacesRefused) as refused:
        attach_joined(sides(), "kprobe multi", 7)
    assert len(refused.value.sides) == len(sides())
    assert len(kernel.tried) == 1


def test_where_many_places_are_refused_none_is_joined(kernel: Kernel) -> None:
    of = sides()
    kernel.refuses = {side.hook.symbol for side in of[:9]}
    with pytest.raises(PlacesRefused) as refused:
        attach_joined(of, "kprobe multi", 7)
    assert len(refused.value.sides) == len(of)
