"""One play of all tasks for all tests here: Ansible takes a second or two for each task."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import yaml

from tests.support.bundled_runs import build_file
from tests.support.netlab import Lab, open_lab
from tests.support.paths import ROOT
from tests.support.playbooks import Played, play_tasks
from tests.support.rollouts import COMMAND
from tests.support.signing import allow_line, make_key, sign_file
from tests.unit.docs.pages import blocks

CALLS = 321
CLOSES = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: closes, summary: Descriptors that are closed}
params: {least: {type: int, default: 900}}
limits: {duration: 60s}
probes:
  close:
    attach: tracepoint:syscalls:sys_enter_close
    where: args.fd >= params.least
    emit: {fd: args.fd}
    metrics: {calls: {count: true, by: [args.fd]}}
"""
CHANGED = CLOSES.replace("default: 900", "default: 901")
BAD = CLOSES.replace("count: true", "cuont: true").replace("args.fd >=", "args.df >=")
POLICY = """\
apiVersion: probeplan/v1
kind: Policy
signatures: {required: true, signers: /etc/probeplan/allowed_signers}
"""
CLOSE = f"import ctypes\nfor _ in range({CALLS}): ctypes.CDLL(None).close(987)"
#: Says that it was started, and ends when it may.
WAIT = "touch /run/started; until [ -e /run/go ]; do sleep 0.05; done"


def _task(title: str, module: str, /, **options: Any) -> dict[str, Any]:
    keywords = {key: options.pop(key) for key in ("check_mode", "async", "poll") if key in options}
    return {"name": title, f"probeplan.fleet.{module}": options, "ignore_errors": True, **keywords}


def _plan(title: str, /, **options: Any) -> dict[str, Any]:
    return _task(title, "plan", **{"src": "closes.yaml", **options})


def _run(title: str, /, **options: Any) -> dict[str, Any]:
    return _task(title, "run", **{"plan": "closes", "command": ["true"], **options})


def _command(title: str, *words: str) -> dict[str, Any]:
    return {"name": title, "ansible.builtin.command": {"argv": list(words)}}


def _on_both() -> list[dict[str, Any]]:
    """host02 has a policy that requires signatures, host01 has none."""
    close = [sys.executable, "-c", CLOSE]
    return [
        _plan("check", check_mode=True),
        _command("files after check", "find", "/etc/probeplan", "/run/ansible", "-type", "f"),
        _plan("install"),
        _plan("again"),
        _plan("without a signature", signature="none"),
        _plan("bad", src="bad.yaml"),
        _command("files", "find", "/etc/probeplan/plans", "-type", "f"),
        _run("exact", command=close, fetch=True, label="ring-1"),
    ]


def _on_one() -> list[dict[str, Any]]:
    over = {"until": "over is finished", "retries": 300, "delay": 1, "register": "over"}
    job = "{{ first.ansible_job_id }}"
    few = {"command": [sys.executable, "-c", CLOSE], "limits": {"events": 10}}
    first = _run("first of two", command=["sh", "-c", WAIT], **{"async": 300, "poll": 0})
    return [
        _task("nothing there", "facts", probeplan_command="/nonexistent/probeplan"),
        {**first, "register": "first"},
        {"name": "it runs", "ansible.builtin.wait_for": {"path": "/run/started"}},
        _run("second of two"),
        _command("let it end", "touch", "/run/go"),
        {"name": "over", "ansible.builtin.async_status": {"jid": job}, **over},
        _run("cut short", **few),
        _run("expired", expires=date(2020, 1, 1)),
        _run("no such param", set={"most": 1}),
        _run("an option for a label", label="--live"),
        _run("only explained", check_mode=True),
        _command("runs", "ls", "/var/lib/probeplan/results/closes"),
        _plan("changed", src="changed.yaml", name="closes"),
        _run("after a crash"),
        _plan("bundled", src="closes.ppb"),
        _plan("no such file", src="closed.yaml"),
        _plan("not a parameter", _staged={"path": "/etc/passwd"}),
        _plan("remove", src="closes.yaml", state="absent"),
        _plan("remove again", name="closes", state="absent"),
    ]


def _documented() -> list[dict[str, Any]]:
    """The play of docs/ansible.md."""
    block = next(
        one for one in blocks(ROOT / "docs" / "ansible.md", "yaml") if "hosts:" in one.text
    )
    return list(yaml.safe_load(block.text))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with open_lab(2) as lab:
        yield lab


@pytest.fixture(scope="session")
def played(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("play")
    files = folder / "files"
    files.mkdir()
    (files / "closes.yaml").write_text(CLOSES)
    (files / "bad.yaml").write_text(BAD)
    (files / "changed.yaml").write_text(CHANGED)
    build_file(files / "closes.ppb", CLOSES.encode(), ["6.1"], command=True)
    shutil.copy(ROOT / "plans" / "fs" / "opens.yaml", files)
    key = make_key(folder, "ann")
    sign_file(key, files / "closes.yaml")
    _write(lab, "host02", "/etc/probeplan/allowed_signers", allow_line("ann@example.com", key))
    _write(lab, "host02", "/etc/probeplan/policy.yaml", POLICY)
    _crash(lab, "host01", CHANGED)
    one = {"hosts": "host01"}
    [documented] = _documented()
    plays = [{"tasks": _on_both()}, {**one, "tasks": _on_one()}, {**documented, **one}]
    return play_tasks(lab, folder, plays)


def _write(lab: Lab, host: str, path: str, text: str) -> None:
    write = lab.hosts[host].command(["tee", path])
    subprocess.run(write, input=text, text=True, stdout=subprocess.DEVNULL, check=True)


def _crash(lab: Lab, host: str, plan: str) -> None:
    """Leave what is there when the host went down while it ran the plan."""
    digest = hashlib.sha256(plan.encode()).hexdigest()
    script = (
        "from pathlib import Path\n"
        "from orchestrator.run.unattended.boot_marker import place_marker\n"
        "place_marker(Path('/var/lib/probeplan/running'), plan_name='closes', run_id='1234abcd', "
        f"plan_digest={digest!r}, boot_id='another')"
    )
    *python, _module, _cli = COMMAND
    subprocess.run(lab.hosts[host].command([*python, "-c", script]), check=True)
