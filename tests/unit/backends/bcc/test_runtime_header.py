"""Functions that the programs have, compiled for this machine (probeplan/runtime.h)."""

import ctypes
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.backends.bcc.compiler.key import HEADERS

_MAIN = """
#include <stdio.h>
#include <stdlib.h>
typedef unsigned long long u64;
#define PP_INLINE static inline
%s
int main(int argc, char **argv)
{
	u64 every = atoi(argv[1]);
	for (u64 one = 0; one < 2 * every; one++)
		for (u64 two = 0; two < 2 * every - 1; two++)
			printf("%%llu\\n", pp_first_gap(every, one, two));
	return 0;
}
"""


def test_first_gaps_have_the_equilibrium_distribution(tmp_path: Path) -> None:
    """Over all pairs of random numbers, P(k) is proportional to 2N - k, exactly."""
    text = (HEADERS / "include/probeplan/runtime.h").read_text()
    [function] = re.findall(r"^PP_INLINE u64 pp_first_gap.*?^}$", text, re.S | re.M)
    (tmp_path / "gap.c").write_text(_MAIN % function)
    subprocess.run(["gcc", "-o", tmp_path / "gap", tmp_path / "gap.c"], check=True)
    for sample in (2, 3, 10):
        drawn = subprocess.check_output([tmp_path / "gap", str(sample)], text=True).split()
        expected = {k: 2 * (2 * sample - k) for k in range(1, 2 * sample)}
        assert Counter(map(int, drawn)) == expected


def test_the_very_first_events_are_kept_at_the_right_rate() -> None:
    """With these first gaps every event of a CPU, from the first on, is kept with chance 1/N."""
    sample = 5
    largest = 2 * sample - 1
    chance = {k: (2 * sample - k) / (largest * sample) for k in range(1, largest + 1)}
    kept = [0.0] * 60
    for position in range(1, 60):
        from_later = sum(kept[position - gap] / largest for gap in range(1, largest + 1)
                         if position > gap)  # fmt: skip
        kept[position] = chance.get(position, 0.0) + from_later
    for position, _ in zip(range(1, 60), count(), strict=False):
        assert abs(kept[position] - 1 / sample) < 1e-12


# ---------------------------------------------------------------- packets

#: The header's functions of packets over this process's own memory, where room ends.
_PACKETS = """
#include <string.h>
typedef unsigned long long u64; typedef long long s64;
typedef unsigned int u32; typedef unsigned char u8;
#define PP_INLINE static inline
#define PP_OPAQUE(variable) (void)(variable)
static u64 pp_jiffies64(void) { return 7; }
static s64 pp_read(int user, void *to, u32 size, u64 from)
{
	return user || from < 4096 ? -14 : (memcpy(to, (void *)from, size), 0);
}
%s
u64 run(const u8 *header, u32 family, u32 room, u32 *fault)
{
	return pp_transport((u64)header, family, room, fault);
}
"""
Transport = Callable[[bytes, int, int], tuple[int, int, bool] | None]


@pytest.fixture(scope="module")
def transport(tmp_path_factory: pytest.TempPathFactory) -> Transport:
    """(protocol, place, whether its first bytes are there) of a packet, or None for null."""
    folder = tmp_path_factory.mktemp("packets")
    text = (HEADERS / "include/probeplan/runtime.h").read_text()
    [forget] = re.findall(r"^#define PP_FORGET.*?while \(0\)$", text, re.S | re.M)
    packets = text[
        text.index("#define PP_EXTENSIONS") : text.index(
            "/* ---------------------------------------------------------------- rate"
        )
    ]
    (folder / "packets.c").write_text(_PACKETS % (forget + "\n" + packets))
    command = ["gcc", "-Wno-unknown-pragmas", "-shared", "-fPIC", "-o", folder / "packets.so"]
    subprocess.run([*command, folder / "packets.c"], check=True)
    run = ctypes.CDLL(str(folder / "packets.so")).run
    run.restype = ctypes.c_uint64

    def call(packet: bytes, family: int, room: int) -> tuple[int, int, bool] | None:
        memory, fault = ctypes.create_string_buffer(packet, 4096), ctypes.c_uint32(0)
        found = run(memory, family, room, ctypes.byref(fault))
        return None if fault.value else (found & 0xFF, found >> 16, not found >> 8 & 1)

    return call


HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS = 0, 43, 44, 51, 60
EXTENSIONS = (HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS)
MOST = 8
#: A header: its number, its length in its own units, its offset as a fragment.
headers = st.tuples(
    st.sampled_from(EXTENSIONS), st.integers(0, 3), st.sampled_from((0, 0, 0, 1, 185, 8191))
)
last = st.sampled_from((6, 17, 58, 59, 50, 132, 1, 135, 255))


def build(chain: list[tuple[int, int, int]], protocol: int) -> tuple[bytes, list[int]]:
    """A packet of IPv6 with these extension headers, and where each begins and the last ends."""
    numbers = [number for number, _, _ in chain] + [protocol]
    packet = bytearray(b"\x60" + bytes(5) + bytes((numbers[0], 64)) + bytes(32))
    places = []
    for (number, units, offset), following in zip(chain, numbers[1:], strict=True):
        places.append(len(packet))
        if number == FRAGMENT:
            field = (offset << 3 | 1).to_bytes(2)
            packet += bytes((following, 0)) + field + bytes(4)
        else:
            size = 4 * (units + 2) if number == AUTHENTICATION else 8 * (units + 1)
            packet += bytes((following, units)) + b"\x2c" * (size - 2)
    return bytes(packet), [*places, len(packet)]


@settings(max_examples=400)
@given(st.lists(headers, max_size=MOST + 2), last, st.integers(-9, 40))
def test_extension_headers_lead_to_the_transport_header(
    transport: Transport, chain: list[tuple[int, int, int]], protocol: int, spare: int
) -> None:
    """At most eight of them, up to a later fragment, and only within the packet's room."""
    packet, places = build(chain, protocol)
    room = max(40, places[-1] + spare)
    expected: tuple[int, int, bool] | None = None
    numbers = [number for number, _, _ in chain] + [protocol]
    for at, place in enumerate(places):
        if at == len(chain):
            expected = (protocol, place, place + 4 <= room)
            break
        if place + 8 > room or at == MOST:
            break
        if numbers[at] == FRAGMENT and chain[at][2]:
            expected = (numbers[at + 1], place + 8, False)
            break
    assert transport(packet, 10, room) == expected


@given(st.integers(5, 15), st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(20, 80))
def test_headers_of_ipv4_have_options_and_fragments(
    transport: Transport, words: int, fragment: int, protocol: int, room: int
) -> None:
    """Extension headers are IPv6's alone: the same numbers are protocols here."""
    packet = bytes((0x40 | words, 0)) + bytes(4) + fragment.to_bytes(2) + bytes((64, protocol))
    there = not fragment & 0x1FFF and 4 * words + 4 <= room
    assert transport(packet + bytes(50), 2, room) == (protocol, 4 * words, there)


def test_what_is_no_packet_of_ip_has_no_transport_header(transport: Transport) -> None:
    assert transport(bytes(60), 0, 60) is None
