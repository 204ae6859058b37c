"""Records as a kernel writes them, and the event dicts that they stand for, written independently
of the renderer under test."""

import datetime
import ipaddress
import shlex
import struct
from typing import Any

import numpy as np
from hypothesis import strategies as st

from orchestrator.compile.program import Emit, Presentation, RecordField

CONSTANTS = {"run_id": "20261123T021507-1f3a9c", "plan": "slow-reads", "host": 'db"17'}
COMMON = {**CONSTANTS, "plan_sha256": "0" * 64, "kernel": "6.1.0-28-amd64"}
NAMES = {0: "O_RDONLY", 1: 'quo"ted', -2: "ENOENT"}
_SIZES = {"bool": 1, "ipv4": 4, "ipv6": 16, "ip": 24, "bytes": 16, "strings": 32, "path": 32}
_SIZES |= {"endpoint": 112}
_STRUCT = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "s8": "b", "s16": "h", "s32": "i"}
_STRUCT |= {"s64": "q"}
INTEGERS = tuple(_STRUCT)
MOST_FIELDS = 6
#: No record of these emits is longer: a header and the longest fields.
LONGEST = 48 + MOST_FIELDS * max(_SIZES.values())


def size_of(form: str, length: int = 13) -> int:
    """Bytes of a field; strings take `length`, odd on purpose."""
    if form == "string":
        return length
    return _SIZES.get(form) or int(form[1:]) // 8


def emit_of(forms: list[tuple[str, bool]], *, index: int = 0, has_task: bool = True) -> Emit:
    """An emit with one field a form, packed without alignment; True: shown through NAMES."""
    fields, offset = [], 48
    for bit, (form, named) in enumerate(forms):
        shown = Presentation(names=NAMES) if named and form in _STRUCT else None
        fields.append(
            RecordField(
                name=f'f{bit} "{form}"',
                form=form,
                offset=offset,
                size=size_of(form),
                bit=bit,
                presentation=shown,
            )
        )
        offset += size_of(form)
    return Emit(index=index, probe=f"probe{index}", fields=tuple(fields), has_task=has_task)


def record(emit: Emit, header: dict[str, Any], values: list[bytes], size: int) -> bytes:
    """One raw record, filled up to `size` bytes; string fields keep garbage after their NUL, as
    the kernel leaves it."""
    packed = struct.pack(
        "<QHHIIIII16s",
        header["time"],
        emit.index,
        header["cpu"],
        header["pid"],
        header["tid"],
        header["weight"],
        header["nulls"],
        header["truncated"],
        header["comm"],
    )
    return (packed + b"".join(values)).ljust(size, b"\xa5")


def batch(rows: list[bytes]) -> np.ndarray:
    """Rows as a batch of bytes with a separate stride, as in a ring buffer."""
    wide = np.zeros((len(rows), len(rows[0]) + 8), dtype=np.uint8)
    wide[:, 8:] = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), -1)
    return wide[:, 8:]


def expected(
    emit: Emit, header: dict[str, Any], values: list[bytes], offset: int
) -> dict[str, Any]:
    """The event dict that this record stands for, keys in order."""
    wall = (header["time"] + offset) % 2**64
    date = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=wall // 10**9)
    event: dict[str, Any] = {
        "ts": f"{date:%Y-%m-%dT%H:%M:%S}.{wall % 10**9:09}Z",
        "level": "info",
        "event": "event.recorded",
        **CONSTANTS,
        "probe": emit.probe,
        "time_unix_nano": wall,
        "cpu": header["cpu"],
    }
    if emit.has_task:
        event |= {"pid": header["pid"], "tid": header["tid"], "comm": text(header["comm"])}
    event["weight"] = header["weight"]
    event["data"] = {
        field.name: None if header["nulls"] >> field.bit & 1 else value(field, raw)
        for field, raw in zip(emit.fields, values, strict=True)
    }
    cut = [field.name for field in emit.fields if header["truncated"] >> field.bit & 1]
    return event | ({"truncated": cut} if cut else {})


def value(field: RecordField, raw: bytes) -> Any:
    """What a field's bytes mean, by the book."""
    if field.form in _STRUCT:
        number = struct.unpack("<" + _STRUCT[field.form], raw)[0]
        return NAMES.get(number, number) if field.presentation else number
    if field.form == "string":
        return text(raw)
    if field.form == "bool":
        return raw != b"\0"
    if field.form in _CAPTURED:
        return _CAPTURED[field.form](raw)
    return str(ipaddress.IPv4Address(raw) if field.form == "ipv4" else ipaddress.IPv6Address(raw))


def _listed(raw: bytes) -> tuple[int, list[str]]:
    """A list's word and its strings."""
    word = struct.unpack_from("<I", raw)[0]
    listed = raw[4 : 4 + (word & 0x7FFF_FFFF)]
    pieces = listed.split(b"\0")
    return word, [text(piece) for piece in (pieces[:-1] if listed.endswith(b"\0") else pieces)]


def _path(raw: bytes) -> str:
    word, names = _listed(raw)
    return ("/" if word >> 31 else "") + "/".join(names[::-1] if word & 0x7FFF_FFFF else [])


def _strings(raw: bytes) -> str:
    word, strings = _listed(raw)
    return shlex.join(strings) if word else ""


def _ip(raw: bytes) -> str:
    version = struct.unpack_from("<I", raw)[0]
    kinds = {4: ipaddress.IPv4Address(raw[4:8]), 6: ipaddress.IPv6Address(raw[4:20])}
    return str(kinds.get(version, ""))


def _endpoint(raw: bytes) -> str:
    family, port = struct.unpack_from("<HH", raw)
    if family == 1:
        abstract = raw[4] == 0 and raw[5] != 0
        return "unix:" + ("@" + text(raw[5:]) if abstract else text(raw[4:]))
    if family == 2:
        return f"{ipaddress.IPv4Address(raw[4:8])}:{port}"
    return f"[{ipaddress.IPv6Address(raw[4:20])}]:{port}" if family == 10 else ""


_CAPTURED = {
    "ip": _ip,
    "bytes": lambda raw: raw[4 : 4 + struct.unpack_from("<I", raw)[0]].hex(),
    "strings": _strings,
    "path": _path,
    "endpoint": _endpoint,
}


def text(raw: bytes) -> str:
    """The schema's kernel_text, by the book: a byte at a time."""
    raw, out, at = raw.split(b"\0")[0], "", 0
    while at < len(raw):
        for length in (1, 2, 3, 4):
            try:
                char = raw[at : at + length].decode()
            except UnicodeDecodeError:
                continue
            out, at = out + (r"\\" if char == "\\" else char), at + length
            break
        else:
            out, at = out + f"\\x{raw[at]:02x}", at + 1
    return out


def numbers(form: str) -> st.SearchStrategy[bytes]:
    """Integers of a form as bytes: extremes, powers of ten and what lies alongside them, any."""
    bits, signed = int(form[1:]), form[0] == "s"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    near = [sign * 10**e + d for e in range(20) for d in (-1, 0, 1) for sign in (1, -1)]
    edges = [n for n in [low, low + 1, high - 1, high, 0, 1, -2, *near] if low <= n <= high]
    chosen = st.one_of(st.sampled_from(edges), st.integers(low, high))
    return chosen.map(lambda n: struct.pack("<" + _STRUCT[form], n))


def strings(size: int) -> st.SearchStrategy[bytes]:
    """Kernel strings: text of all kinds, bytes of all kinds, full, empty, with garbage behind."""
    odd = st.sampled_from(
        [b'"', b"\\", b"\\x41", b"\n", b"\x7f", b"\xff", b"\xc3", b"\xed\xa0\x80"]
    )
    made = st.one_of(
        st.text(max_size=size).map(lambda t: t.encode("utf-8", "surrogatepass")),
        st.binary(max_size=size),
        st.lists(odd, max_size=size).map(b"".join),
    )
    return st.tuples(made, st.binary(min_size=size, max_size=size)).map(
        lambda parts: (parts[0][:size] + b"\0" + parts[1])[:size]
    )


def raw_of(form: str) -> st.SearchStrategy[bytes]:
    """The bytes of one field."""
    if form in _STRUCT:
        return numbers(form)
    if form == "string":
        return strings(13)
    if form == "bool":
        return st.sampled_from([b"\0", b"\1", b"\2"])
    if form in _CAPTURED:
        return captured(form)
    return st.binary(min_size=size_of(form), max_size=size_of(form))


def captured(form: str) -> st.SearchStrategy[bytes]:
    """A word that says what there is, of a version, family or number of bytes; what follows
    is any, and so may be all where a read failed."""
    size = size_of(form)
    words = {
        "ip": st.sampled_from([0, 4, 6, 7]),
        "endpoint": st.builds(
            lambda family, port: family | port << 16,
            st.sampled_from([0, 1, 2, 10, 17]),
            st.integers(0, 65535),
        ),
        "path": st.builds(
            lambda used, rooted: used | rooted << 31, st.integers(0, size - 4), st.integers(0, 1)
        ),
    }
    word = words.get(form, st.integers(0, size - 4)).map(lambda n: struct.pack("<I", n))
    behind = st.one_of(
        st.binary(min_size=size - 4, max_size=size - 4),
        st.lists(strings(5), max_size=size).map(
            lambda parts: b"\0".join(p.split(b"\0")[0] for p in parts)[: size - 4].ljust(
                size - 4, b"\0"
            )
        ),
    )
    return st.tuples(word, behind).map(b"".join)


FORMS = (*INTEGERS, "bool", "string", "ipv4", "ipv6", *_CAPTURED)


@st.composite
def cases(draw: st.DrawFn, index: int = 0) -> tuple[Emit, list[tuple[dict[str, Any], list[bytes]]]]:
    """An emit and some records of it: (header, values) each."""
    forms = draw(st.lists(st.tuples(st.sampled_from(FORMS), st.booleans()), max_size=MOST_FIELDS))
    emit = emit_of(forms, index=index, has_task=draw(st.booleans()))
    word = st.integers(0, 2**32 - 1)
    mask = st.one_of(st.just(0), st.integers(0, 2 ** len(forms) - 1))
    time = st.one_of(st.integers(0, 2**64 - 1), st.integers(10**15, 10**15 + 3 * 10**9))
    header = st.fixed_dictionaries(
        {
            "time": time,
            "cpu": st.integers(0, 2**16 - 1),
            "pid": word,
            "tid": word,
            "weight": word,
            "nulls": mask,
            "truncated": mask,
            "comm": strings(16),
        }
    )
    row = st.tuples(header, st.tuples(*(raw_of(form) for form, _ in forms)).map(list))
    return emit, draw(st.lists(row, min_size=1, max_size=12))
