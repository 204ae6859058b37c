"""The raw layer of BTF: where each type record starts, and its name.

Source: Documentation/bpf/btf.rst and include/uapi/linux/btf.h. A blob has some hundred thousand
records, so nothing here makes an object for one: the index is one pass over an array of words,
and names are found by searching the bytes.
"""

import re
import struct
import sys
from array import array
from collections.abc import Iterator
from itertools import chain

from orchestrator.kernel.btf_types import BtfError

(
    VOID,
    INT,
    PTR,
    ARRAY,
    STRUCT,
    UNION,
    ENUM,
    FWD,
    TYPEDEF,
    VOLATILE,
    CONST,
    RESTRICT,
    FUNC,
    FUNC_PROTO,
    VAR,
    DATASEC,
    FLOAT,
    DECL_TAG,
    TYPE_TAG,
    ENUM64,
) = range(20)

MODIFIERS = frozenset({TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})

HEADER = struct.Struct("<HBBIIIII")
MAGIC = 0xEB9F

# Words of a record beyond its first three: a fixed number, and a number for each of its vlen.
_EXTRA = {
    INT: (1, 0),
    PTR: (0, 0),
    ARRAY: (3, 0),
    STRUCT: (0, 3),
    UNION: (0, 3),
    ENUM: (0, 2),
    FWD: (0, 0),
    TYPEDEF: (0, 0),
    VOLATILE: (0, 0),
    CONST: (0, 0),
    RESTRICT: (0, 0),
    FUNC: (0, 0),  # its vlen is the linkage
    FUNC_PROTO: (0, 2),
    VAR: (1, 0),
    DATASEC: (0, 3),
    FLOAT: (0, 0),
    DECL_TAG: (1, 0),
    TYPE_TAG: (0, 0),
    ENUM64: (0, 3),
}


def kind_of(info: int) -> int:
    """The kind in a type's info word."""
    return info >> 24 & 0x1F


def vlen_of(info: int) -> int:
    """The number of entries in a type's info word."""
    return info & 0xFFFF


class _Steps(dict[int, int]):
    """Record length in words by info word: few distinct ones occur, so each is computed once."""

    def __missing__(self, info: int) -> int:
        try:
            fixed, each = _EXTRA[kind_of(info)]
        except KeyError:
            raise BtfError(f"type kind {kind_of(info)} is not known to this release") from None
        self[info] = 3 + fixed + each * vlen_of(info)
        return self[info]


class Blob:
    """`words` (all type records), `starts` (word index by type id; id 0 is void), `strings`."""

    __slots__ = ("_names", "starts", "strings", "words")

    def __init__(self, words: "array[int]", starts: "array[int]", strings: bytes) -> None:
        self.words = words
        self.starts = starts
        self.strings = strings
        self._names = b""

    @classmethod
    def parse(cls, data: bytes, base: "Blob | None" = None) -> "Blob":
        """Index a blob; with `base`, a module's split BTF, whose ids continue those of the base.

        Raises BtfError where the bytes are not BTF, are cut short or hold an unknown kind.
        """
        types, strings = _sections(data)
        words = array("I", [0, 0, 0])  # void, so that id 0 reads like any other
        if base is not None:
            words = base.words[:]
            strings = base.strings + strings
        first = len(words)
        words.frombytes(types)
        if sys.byteorder == "big":
            words.byteswap()
        starts = _record_starts(words, first)
        known = base.starts if base is not None else array("I", [0])
        return cls(words, known + starts, strings)

    def __len__(self) -> int:
        return len(self.starts)

    def text(self, offset: int) -> str:
        """The string at an offset of the string section. Raises BtfError beyond its end."""
        end = self.strings.find(b"\0", offset)
        if end < 0:
            raise BtfError(f"string offset {offset} is beyond the string section")
        return self.strings[offset:end].decode("utf-8", "replace")

    def start(self, type_id: int) -> int:
        """Where a type's record starts in `words`. Raises BtfError for an id that is not there."""
        try:
            return self.starts[type_id]
        except IndexError:
            raise BtfError(f"type id {type_id} is beyond the {len(self)} types") from None

    def name_offsets(self, name: str) -> list[int]:
        """Every offset of this whole string: one, in practice, as linkers merge them."""
        needle = b"\0" + name.encode() + b"\0"
        offsets, at = [], self.strings.find(needle)
        while at >= 0:
            offsets.append(at + 1)
            at = self.strings.find(needle, at + 1)
        return offsets

    def names_after(self, prefix: str) -> frozenset[str]:
        """What follows `prefix` in all strings that begin with it."""
        found = re.findall(rb"(?<=\0)%b([^\0]+)" % re.escape(prefix.encode()), self.strings)
        return frozenset(name.decode("utf-8", "replace") for name in found)

    def ids(self, name: str, *kinds: int) -> Iterator[int]:
        """Ids of the types of this name and of one of these kinds, ascending."""
        if not name:
            return
        for type_id in chain.from_iterable(map(self._ids_at, self.name_offsets(name))):
            if kind_of(self.words[self.starts[type_id] + 1]) in kinds:
                yield type_id

    def has_placeholders(self) -> bool:
        """Whether there is a forward declaration without a name, of which a kernel's BTF has none
        (btf_fwd_check_meta, kernel/bpf/btf.c): a type was left out there."""
        return any(kind_of(self.words[self.starts[one] + 1]) == FWD for one in self._ids_at(0))

    def _ids_at(self, name_offset: int) -> Iterator[int]:
        if not self._names:
            words = self.words
            self._names = array("I", [words[start] for start in self.starts]).tobytes()
        needle = name_offset.to_bytes(4, sys.byteorder)
        at = self._names.find(needle)
        while at >= 0:
            if at % 4 == 0:
                yield at // 4
            at = self._names.find(needle, at + 1)


def _sections(data: bytes) -> tuple[bytes, bytes]:
    """The type records and the strings."""
    if len(data) < HEADER.size:
        raise BtfError(f"{len(data)} bytes are too few for a BTF header of {HEADER.size}")
    magic, version, _, header_len, type_off, type_len, str_off, str_len = HEADER.unpack_from(data)
    if magic != MAGIC or version != 1:
        raise BtfError(f"no BTF: magic {magic:#06x} version {version}, expected 0xeb9f version 1")
    types = data[header_len + type_off :][:type_len]
    strings = data[header_len + str_off :][:str_len]
    if len(types) != type_len or len(strings) != str_len or type_len % 4:
        raise BtfError(f"the blob of {len(data)} bytes is shorter than its header states")
    if not strings.endswith(b"\0"):
        raise BtfError("the string section does not end in NUL")
    return types, strings


def _record_starts(words: "array[int]", first: int) -> "array[int]":
    steps, starts, at, end = _Steps(), array("I"), first, len(words)
    append = starts.append
    try:
        while at < end:
            append(at)
            at += steps[words[at + 1]]
    except IndexError:
        raise BtfError("the last type record is cut short") from None
    if at != end:
        raise BtfError("the last type record is cut short")
    return starts
