"""What is read of the debug information of a program, which anyone may have written."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from orchestrator.binaries.elf import find_symbols
from orchestrator.compile.own_types.programs import ProgramCode, describe_code
from orchestrator.compile.own_types.table import OwnTypes
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.kernel.btf_types import TypeLookupError
from tests.fuzz.target import CASE_SECONDS, Target
from tests.support.described import SOURCE, build

_NAMES = ("bag", "pair", "big", "size", "none")
_FLAGS = ("-O1", "-shared", "-fPIC", "-nostdlib", "-Wl,--build-id=none")


@cache
def _made() -> tuple[tuple[bytes, ...], int]:
    """Small libraries with DWARF 4 and 5, the latter packed, too; and where `take` is in them."""
    with tempfile.TemporaryDirectory(prefix="probeplan-fuzz-") as folder:
        source = SOURCE.replace("int main(void) { return 0; }", "")
        versions = (["-gdwarf-4"], ["-gdwarf-5"], ["-gdwarf-5", "-gz=zlib"])
        files = [
            build(Path(folder), *_FLAGS, *flags, source=source, name=f"library{number}")
            for number, flags in enumerate(versions)
        ]
        [address] = {find_symbols(file, "take")[0].address for file in files}
        return tuple(file.read_bytes() for file in files), address


def seeds() -> list[bytes]:
    """The libraries, of which everything is known."""
    contents, address = _made()
    for content in contents:
        with _file_of(content) as path:
            assert _look(path, address) == {"bag", "pair", "big", "int", "colour"}
    return list(contents)


@contextmanager
def _file_of(data: bytes) -> Iterator[Path]:
    handle = os.memfd_create("case")
    try:
        os.write(handle, data)
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def check(data: bytes) -> None:
    """A function, structures and members, or that they are not known, in bounded time. The reader
    takes any exception for damage, so that the time is looked at here."""
    start = time.process_time()
    with _file_of(data) as path:
        _look(path, _made()[1])
    assert time.process_time() - start < CASE_SECONDS


def _look(path: Path, address: int) -> set[str]:
    """All that a plan can ask; the names of the types that are found."""
    table = OwnTypes(lambda: None)
    identity = FileIdentity.from_stat(path.stat())
    code = describe_code(
        table, ProgramCode(path=str(path), identity=identity, symbol="take", address=address)
    )
    found = code.function
    kinds = (
        [] if found is None else [found.returns, *(kind for _, kind in found.arguments.values())]
    )
    for name in _NAMES:
        code.explain_missing(f"struct {name}").encode()
        with suppress(TypeLookupError):
            kinds += filter(None, [code.find_struct(name)])
    kinds = sorted({table.type(kind).target or kind for kind in kinds} - {0})
    for kind in kinds:
        table.type_name(kind).encode()
        with suppress(TypeLookupError):
            for name in table.member_names(kind):
                member = table.member(kind, name)
                assert member is None or table.type(member.type_id).size >= 0
    return {table.type_name(kind) for kind in kinds}


TARGET = Target(
    name="debug_info",
    check=check,
    seeds=seeds,
    words=(b"\xff\xff\xff\xff", b"\xff" * 8, b"\0" * 8, b"\x13\x01", b"\x80\x80\x80\x01"),
    longest=20_000,
)
