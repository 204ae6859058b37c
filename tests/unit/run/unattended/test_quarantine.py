"""Quarantine: what holds, until when, and that nothing that happens to its files ends it."""

import itertools
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.run.unattended.quarantine import QUARANTINE_NS, Quarantine, QuarantineEntry
from tests.support.folders import names_in

NOW = 1_800_000_000 * 10**9
HOUR = 3600 * 10**9
DIGEST, OTHER = "ab" * 32, "cd" * 32


def make_entry(digest: str = DIGEST, since_ns: int = NOW, name: str = "slow-io") -> QuarantineEntry:
    return QuarantineEntry(
        plan_digest=digest,
        plan_name=name,
        cause="governor",
        detail="limits.cpu ended it",
        since_ns=since_ns,
        until_ns=since_ns + QUARANTINE_NS,
        boot_id="3f0c2c5e-0000-4000-8000-000000000001",
        run_id="6568aa00112233",
    )


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    """On a host that is started again before each look, so that only the wall clock counts."""
    boots = itertools.count()
    return Quarantine(tmp_path / "lib" / "quarantine", lambda: (f"boot {next(boots)}", 0))


def test_nothing_is_in_quarantine_where_there_is_no_directory(quarantine: Quarantine) -> None:
    assert quarantine.find(DIGEST, NOW) is None
    assert quarantine.entries(NOW) == ()
    assert quarantine.lift("slow-io") == ()
    assert not quarantine.directory.parent.exists()


def test_an_entry_holds_for_its_time_and_for_its_plan(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    assert quarantine.find(DIGEST, NOW) == make_entry()
    assert quarantine.find(DIGEST, NOW + QUARANTINE_NS - 1) == make_entry()
    assert quarantine.find(DIGEST, NOW + QUARANTINE_NS) is None
    assert quarantine.find(OTHER, NOW) is None


def test_an_entry_of_the_future_holds(quarantine: Quarantine) -> None:
    """The clock was set back: the host is no safer for it."""
    quarantine.add(make_entry())
    assert quarantine.find(DIGEST, NOW - 1000 * HOUR) == make_entry()
    assert quarantine.entries(0) == (make_entry(),)


def test_a_clock_that_is_set_forward_ends_no_quarantine_of_this_boot(tmp_path: Path) -> None:
    """A host whose clock has no battery begins in 1970, until it hears the time."""
    boot, lasted = ["this boot"], [60 * 10**9]
    quarantine = Quarantine(tmp_path / "quarantine", lambda: (boot[0], lasted[0]))
    quarantine.add(make_entry(since_ns=60 * 10**9))
    assert quarantine.find(DIGEST, 61 * 10**9) == make_entry(since_ns=60 * 10**9)
    lasted[0] += HOUR
    late = quarantine.find(DIGEST, NOW)
    assert late == replace(make_entry(since_ns=60 * 10**9), until_ns=NOW + 23 * HOUR)
    assert quarantine.entries(NOW) == (late,)
    quarantine.add(make_entry(OTHER, since_ns=NOW))
    assert quarantine.find(DIGEST, NOW) == late
    lasted[0] += 23 * HOUR
    assert quarantine.find(DIGEST, NOW) is None
    boot[0] = "the next boot"
    lasted[0] = 0
    assert quarantine.find(DIGEST, NOW) is None
    assert quarantine.find(OTHER, NOW) == make_entry(OTHER, since_ns=NOW)


def test_files_are_for_root_alone(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    assert stat.S_IMODE(quarantine.directory.stat().st_mode) == 0o700
    file = quarantine.directory / f"{DIGEST}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names_in(quarantine.directory) == [file.name]


def test_the_first_entry_counts_and_a_later_one_extends_it(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    later = replace(make_entry(since_ns=NOW + HOUR), cause="host went down", run_id="b")
    quarantine.add(later)
    assert quarantine.find(DIGEST, NOW) == replace(make_entry(), until_ns=later.until_ns)
    quarantine.add(make_entry(since_ns=NOW - HOUR))
    assert quarantine.find(DIGEST, NOW) == replace(make_entry(), until_ns=later.until_ns)


def test_an_entry_that_is_over_is_replaced_and_others_go(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    quarantine.add(make_entry(OTHER))
    again = replace(make_entry(since_ns=NOW + 30 * HOUR), cause="canary")
    quarantine.add(again)
    assert quarantine.find(DIGEST, NOW + 31 * HOUR) == again
    assert names_in(quarantine.directory) == [f"{DIGEST}.json"]


def test_entries_are_listed_from_the_oldest(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    quarantine.add(make_entry(OTHER, NOW - HOUR, "opens"))
    assert [entry.plan_name for entry in quarantine.entries(NOW)] == ["opens", "slow-io"]
    assert [entry.plan_name for entry in quarantine.entries(NOW + 23 * HOUR + 1)] == ["slow-io"]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\0" * 100,
        b"{}",
        b'{"format": "probeplan-quarantine/2"}',
        json.dumps({"format": "probeplan-quarantine/1", "plan_digest": OTHER}).encode(),
    ],
)
def test_a_damaged_file_is_a_quarantine_without_a_known_cause(
    quarantine: Quarantine, damage: bytes
) -> None:
    quarantine.add(make_entry())
    file = quarantine.directory / f"{DIGEST}.json"
    file.write_bytes(damage)
    os.utime(file, ns=(NOW, NOW))
    found = quarantine.find(DIGEST, NOW + QUARANTINE_NS - 1)
    assert found is not None
    assert (found.cause, found.plan_digest, found.until_ns) == (
        "unknown",
        DIGEST,
        NOW + QUARANTINE_NS,
    )
    assert found.detail.startswith("the quarantine's file is damaged: ")
    assert quarantine.entries(NOW) == (found,)
    assert quarantine.find(DIGEST, NOW + QUARANTINE_NS) is None


@pytest.mark.parametrize(
    "field",
    ["cause", "since_ns", "until_ns", "plan_name", "run_id", "written_in_boot", "until_uptime_ns"],
)
def test_every_field_is_checked(quarantine: Quarantine, field: str) -> None:
    quarantine.add(make_entry())
    file = quarantine.directory / f"{DIGEST}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: ["x"]}))
    found = quarantine.find(DIGEST, 0)
    assert found is not None
    assert found.cause == "unknown"
    assert repr(field) in found.detail


def test_a_link_or_a_directory_in_place_of_the_file_holds(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    file = quarantine.directory / f"{DIGEST}.json"
    file.unlink()
    file.symlink_to("/dev/null")
    (quarantine.directory / f"{OTHER}.json").mkdir()
    assert [entry.cause for entry in quarantine.entries(0)] == ["unknown", "unknown"]


def test_a_new_entry_replaces_a_damaged_one_and_ends_no_earlier(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    file = quarantine.directory / f"{DIGEST}.json"
    file.write_bytes(b"")
    os.utime(file, ns=(NOW + HOUR, NOW + HOUR))
    quarantine.add(make_entry())
    until = NOW + HOUR + QUARANTINE_NS
    assert quarantine.find(DIGEST, NOW) == replace(make_entry(), until_ns=until)


@pytest.mark.parametrize("what", ["slow-io", DIGEST, DIGEST[:12]])
def test_a_plan_is_lifted_by_name_and_by_digest(quarantine: Quarantine, what: str) -> None:
    quarantine.add(make_entry())
    quarantine.add(make_entry(OTHER, name="opens"))
    assert quarantine.lift(what) == (make_entry(),)
    assert quarantine.find(DIGEST, NOW) is None
    assert quarantine.lift(what) == ()
    assert [entry.plan_name for entry in quarantine.entries(NOW)] == ["opens"]


@pytest.mark.parametrize("what", ["slow", "", DIGEST[:11]])
def test_parts_of_a_name_lift_nothing(quarantine: Quarantine, what: str) -> None:
    quarantine.add(make_entry())
    assert quarantine.lift(what) == ()
    assert quarantine.find(DIGEST, NOW) == make_entry()


def test_all_versions_of_a_plan_are_lifted_by_its_name(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    quarantine.add(make_entry(OTHER))
    assert {entry.plan_digest for entry in quarantine.lift("slow-io")} == {DIGEST, OTHER}


def test_files_of_other_names_are_not_entries(quarantine: Quarantine) -> None:
    quarantine.add(make_entry())
    (quarantine.directory / "notes.json").write_text("{}")
    (quarantine.directory / f"{OTHER}.txt").write_text("{}")
    assert quarantine.entries(NOW) == (make_entry(),)
    with pytest.raises(ValueError, match="not the SHA-256"):
        quarantine.find("../notes", NOW)


def test_two_that_add_at_once_lose_no_extension(quarantine: Quarantine) -> None:
    """Each of four processes extends by another hour; the latest end holds, and the first cause."""
    quarantine.add(make_entry())
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.unit.run.unattended.test_quarantine import HOUR, NOW, make_entry\n"
        "from orchestrator.run.unattended.quarantine import Quarantine\n"
        "for turn in range(20):\n"
        "    since = NOW + (20 * int(sys.argv[2]) + turn) * HOUR // 10\n"
        "    Quarantine(Path(sys.argv[1])).add(make_entry(since_ns=since))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(quarantine.directory), str(number)])
        for number in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    until = NOW + 79 * HOUR // 10 + QUARANTINE_NS
    assert quarantine.find(DIGEST, NOW) == replace(make_entry(), until_ns=until)
