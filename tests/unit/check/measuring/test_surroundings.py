"""Users, environments, commits, and servers that listen."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from orchestrator.check.measuring.commands import CommandMaker
from orchestrator.check.measuring.environment import find_commit
from orchestrator.check.measuring.readiness import make_test
from orchestrator.check.measuring.users import WorkloadUser, find_user
from orchestrator.check.model import Workload
from orchestrator.plan.findings import NOWHERE, PlanError

USER = WorkloadUser(uid=os.getuid(), gid=os.getgid(), groups=(), name="me", home="/home/me")


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_what_is_checked_out(tmp_path: Path) -> None:
    """On a branch, packed or not, without a branch, and in a worktree."""
    repository, inner = tmp_path / "r", tmp_path / "r" / "a" / "b"
    inner.mkdir(parents=True)
    assert find_commit(inner) == ""
    git(repository, "init", "-q")
    git(repository, "commit", "-q", "--allow-empty", "-m", "one")
    first = git(repository, "rev-parse", "HEAD")
    assert find_commit(inner) == first
    git(repository, "pack-refs", "--all")
    assert find_commit(inner) == first
    git(repository, "worktree", "add", "-q", str(tmp_path / "w"))
    git(tmp_path / "w", "commit", "-q", "--allow-empty", "-m", "two")
    assert find_commit(tmp_path / "w") == git(tmp_path / "w", "rev-parse", "HEAD") != first
    git(repository, "checkout", "-q", "--detach")
    assert find_commit(repository) == first


def test_the_user_is_who_called_sudo_or_who_is_named() -> None:
    assert find_user("", NOWHERE, {}).uid == os.getuid()
    assert find_user("root", NOWHERE, {}).home == "/root" if os.getuid() == 0 else True
    if os.getuid() == 0:
        other = find_user("nobody", NOWHERE, {})  # words: ok
        assert find_user("", NOWHERE, {"SUDO_UID": str(other.uid)}) == other
    with pytest.raises(PlanError, match="no user 'no-such-user'"):
        find_user("no-such-user", NOWHERE)


def maker(folder: Path, **given: object) -> CommandMaker:
    workload = Workload(run=("true",), **given)  # type: ignore[arg-type]
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return CommandMaker(
        workload=workload,
        user=USER,
        here=folder,
        scratch=scratch,
        inherited={"TERM": "xterm", "PASSED": "on"},
    )


def test_an_environment_has_what_the_check_says_and_no_more(tmp_path: Path) -> None:
    given = maker(tmp_path, env={"OWN": "1", "TZ": "CET"}, pass_env=("PASSED", "ABSENT"))
    assert given.make(("true",)).env == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/home/me",
        "USER": "me",
        "LOGNAME": "me",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "CET",
        "PYTHONHASHSEED": "0",
        "PASSED": "on",
        "OWN": "1",
    }
    assert "PYTHONHASHSEED" not in maker(tmp_path, steady=False).make(("true",)).env


def test_a_program_is_on_the_path_of_the_workload_or_beside_the_check(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "bin", tmp_path / "scratch"):
        place.mkdir(exist_ok=True)
        (place / f"tool-{place.name}").write_text("#!/bin/sh\n")
        (place / f"tool-{place.name}").chmod(0o755)
    given = maker(tmp_path, env={"PATH": f"/none:{tmp_path / 'bin'}"})
    assert given.make(("tool-bin",)).program == str(tmp_path / "bin" / "tool-bin")
    assert given.make((f"./tool-{tmp_path.name}",)).program == str(
        tmp_path / f"tool-{tmp_path.name}"
    )
    assert given.make(("./tool-scratch",)).program == str(tmp_path / "scratch" / "tool-scratch")
    for missing in ("tool-scratch", "./none", "/none/at/all", str(tmp_path)):
        with pytest.raises(PlanError, match="cannot be started"):
            given.make((missing,))


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0")],  # noqa: S104
)
def test_a_server_that_listens_is_found_without_a_connection(
    family: socket.AddressFamily, address: str
) -> None:
    with socket.socket(family) as server:
        server.bind((address, 0))
        port = server.getsockname()[1]
        test = make_test(f"tcp:localhost:{port}", lambda: b"")
        other = make_test(f"tcp:127.0.0.2:{port}", lambda: b"")
        assert not test(os.getpid())
        server.listen()
        assert test(os.getpid())
        assert other(os.getpid()) == (address != "127.0.0.1")
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_server_is_ready_by_its_file_or_a_line_of_its_output(tmp_path: Path) -> None:
    file = tmp_path / "up"
    by_file = make_test(f"file:{file}", lambda: b"")
    assert not by_file(1)
    file.touch()
    assert by_file(1)
    assert make_test("line:to serve", lambda: b"x\nready to serve now\n")(1)
    assert not make_test("line:to serve", lambda: b"ready\nto\nserve\n")(1)
