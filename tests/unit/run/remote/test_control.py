"""A run's control channel: who may ask, and that no one who does can hurt a run or hold it up."""

import json
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.run.remote.control import Control, send_request
from orchestrator.run.safety.journal import Journal, read_journals, socket_path
from orchestrator.run.safety.leftovers import clean_up_dead_runs
from tests.support.paths import ROOT


def serve(request: Mapping[str, Any], uid: int) -> dict[str, Any]:
    if request["do"] == "fail":
        raise PlanError([Finding(code="PP092", message="cannot", hint="do not")])
    return {"did": request["do"], "uid": uid}


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control(tmp_path / "run.socket", serve)
    assert made.trouble is None
    yield made
    made.close()


def asked(control: Control, path: Path, packet: bytes) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(path))
        control.answer_requests()  # nothing is said yet: it does not wait
        client.send(packet)
        control.answer_requests()
        return json.loads(client.recv(65536))


def test_the_owner_is_answered(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "run.socket"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert asked(control, path, b'{"do": "x"}') == {"did": "x", "uid": os.geteuid()}
    assert asked(control, path, b'{"do": "fail"}') == {"error": "cannot", "hint": "do not"}


@pytest.mark.parametrize("packet", [b"{", b"\xff\x00", b"[1]", b"[" * 60_000])
def test_what_is_no_request_is_refused_and_hurts_nobody(
    control: Control, tmp_path: Path, packet: bytes
) -> None:
    assert "error" in asked(control, tmp_path / "run.socket", packet)
    assert "did" in asked(control, tmp_path / "run.socket", b'{"do": "x"}')


def test_who_says_nothing_or_goes_away_holds_nobody_up(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "run.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.connect(str(path))
        others = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(40)]
        for one in others:
            one.connect(str(path))
            control.answer_requests()
        for _ in range(20):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
                gone.connect(str(path))
                gone.send(b'{"do": "x"}')
            control.answer_requests()
        assert "did" in asked(control, path, b'{"do": "x"}')
        for one in others:
            one.close()


@pytest.mark.root
def test_another_user_is_refused_even_if_the_socket_let_it_in(
    control: Control, tmp_path: Path
) -> None:
    path = tmp_path / "run.socket"
    path.chmod(0o666)
    directory = os.open(tmp_path, os.O_PATH)
    try:
        os.chdir(directory)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            tmp_path.chmod(0o755)
            os.seteuid(65534)
            try:
                client.connect("run.socket")
            finally:
                os.seteuid(0)
            client.send(b'{"do": "x"}')
            control.answer_requests()
            assert "uid 65534 is not permitted" in json.loads(client.recv(65536))["error"]
    finally:
        os.close(directory)
        os.chdir(ROOT)


def test_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="does not answer"):
        send_request(tmp_path / "run.journal", {"do": "status"})


def test_cleaning_up_after_a_dead_run_takes_its_socket_too(tmp_path: Path) -> None:
    """Killed, it left both behind; here the lock is let go as a kill lets it."""
    journal = Journal("abc", plan="p", backend="bcc", probes=1, directories=(tmp_path,))
    control = Control(socket_path(journal.path), serve)
    os.close(journal._file)
    journal._file = -1
    assert [record.dead for record in read_journals((tmp_path,))] == [True]
    clean_up_dead_runs(directories=(tmp_path,))
    assert list(tmp_path.iterdir()) == []
    control.close()
