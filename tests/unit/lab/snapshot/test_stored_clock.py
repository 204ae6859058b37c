"""The clock of a stored machine is at the end of its CPU's timer, or the file is refused."""

import os
from collections.abc import Iterator

import pytest

from orchestrator.lab.errors import LabError
from orchestrator.lab.snapshot.stored_clock import settle_clock
from tests.unit.lab.snapshot.fake_qemu import make_stored


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = os.memfd_create("stored")
    yield descriptor
    os.close(descriptor)


def store(file: int, content: bytes) -> None:
    os.pwrite(file, content, 0)


@pytest.mark.parametrize("went_on_ns", [0, 1, 3_999_000])
def test_the_clock_is_where_the_timer_ends(file: int, went_on_ns: int) -> None:
    counted, ends = 9_000_000_000, 24_000_000_000
    bias = ends - (counted << 1) - 3_999_000 + went_on_ns
    store(file, make_stored(bias=bias, counted=counted, ends=ends))
    assert settle_clock(file, 1) == 3_999_000 - went_on_ns
    expected = make_stored(bias=ends - (counted << 1), counted=counted, ends=ends)
    assert os.pread(file, 1 << 20, 0) == expected


@pytest.mark.parametrize("bias", [0, 2_000, 2_500])
def test_the_clock_is_where_a_timer_has_ended_meanwhile(file: int, bias: int) -> None:
    store(file, make_stored(bias=bias, counted=500, ends=-1, ended=3_000))
    settle_clock(file, 1)
    assert os.pread(file, 1 << 20, 0) == make_stored(bias=2_000, counted=500, ends=-1, ended=3_000)


def test_memory_that_looks_like_a_device_is_no_device(file: int) -> None:
    """Far before the end it is not looked at; near the end it is not taken for one."""
    content = make_stored(bias=0, counted=0, ends=1, memory=make_stored(bias=0, counted=0, ends=5))
    store(file, content)
    with pytest.raises(LabError, match="2 times"):
        settle_clock(file, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no description"),
        (make_stored(bias=0, counted=0, ends=1)[:-1], "no description"),
        (make_stored(bias=0, counted=0, ends=1).replace(b"icount_bias", b"icount_bios"), "bias"),
        (make_stored(bias=10, counted=0, ends=1), "ends in -9 ns"),
        (make_stored(bias=0, counted=0, ends=2_000_000_000), "ends in 2000000000 ns"),
        (make_stored(bias=2_000_000_000, counted=0, ends=-1, ended=5), "ends in -1999999995 ns"),
    ],
)
def test_another_file_is_refused(file: int, content: bytes, reason: str) -> None:
    store(file, content)
    with pytest.raises(LabError, match=f"in another way than known here .*{reason}"):
        settle_clock(file, 1)
