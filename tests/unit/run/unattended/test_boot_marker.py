"""Markers: those of other boots are found and none is lost; a mere death leaves nothing."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.run.unattended.boot_marker import (
    BootMarker,
    list_damaged_markers,
    place_marker,
    take_stale_markers,
)
from tests.support.folders import names_in

BOOT, NEXT = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
DIGEST = "ab" * 32

OWNER = """
import sys
from pathlib import Path
from orchestrator.run.unattended.boot_marker import place_marker
marker = place_marker(Path(sys.argv[1]), plan_digest="ab" * 32, plan_name="p", run_id="other",
                      boot_id=sys.argv[2])
print("placed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "lib" / "running"


def place(directory: Path, run_id: str = "6568aa00112233", boot_id: str = BOOT) -> BootMarker:
    return place_marker(
        directory, plan_digest=DIGEST, plan_name="slow-io", run_id=run_id, boot_id=boot_id
    )


def let_go(marker: BootMarker) -> None:
    """As if its process had died."""
    assert marker.lock is not None
    marker.lock.close()


def test_a_marker_is_there_until_it_is_removed(directory: Path) -> None:
    marker = place(directory)
    file = directory / "6568aa00112233.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["plan_digest"] == DIGEST
    assert take_stale_markers(directory, BOOT) == ()
    assert file.exists()
    marker.remove()
    assert names_in(directory) == []
    marker.remove()
    assert take_stale_markers(directory, NEXT) == ()


def test_no_directory_is_no_marker(directory: Path) -> None:
    assert take_stale_markers(directory, BOOT) == ()
    assert list_damaged_markers(directory) == ()
    assert not directory.parent.exists()


def test_a_marker_of_another_boot_stays_until_the_caller_removes_it(directory: Path) -> None:
    """A crash between finding it and writing the quarantine loses nothing."""
    let_go(place(directory))
    for _ in range(2):
        (stale,) = take_stale_markers(directory, NEXT)
        assert (stale.plan_digest, stale.plan_name) == (DIGEST, "slow-io")
        assert (stale.run_id, stale.boot_id) == ("6568aa00112233", BOOT)
    stale.remove()
    assert take_stale_markers(directory, NEXT) == ()


def test_all_of_other_boots_are_found_from_the_oldest(directory: Path) -> None:
    for number in range(3):
        let_go(place(directory, f"run{number}"))
    let_go(place(directory, "mine", NEXT))
    stale = take_stale_markers(directory, NEXT)
    assert [marker.run_id for marker in stale] == ["run0", "run1", "run2"]


def test_a_marker_of_this_boot_stays_while_its_process_lives_and_then_goes(
    directory: Path,
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory), BOOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert owner.stdout.readline() == b"placed\n"
    assert take_stale_markers(directory, BOOT) == ()
    assert names_in(directory) == ["other.json"]
    owner.kill()
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()
    assert take_stale_markers(directory, BOOT) == ()
    assert names_in(directory) == []


@pytest.mark.parametrize(
    "change",
    [{"format": "other/1"}, {"plan_digest": "short"}, {"boot_id": 3}, {"run_id": "another"}],
)
def test_a_damaged_marker_is_kept_and_listed(directory: Path, change: dict[str, object]) -> None:
    let_go(place(directory))
    file = directory / "6568aa00112233.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert take_stale_markers(directory, NEXT) == ()
    ((path, why),) = list_damaged_markers(directory)
    assert (path, bool(why), file.exists()) == (file, True, True)


def test_a_marker_that_cannot_be_written_raises(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    with pytest.raises(PermissionError, match=r"mode 0777"):
        place(directory)
    assert names_in(directory) == []
