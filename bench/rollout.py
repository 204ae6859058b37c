"""One ring of eight hosts by the playbook, compared with the same run by `ansible -m command`."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, Target
from bench.setting import PLANS, NotPossible, Setting

if TYPE_CHECKING:
    from tests.support.rollouts import Rollouts

__all__ = ["rollout"]

HOSTS = 8
_PLAN = PLANS / "count.yaml"
_NAME = "bench-count"
#: What each host runs while the plan counts.
_WORKLOAD = ("sleep", "1")
_THRICE = Target(at="most", bound=3)


def rollout(setting: Setting) -> list[Figure]:
    """In turns, after one of each that is not counted: connections and compiled programs are there
    for both."""
    from tests.support.netlab import open_lab  # needs Ansible and an unpacked sshd
    from tests.support.rollouts import Rollouts

    hosts = setting.of(HOSTS, least=2)
    try:
        with open_lab(hosts) as lab:
            return _measure(setting, Rollouts.prepare(lab, setting.directory / "rollouts"))
    except FileNotFoundError as error:
        raise NotPossible(str(error)) from None


def _measure(setting: Setting, rollouts: "Rollouts") -> list[Figure]:
    hosts = len(rollouts.lab.hosts)
    _play(rollouts)
    _ask(rollouts)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(setting.rounds):
        setting.say(f"rollout: round {number + 1}")
        theirs.append(_time(lambda: _ask(rollouts)))
        ours.append(_time(lambda: _play(rollouts)))
    return [
        Figure(
            name=f"one ring of {hosts} hosts, from facts to the merge",
            unit="s",
            ours=ours,
            peer="ansible -m command: run",
            theirs=theirs,
            target=_THRICE if hosts == HOSTS else None,
        )
    ]


def _time(action: Callable[[], None]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def _play(rollouts: "Rollouts") -> None:
    played = rollouts.play(
        "probeplan.fleet.rollout",
        rollout_plan=str(_PLAN),
        rollout_name=_NAME,
        rollout_workload=_WORKLOAD,
        rollout_rings=["100%"],
        rollout_check=False,
    )
    if played.exit_code != 0:
        raise NotPossible(f"the rollout ended with {played.exit_code}: {played.text[-2000:]}")


def _ask(rollouts: "Rollouts") -> None:
    from tests.support.collection import program
    from tests.support.rollouts import COMMAND

    argv = [*COMMAND, "run", str(_PLAN), "--no-progress", "--", *_WORKLOAD]
    ansible = [program("ansible"), "fleet", "-i", rollouts.lab.inventory]
    _run(
        rollouts.lab.command(
            [*ansible, "-m", "ansible.builtin.command", "-a", json.dumps({"argv": argv})]
        ),
        rollouts.lab.environment,
    )


def _run(argv: list[str], environment: Mapping[str, Any]) -> None:
    done = subprocess.run(
        argv,
        env=dict(os.environ) | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NotPossible(f"{argv[-4]} ended with {done.returncode}: {done.stdout[-2000:]}")
