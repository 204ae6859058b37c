"""Tasks of the collection, played against the hosts of a lab, and what each of them returned."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.collection import copy_collection, program
from tests.support.netlab import Lab
from tests.support.rollouts import COMMAND

__all__ = ["Played", "play_tasks"]

_CALLBACKS = Path(__file__).parent / "ansible_callbacks"
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Played:
    """What was played: `results` by task and host, with `state` in each; `text`: what Ansible
    printed."""

    exit_code: int
    results: Mapping[tuple[str, str], Mapping[str, Any]]
    text: str

    def of(self, task: str, host: str = "host01") -> Mapping[str, Any]:
        assert (task, host) in self.results, self.text
        return self.results[task, host]


def play_tasks(lab: Lab, folder: Path, plays: Sequence[Mapping[str, Any]]) -> Played:
    """Play `plays` from `folder`, where files/ is, with the modules of this source tree and the
    probeplan of this source tree on each host."""
    copy_collection(folder / "collections")
    defaults = {"group/probeplan.fleet.fleet": {"probeplan_command": list(COMMAND)}}
    common = {
        "hosts": "fleet",
        "gather_facts": False,
        "module_defaults": defaults,
        "vars": {"ansible_async_dir": "/run/ansible-async"},  # hosts share /root
    }
    playbook, record = folder / "site.yml", folder / "tasks.jsonl"
    playbook.write_text(yaml.safe_dump([{**common, **play} for play in plays], sort_keys=False))
    done = subprocess.run(
        lab.command([program("ansible-playbook"), "-i", lab.inventory, playbook, "--diff"]),
        env={
            **lab.environment,
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": "record_tasks",
            "TASKS_FILE": str(record),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    text = done.stdout + done.stderr
    return Played(done.returncode, _read_results(record, text), text)


def _read_results(record: Path, text: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    assert record.exists(), text
    lines = map(json.loads, record.read_text().splitlines())
    return {
        (line["task"], line["host"]): {**line["result"], "state": line["state"]} for line in lines
    }
