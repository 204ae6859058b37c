"""The journal: who is dead, what they left, and that nothing else is touched."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.kernel.abi.dynamic_events import Event, define_events, remove_events
from orchestrator.plan.findings import HostError
from orchestrator.run.safety.journal import (
    Journal,
    JournalError,
    read_boot_id,
    read_journals,
    socket_path,
)
from orchestrator.run.safety.leftovers import clean_up_dead_runs, find_dead_runs

TRACEFS = Path("/sys/kernel/tracing")

OWNER = """
import sys, time
from pathlib import Path
from orchestrator.kernel.abi.dynamic_events import Event, define_events
from orchestrator.plan.findings import HostError
from orchestrator.run.safety.journal import Journal

directory, tracefs, name, path = sys.argv[1:]
journal = Journal(name, plan="p", backend="tracefs", probes=1, directories=(Path(directory),))
journal.add("instance", f"probeplan-{name}")
(Path(tracefs) / "instances" / f"probeplan-{name}").mkdir()
if path:
    event = Event(group=f"probeplan_{name}", name=f"e_{name}", path=path, offset=64)
    define_events([event], lambda what: journal.add("event", what))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def where(tmp_path: Path) -> tuple[Path, ...]:
    return (tmp_path / "journals",)


@pytest.fixture
def owner(where: tuple[Path, ...]) -> Iterator["subprocess.Popen[str]"]:
    """A process that has an instance and a uprobe event in the kernel, journalled."""
    name = f"t{os.getpid()}x{os.urandom(2).hex()}"
    arguments = [
        str(where[0]),
        str(TRACEFS),
        name,
        sys.executable if Path(TRACEFS / "uprobe_events").exists() else "",
    ]
    command = [sys.executable, "-c", OWNER, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.name = name  # type: ignore[attr-defined]
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    clean_up_dead_runs(directories=where)


def made_by(owner: "subprocess.Popen[str]") -> list[Path]:
    name = owner.name  # type: ignore[attr-defined]
    return [TRACEFS / "instances" / f"probeplan-{name}", TRACEFS / "events" / f"probeplan_{name}"]


@pytest.mark.root
@pytest.mark.features("tracefs_instances", "uprobe_events")
def test_what_a_killed_run_left_is_removed(owner, where) -> None:
    instance, group = made_by(owner)
    assert instance.exists()
    assert group.exists()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    [cleaned] = clean_up_dead_runs(directories=where)
    assert {kind for kind, _ in cleaned.removed} == {"instance", "event"}
    assert cleaned.failed == ()
    assert not instance.exists()
    assert not group.exists()
    assert list(where[0].iterdir()) == []


@pytest.mark.root
@pytest.mark.features("tracefs_instances")
def test_an_unreaped_zombie_is_dead_too(owner, where) -> None:
    owner.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
    [record] = find_dead_runs(where)
    assert record.pid == owner.pid


@pytest.mark.root
@pytest.mark.features("tracefs_instances")
def test_a_live_run_is_left_alone_even_when_it_is_stopped(owner, where) -> None:
    owner.send_signal(signal.SIGSTOP)
    assert clean_up_dead_runs(directories=where) == []
    assert made_by(owner)[0].exists()
    [record] = read_journals(where)
    assert (record.dead, record.pid) == (False, owner.pid)
    assert ("instance", f"probeplan-{owner.name}") in record.entries


@pytest.mark.root
@pytest.mark.features("tracefs_instances")
def test_a_dry_run_tells_and_leaves_everything(owner, where) -> None:
    owner.kill()
    owner.wait()
    [reported] = clean_up_dead_runs(dry_run=True, directories=where)
    assert reported.removed
    assert made_by(owner)[0].exists()


def a_dead_journal(where: tuple[Path, ...], *entries: tuple[str, str]) -> Path:
    """A journal that no one holds any more."""
    journal = Journal("r1", plan="p", backend="bcc", probes=1, directories=where)
    for kind, what in entries:
        journal.add(kind, what)
    journal.close()
    return journal.path


@pytest.mark.root
@pytest.mark.features("tracefs_instances")
@pytest.mark.parametrize(
    "name", ["foreign", "../instances/foreign", "probeplan-x/../foreign", "probeplan/../foreign"]
)
def test_an_instance_under_another_name_is_never_touched(where, name: str) -> None:
    foreign = TRACEFS / "instances" / "foreign"
    foreign.mkdir()
    try:
        a_dead_journal(where, ("instance", name))
        [cleaned] = clean_up_dead_runs(directories=where)
        assert cleaned.failed == ((("instance", name), "its name is not one of ours"),)
        assert foreign.exists()
    finally:
        foreign.rmdir()


@pytest.mark.root
@pytest.mark.features("uprobe_events")
def test_an_event_of_somebody_else_is_never_touched(where) -> None:
    event = Event(group="foreign", name=f"f{os.getpid()}", path=sys.executable, offset=64)
    define_events([event], lambda _name: None)
    try:
        a_dead_journal(where, ("event", event.full_name))
        [cleaned] = clean_up_dead_runs(directories=where)
        assert cleaned.failed
        assert (TRACEFS / "events" / event.full_name).exists()
    finally:
        remove_events([event.full_name])


@pytest.mark.root
def test_what_was_journalled_and_never_made_is_no_error(where) -> None:
    path = a_dead_journal(where, ("instance", "probeplan-never"), ("event", "probeplan_n/never"))
    [cleaned] = clean_up_dead_runs(directories=where)
    assert (cleaned.removed, cleaned.failed) == ((), ())
    assert not path.exists()


def test_what_could_not_be_removed_keeps_its_journal(where) -> None:
    path = a_dead_journal(where, ("gadget", "probeplan_x"))
    [cleaned] = clean_up_dead_runs(directories=where)
    assert "does not know how to remove" in cleaned.failed[0][1]
    assert path.exists()


def test_a_journal_of_another_boot_names_nothing_that_could_be_there(where) -> None:
    path = a_dead_journal(where, ("instance", "probeplan-old"))
    path.write_text(path.read_text().replace(read_boot_id(), "another-boot"))
    [cleaned] = clean_up_dead_runs(directories=where)
    assert (cleaned.removed, cleaned.failed) == ((), ())
    assert not path.exists()


def test_what_is_undone_leaves_the_journal_and_the_last_takes_the_file_along(where) -> None:
    journal = Journal("r1", plan="p", backend="bcc", probes=1, directories=where)
    journal.add("event", "probeplan_a/one")
    journal.add("event", "probeplan_a/two")
    journal.done("event", "probeplan_a/one")
    [record] = read_journals(where)
    assert record.entries == (("event", "probeplan_a/two"),)
    journal.done("event", "probeplan_a/two")
    assert journal.close() is None
    assert not journal.path.exists()


@pytest.mark.parametrize("text", ["", "garbage", "run x\nplan y\n\n", "\0" * 100, "run\n\n+ a b"])
def test_a_file_that_is_no_journal_is_passed_over(where, text: str) -> None:
    where[0].mkdir(mode=0o700)
    (where[0] / "x.journal").write_text(text)
    assert list(read_journals(where)) == []


@pytest.mark.parametrize(
    ("key", "value"), [("run", "r\x1b[31m"), ("started", "nan"), ("pid", "many"), ("plan", "a\x85")]
)
def test_a_head_that_no_run_has_written_is_no_journal(where, key: str, value: str) -> None:
    path = a_dead_journal(where, ("event", "probeplan_x/y"))
    lines = path.read_text().splitlines()
    changed = [f"{key} {value}" if line.startswith(f"{key} ") else line for line in lines]
    path.write_text("\n".join(changed) + "\n\n")
    assert list(read_journals(where)) == []


def test_what_is_no_plain_file_is_no_journal(where) -> None:
    """A directory, a FIFO that no one writes to, a link, a file too large to be one."""
    where[0].mkdir(mode=0o700)
    (where[0] / "directory.journal").mkdir()
    os.mkfifo(where[0] / "fifo.journal")
    (where[0] / "link.journal").symlink_to("/etc/passwd")
    with (where[0] / "large.journal").open("wb") as large:
        large.truncate(10 << 30)
    (where[0] / "directory.socket").mkdir()
    assert list(read_journals(where)) == []
    assert clean_up_dead_runs(directories=where) == []


ENTRIES = (("instance", "probeplan-gone"), ("event", "probeplan_gone/hit"))


@pytest.mark.parametrize("kind", ["nothing", "another file system"])
def test_a_journal_is_kept_while_tracefs_is_out_of_reach(where, tmp_path: Path, kind: str) -> None:
    """That nothing is found there does not prove that it is gone."""
    tracefs = tmp_path / "tracing"
    if kind != "nothing":
        (tracefs / "instances").mkdir(parents=True)
    path = a_dead_journal(where, *ENTRIES)
    [cleaned] = clean_up_dead_runs(directories=where, tracefs=tracefs)
    assert [entry for entry, _ in cleaned.failed] == list(ENTRIES)
    assert "tracefs is not mounted" in cleaned.failed[0][1]
    assert path.exists()


def test_what_is_gone_from_a_read_only_tracefs_is_proven_to_be_gone(
    where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removing what is not there fails there too: with EROFS, before the kernel looks for it."""

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("orchestrator.run.safety.undo.os.rmdir", refuse)
    monkeypatch.setattr("orchestrator.run.safety.undo._append", refuse)
    (tmp_path / "tracing" / "events").mkdir(parents=True)
    path = a_dead_journal(where, *ENTRIES)
    [cleaned] = clean_up_dead_runs(directories=where, tracefs=tmp_path / "tracing")
    assert (cleaned.removed, cleaned.failed) == ((), ())
    assert not path.exists()


def test_a_line_that_was_cut_off_is_an_error_of_the_host(where, monkeypatch) -> None:
    """A limit on file sizes shortens the last write, and reports nothing."""
    journal = Journal("r1", plan="p", backend="b", probes=1, directories=where)
    with monkeypatch.context() as patch:
        patch.setattr("orchestrator.run.safety.journal.os.write", lambda _file, _text: 3)
        with pytest.raises(HostError, match="File too large"):
            journal.add("event", "probeplan_x/y")
    journal.close()


def test_a_directory_that_others_may_write_to_is_not_trusted(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    fallback = tmp_path / "fallback"
    journal = Journal("r1", plan="p", backend="b", probes=1, directories=(open_to_all, fallback))
    assert journal.directory == fallback
    journal.close()
    with pytest.raises(JournalError, match="open: not a directory, or writable by another user"):
        Journal("r2", plan="p", backend="b", probes=1, directories=(open_to_all,))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(JournalError):
        Journal("r1", plan="p", backend="b", probes=1, directories=(tmp_path / "link",))


def test_a_full_disk_under_the_journal_is_told_as_the_hosts_fault(where, monkeypatch) -> None:
    journal = Journal("r1", plan="p", backend="b", probes=1, directories=where)
    with Path("/dev/full").open("wb") as full, monkeypatch.context() as patch:
        patch.setattr(journal, "_file", full.fileno())
        with pytest.raises(HostError, match="No space left on device"):
            journal.add("event", "probeplan_x/y")
    journal.close()


def test_cleanup_removes_sockets_without_a_journal_and_keeps_a_live_runs(
    where: tuple[Path, ...],
) -> None:
    """A run that was killed between its two last steps leaves one; `dry_run` leaves it there."""
    live = Journal("live", plan="p", backend="bcc", probes=1, directories=where)
    orphan = where[0] / "dead.socket"
    for path in (orphan, socket_path(live.path)):
        path.touch()
    clean_up_dead_runs(directories=where, dry_run=True)
    assert orphan.exists()
    clean_up_dead_runs(directories=where)
    assert not orphan.exists()
    assert socket_path(live.path).exists()
    live.close()
