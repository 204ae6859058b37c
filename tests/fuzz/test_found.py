"""Everything that fuzzing has found once, as the smallest case of it."""

import json

import pytest

from tests.fuzz.kernel import seeds_of_binaries
from tests.fuzz.rings import case_of, record_of
from tests.fuzz.target import limited
from tests.fuzz.targets import TARGETS
from tests.support.btf_blobs import FUNC, Blob


def _expression(text: str) -> bytes:
    return b"\x01" + text.encode()


def _wrong_prototype() -> bytes:
    """The last type's linkage is taken for a number of parameters."""
    blob = Blob()
    blob.add(FUNC, "f", blob.add(FUNC, "f", 0, vlen=65535))
    return blob.bytes()


def _holds_itself() -> bytes:
    """Each structure has two nameless members of the next: 2^62 ways to the last."""
    blob = Blob()
    for number in range(2, 64):
        blob.struct_(f"s{number}", 8, ("", number, 0), ("", number, 0))
    blob.struct_("last", 8, ("x", 0, 0), ("s2", 0, 0))
    return blob.bytes()


def _recorded(head: object) -> bytes:
    return json.dumps(head).encode() + b"\n"


_HEAD = {"format": "probeplan-facts/1", "release": "6", "arch": "x", "page_size": 1, "files": []}
_NUMBERS = b'{"format":"probeplan-facts/1","files":[],"release":"","arch":"","features":{},'


def _binary(old: bytes, new: bytes) -> bytes:
    """The small binary with one thing changed in place."""
    whole = seeds_of_binaries()[0]
    assert old in whole
    return whole.replace(old, new)


FOUND = {
    # expressions
    "half of a surrogate pair": ("expressions", _expression(r"comm == '\ud800'")),
    "digits beyond what int() prints": ("expressions", _expression("0x" + "f" * 4000)),
    "members deeper than unparse": ("expressions", _expression("[a" + ".a" * 1500 + "]")),
    "operators deeper than unparse": ("expressions", _expression("[a" + "+a" * 900 + "]")),
    "calls of calls": ("expressions", _expression("a" + "()" * 1500)),
    "subscripts of subscripts": ("expressions", _expression("x" + "[0]" * 1000)),
    "a column after a carriage return": ("expressions", b"\x01(a\r&\rb)"),
    # lines
    "a comment within a fetch argument": ("lines", b"g\0e\0vfs_read\0a=%di#:u64"),
    "a fetch argument without a name": ("lines", b"g\0e\0vfs_read\0%di:u64"),
    "more bytes than letters": ("lines", b"g\0e\0/" + "é".encode() * 2500),
    # rings
    "padding that was not produced": ("rings", case_of(0, record_of(b"x" * 12)[:20])),
    # BTF
    "a prototype that is none": ("btf", _wrong_prototype()),
    "structures that hold the next twice": ("btf", _holds_itself()),
    # format files
    "a digit that int() refuses": ("formats", "\tfield:u8 a[²];\toffset:8;\tsize:4;\n".encode()),
    "an offset without end": ("formats", b"\tfield:u8 a;\toffset:" + b"1" * 5000 + b";\tsize:1;"),
    # binaries
    "a length after a group separator": (
        "formats",
        b"\tfield:int a[\x1d5];\toffset:8;\tsize:20;\tsigned:1;",
    ),
    "an octal operand": ("elf", b"8@010(%rax)"),
    "a hexadecimal operand without its mark": ("elf", b"8@ff(%rax) 4@$a"),
    "a note cut short": ("elf", _binary(b"\x3b\0\0\0\x03", b"\x08\0\0\0\x03")),
    "a library that is no UTF-8": ("elf", _binary(b"libc.so.6", b"\xff\xfebc.so.6")),
    "a cache without a count": ("ldcache", b"glibc-ld.so.cache1.1"),
    # recordings
    "a size without end": ("recording", _NUMBERS + b'"page_size":1e999}\n'),
    "lists without end": ("recording", b"[" * 2900),
    "symbols without names": (
        "recording",
        _recorded(
            _HEAD
            | {
                "features": {},
                "files": [
                    ["proc/kallsyms", 2],
                    ["sys/kernel/tracing/available_filter_functions", 0],
                ],
            }
        )
        + b"T\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_once_is_no_fault_any_more(what: str) -> None:
    """Refused, or read within bounds: the target's own check says so."""
    target, data = FOUND[what]
    with limited():
        TARGETS[target].check(data)
