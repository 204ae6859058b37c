"""Definitions of kprobe and uprobe events: the lines that reach tracefs."""

import errno
from pathlib import Path

import pytest

from orchestrator.kernel.abi.dynamic_events import (
    DefinitionError,
    Event,
    Hits,
    define_events,
    explain_refusal,
    read_profile,
)
from orchestrator.kernel.abi.file_identity import FileIdentity


def test_lines_are_those_of_the_documentation() -> None:
    """Documentation/trace/kprobetrace.rst and uprobetracer.rst."""
    entry = Event(group="g", name="e", symbol="vfs_read", offset=4, fetch=("n=$arg3:u64",))
    assert entry.line == "p:g/e vfs_read+4 n=$arg3:u64"
    returns = Event(group="g", name="r", symbol="vfs_read", returns=True, maxactive=64)
    assert returns.line == "r64:g/r vfs_read"
    user = Event(group="g", name="u", path="/lib/libc.so.6", offset=0x40, ref_counter=0x10)
    assert user.line == "p:g/u /lib/libc.so.6:0x40(0x10)"


@pytest.mark.parametrize(
    "place",
    [
        {"symbol": "vfs_read x=%ax"},
        {"symbol": "vfs_read", "path": "/bin/x"},
        {"symbol": "vfs_read", "offset": 4, "returns": True},
        {"symbol": "vfs_read", "fetch": ("n=%ax; rm",)},
        {"path": "/bin/a b"},
        {"path": "bin/x"},
        {"path": "/bin/x:0x10"},
        {},
    ],
)
def test_what_would_be_read_differently_is_refused(place: dict[str, object]) -> None:
    """Nothing reaches a line unvalidated."""
    with pytest.raises(ValueError, match=r"."):
        Event(group="g", name="e", **place)  # type: ignore[arg-type]


def test_one_refused_event_removes_the_others(tmp_path: Path) -> None:
    """All or none; each is in the journal before it is created."""
    (tmp_path / "kprobe_events").touch()
    journal: list[str] = []
    events = [Event(group="g", name="k", symbol="vfs_read"), Event(group="g", name="u", path="/x")]
    with pytest.raises(DefinitionError, match="no such dynamic events"):
        define_events(events, journal.append, tracefs=tmp_path)
    assert journal == ["g/k", "g/u"]
    assert (tmp_path / "kprobe_events").read_text() == "p:g/k vfs_read\n-:g/k\n"


def user_event(file: Path) -> Event:
    """An event in a file that is on this host."""
    file.write_bytes(b"\x7fELF")
    identity = FileIdentity.from_stat(file.stat())
    return Event(group="g", name="u", path=str(file), offset=64, identity=identity)


def test_no_event_is_defined_in_a_file_that_was_replaced(tmp_path: Path) -> None:
    """The offset is of the file that was read, and would be inside an instruction of another."""
    events, file, other = (tmp_path / name for name in ("uprobe_events", "binary", "other"))
    event = user_event(file)
    events.touch()
    other.write_bytes(b"\x7fELF")
    other.rename(file)
    with pytest.raises(DefinitionError, match="replaced or changed") as refused:
        define_events([event], lambda _name: None, tracefs=tmp_path)
    assert (refused.value.errno, events.read_text()) == (errno.ESTALE, "")


def test_an_event_is_removed_when_its_file_changed_while_it_was_defined(tmp_path: Path) -> None:
    """Here the definition itself is what changes the file."""
    event = user_event(tmp_path / "binary")
    (tmp_path / "kprobe_events").touch()
    (tmp_path / "uprobe_events").symlink_to(tmp_path / "binary")
    with pytest.raises(DefinitionError, match="replaced or changed"):
        define_events([event], lambda _name: None, tracefs=tmp_path)
    assert (tmp_path / "kprobe_events").read_text() == "-:g/u\n"


def test_the_kernels_own_reason_is_preferred(tmp_path: Path) -> None:
    """The newest entry of error_log for this line."""
    log = "[ 1.0] trace_kprobe: error: Invalid probed address\n  Command: p:g/e nothing\n"
    (tmp_path / "error_log").write_text(log)
    assert explain_refusal(2, "p:g/e nothing", tmp_path) == "Invalid probed address"
    assert "no such symbol" in explain_refusal(2, "p:g/e other", tmp_path)


def test_names_that_occur_twice_have_no_profile(tmp_path: Path) -> None:
    """The kernel lists names without groups, so that hits of another tracer could be counted."""
    (tmp_path / "kprobe_profile").write_text("  mine  5 1\n  twice 1 0\n  twice 2 0\n")
    (tmp_path / "uprobe_profile").write_text("  /lib/x user 7\n")
    assert read_profile(["mine", "twice", "user"], tracefs=tmp_path) == {
        "mine": Hits(hits=5, misses=1),
        "user": Hits(hits=7, misses=None),
    }
