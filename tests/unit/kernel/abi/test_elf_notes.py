"""Notes of ELF files, and the build id in those of the running kernel."""

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.kernel.abi.elf_notes import find_build_id, keep_build_id, read_notes

ID = bytes(range(20))


def note(owner: bytes, kind: int, content: bytes) -> bytes:
    padded = (part + bytes(-len(part) % 4) for part in (owner + b"\0", content))
    return struct.pack("<III", len(owner) + 1, len(content), kind) + b"".join(padded)


OTHERS = note(b"Linux", 257, b"6.1.0\0") + note(b"Xen", 3, b"abc") + note(b"GNU", 1, b"\0" * 16)


def test_the_build_id_is_found_among_other_notes() -> None:
    assert find_build_id(OTHERS + note(b"GNU", 3, ID)) == ID.hex()
    assert find_build_id(note(b"GNU", 3, ID) + OTHERS) == ID.hex()


@pytest.mark.parametrize(
    "notes",
    [b"", OTHERS, note(b"GNU", 3, b""), note(b"GNU", 3, ID * 4), note(b"GNU", 3, ID)[:-1]],
    ids=["no notes", "others", "empty", "too long", "cut short"],
)
def test_notes_without_a_build_id_have_none(notes: bytes) -> None:
    assert find_build_id(notes) is None
    assert keep_build_id(notes) == b""


def test_a_recording_keeps_the_build_id_alone() -> None:
    for build_id in (ID, b"\1\2\3"):
        kept = note(b"GNU", 3, build_id)
        assert keep_build_id(OTHERS + kept + OTHERS) == kept


@given(st.binary(max_size=60))
def test_any_bytes_are_notes_or_none(data: bytes) -> None:
    """They are parsed to an end, and nothing beyond them is read."""
    assert sum(len(content) for _, _, content in read_notes(data)) <= len(data)
    find_build_id(data)


def test_it_is_the_build_id_that_readelf_prints(tmp_path: Path) -> None:
    """Of a file that is nothing but this kernel's notes."""
    notes = Path("/sys/kernel/notes").read_bytes()
    segment = struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(notes), len(notes), 4)
    head = struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    (tmp_path / "notes").write_bytes(b"\x7fELF\2\1\1" + bytes(9) + head + segment + notes)
    command = ["readelf", "-n", str(tmp_path / "notes")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"Build ID: {find_build_id(notes)}" in printed
