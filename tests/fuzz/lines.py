"""Texts → definitions of events and filters, or a refusal."""

from orchestrator.backends.tracefs.design.filters import FieldRef, comm_filter, filter_text
from orchestrator.backends.tracefs.design.writes import Write, names_from_run_id
from orchestrator.compile.expressions.nodes import Builtin, StringTest
from orchestrator.compile.expressions.types import Str
from orchestrator.kernel.abi.dynamic_events import Event
from tests.fuzz.grammar import check_definition, check_filter, check_listing
from tests.fuzz.target import Target

_COMM = Builtin("comm", Str(16))
_TESTS = ("equal", "prefix", "suffix", "contains")


def check(data: bytes) -> None:
    """Texts are parted by NUL bytes: group, name, symbol or path, fetch arguments. What is not
    refused makes one line of the grammar, a filter of the grammar, and names without surprises."""
    texts = [part.decode("utf-8", "surrogateescape") for part in data.split(b"\0")]
    _check_event((texts + [""] * 3)[:3], tuple(texts[3:]))
    for text in texts:
        _check_filters(text)
        _check_names(text)
        check_listing(Write(action="define", path="uprobe_events", text=text))


def _check_event(head: list[str], fetch: tuple[str, ...]) -> None:
    group, name, place = head
    on_file = place.startswith("/")
    try:
        event = Event(
            group=group,
            name=name,
            symbol=None if on_file else place,
            path=place if on_file else None,
            offset=len(name) % 5,
            returns=not len(name) % 5,
            ref_counter=len(group) % 3 if on_file else 0,
            fetch=fetch,
        )
    except ValueError as error:
        assert type(error) is ValueError, repr(error)  # noqa: PT017  not a related one
        return
    check_definition(event.line)
    assert event.line.count(" ") == 1 + len(fetch)


def _check_filters(text: str) -> None:
    raw = text.encode("utf-8", "surrogateescape")
    found = [comm_filter((text,))] if text.isascii() else []
    found += [
        filter_text(StringTest(op, _COMM, raw), lambda _: FieldRef(name="comm", type=None, size=16))
        for op in _TESTS
    ]
    for made in found:
        if made is not None:
            check_filter(made)


def _check_names(text: str) -> None:
    names = names_from_run_id(text.encode("utf-8", "replace").decode())
    check_definition(f"p:{names.group}/{names.token} vfs_read")
    assert names.directory == f"instances/probeplan-{names.token}"


def seeds() -> list[bytes]:
    """Right ones, and some that must be refused."""
    return [
        b"pp_1\0read_1\0vfs_read\0a=%di:u64\0c=$comm:string",
        b"pp_1\0ret\0vfs_read\0r=$retval:s64",
        b"pp_1\0abcde\0/usr/lib/libc.so.6\0f=+0(%si):ustring\0b=+8(+16(%di)):b1@3/8",
        b"pp_1\0m\0ext4:ext4_file_read_iter",
        *(b"g\0e\0/a" + bytes([odd]) + b"b" for odd in b" #;:\t\n\\"),
        b"postgres*\0*worker\0bash\0a b[c]",
    ]


TARGET = Target(
    name="lines",
    check=check,
    seeds=seeds,
    words=(b"\0", b"\n", *(bytes([c]) for c in b"#;\"'\\*/()"), b" if ", b"&&", b"\xff", b"+0("),
    longest=6000,
)
