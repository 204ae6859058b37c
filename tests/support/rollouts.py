"""The collection's playbooks, played against the hosts of a lab."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.collection import SOURCE, program
from tests.support.netlab import Lab
from tests.support.paths import ROOT

__all__ = ["COMMAND", "Played", "Rollouts"]

#: probeplan of this source tree, from any directory; by the interpreter that runs the tests.
COMMAND = ("/usr/bin/env", f"PYTHONPATH={ROOT}", program("python"), "-m", "orchestrator.cli")
_RECAP = re.compile(r"^(\S+) +: (ok=.*)$", re.MULTILINE)
_SECONDS = 600  # with an installation by pipx, on a busy machine


@dataclass(frozen=True, slots=True)
class Played:
    """A playbook that was played."""

    exit_code: int
    text: str

    @property
    def recap(self) -> Mapping[str, Mapping[str, int]]:
        """By host, how many tasks were ok, changed, unreachable, failed, …"""
        return {
            host: {
                name: int(count) for name, _, count in (p.partition("=") for p in counts.split())
            }
            for host, counts in _RECAP.findall(self.text)
        }

    def changed(self) -> set[str]:
        """The hosts on which something was changed."""
        return {host for host, counts in self.recap.items() if counts["changed"]}


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Plays the playbooks of the source tree; what they write on the controller is in `folder`."""

    lab: Lab
    folder: Path

    @classmethod
    def prepare(cls, lab: Lab, folder: Path) -> "Rollouts":
        place = folder / "collections" / "ansible_collections" / "probeplan" / "fleet"
        place.parent.mkdir(parents=True)
        place.symlink_to(SOURCE)
        return cls(lab, folder)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(
        self, playbook: str, *options: str, inventory: Path | None = None, **variables: Any
    ) -> "subprocess.Popen[str]":
        """Begin to play, with these extra variables, in a session as that of a terminal."""
        known = {
            "probeplan_command": COMMAND,
            "rollout_controller_command": COMMAND,
            "rollout_results": str(self.results),
        }
        words = [program("ansible-playbook"), playbook, "-i", inventory or self.lab.inventory]
        extra = ["-e", json.dumps(known | variables)]
        return subprocess.Popen(
            self.lab.command([*words, *extra, *options]),
            cwd=self.folder,
            env=self.lab.environment
            | {
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
                "PWD": str(self.folder),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def play(self, playbook: str, *options: str, **variables: Any) -> Played:
        return self.finish(self.start(playbook, *options, **variables))

    def finish(self, playing: "subprocess.Popen[str]") -> Played:
        text, _ = playing.communicate(timeout=_SECONDS)
        return Played(playing.returncode, text)

    def result(self, plan: str, rollout: str, host: str) -> Any:
        """The collected result of a host."""
        path = self.results / plan / rollout / "hosts" / host / "result.json"
        return json.loads(path.read_text())

    def merged(self, plan: str, rollout: str) -> Any:
        return json.loads((self.results / plan / rollout / "merged" / "merged.json").read_text())

    def on(self, host: str, argv: Sequence[str | Path]) -> str:
        """What a command in the host prints."""
        return subprocess.check_output(self.lab.hosts[host].command(argv), text=True)
