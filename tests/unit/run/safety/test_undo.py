"""What the watchdog may remove by name, and what it takes to start."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.run.safety.undo import JournalEntry, undo_entry

ROOT = Path(__file__).parents[4]
#: Modules of the standard library that take longer to import than Python takes to start.
EXPENSIVE = ("collections", "contextlib", "enum", "functools", "re", "typing")


@pytest.fixture
def tracefs(tmp_path: Path) -> Path:
    """Nothing is in it: what is ours is proven to be gone."""
    (tmp_path / "tracefs" / "events").mkdir(parents=True)
    return tmp_path / "tracefs"


@pytest.mark.parametrize(
    "entry",
    [
        ("instance", "probeplan-6b0a8087acb72b-tasks"),
        ("instance", "instances/PROBEPLAN_x"),
        ("event", "probeplan_6b0a/p_1"),
        ("marker", "/var/lib/probeplan/running/6b0a80.json"),
    ],
)
def test_what_is_named_as_ours_are_may_be_removed(entry: JournalEntry, tracefs: Path) -> None:
    assert undo_entry(entry, str(tracefs)) is False


@pytest.mark.parametrize(
    "entry",
    [
        *(
            ("instance", name)
            for name in ("", "foreign", "xprobeplan", "probeplan.x", "probeplan x")
        ),
        *(("instance", name) for name in ("probeplan\u212a", "probeplan\u0131", "probeplan\n")),
        *(("event", name) for name in ("probeplan", "probeplan/", "foreign/p", "probeplan-x/p")),
        *(
            ("event", name)
            for name in ("probeplan/p/q", "probeplan/p\n-:foreign", "probeplan/\u017f")
        ),
        *(("marker", name) for name in ("/running/a.json", "x/running/a.json", "/x/running/.json")),
        *(("marker", name) for name in ("/x/running/a", "/x/running/A.json", "/x/run/a.json")),
        ("marker", "/x/running/../a.json/precious"),
    ],
)
def test_what_is_named_otherwise_is_never_touched(entry: JournalEntry, tracefs: Path) -> None:
    with pytest.raises(ValueError, match="its name is not one of ours"):
        undo_entry(entry, str(tracefs))


def test_a_watchdog_starts_without_what_is_expensive_to_import() -> None:
    """A run waits for no watchdog, but the host pays for each."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import orchestrator.run.safety.watchdog\nprint(*sys.modules)"
    )
    words = [sys.executable, "-I", "-S", "-c", code]
    imported = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert "orchestrator.run.safety.undo" in imported
    assert [name for name in imported if name in EXPENSIVE] == []
