"""Notes in ELF files, and the build id of the running kernel's image, which two kernels have in
common only if they are the same build."""

import struct
from collections.abc import Iterator

__all__ = ["NT_GNU_BUILD_ID", "RUNNING_NOTES", "find_build_id", "keep_build_id", "read_notes"]

#: The notes of the running kernel's image, by path from the root (kernel/ksysfs.c).
RUNNING_NOTES = "sys/kernel/notes"
NT_GNU_BUILD_ID = 3  # include/uapi/linux/elf.h
_HEADER = struct.Struct("<III")  # Elf_Nhdr: sizes of name and content in bytes, type
_LONGEST = 64  # bytes of a build id; linkers write 8 to 32


def find_build_id(notes: bytes) -> str | None:
    """The build id in ELF notes, in hexadecimal; None where they have none, or are damaged."""
    for owner, kind, content in read_notes(notes):
        if (owner, kind) == (b"GNU", NT_GNU_BUILD_ID) and 0 < len(content) <= _LONGEST:
            return content.hex()
    return None


def keep_build_id(notes: bytes) -> bytes:
    """The notes without all others."""
    found = find_build_id(notes)
    if found is None:
        return b""
    content = bytes.fromhex(found)
    head = _HEADER.pack(len(b"GNU\0"), len(content), NT_GNU_BUILD_ID)
    return head + b"GNU\0" + content + bytes(-len(content) % 4)


def read_notes(content: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """(owner, type, description) of each note in a section; stops where one is cut short."""
    at = 0
    while at + _HEADER.size <= len(content):
        name_size, size, kind = _HEADER.unpack_from(content, at)
        name = content[at + _HEADER.size :][:name_size].rstrip(b"\0")
        start = at + _HEADER.size + (name_size + 3 & ~3)  # both are padded to 4 bytes
        if start + size > len(content):
            return
        yield name, kind, content[start : start + size]
        at = start + (size + 3 & ~3)
