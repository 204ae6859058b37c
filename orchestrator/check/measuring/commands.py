"""From a command of a workload to the settings of its process."""

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.check.measuring.users import WorkloadUser
from orchestrator.check.model import Argv, Workload
from orchestrator.check.processes.settings import ProcessSettings
from orchestrator.plan.findings import Finding, PlanError
from orchestrator.values import dataclass

__all__ = ["CommandMaker", "cannot_start"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandMaker:
    """Makes the settings of a filled workload's processes. `here`: the check's folder."""

    workload: Workload
    user: WorkloadUser
    here: Path
    scratch: Path
    inherited: Mapping[str, str]

    def make(self, argv: Argv) -> ProcessSettings:
        """The settings of one command. Raises PlanError where there is no such program."""
        workload, environment = self.workload, self._environment()
        return ProcessSettings(
            program=self._find_program(argv[0], environment["PATH"]),
            argv=list(argv),
            env=environment,
            cwd=str(self._cwd),
            stdin=str(self.here / workload.stdin),
            uid=self.user.uid,
            gid=self.user.gid,
            groups=list(self.user.groups),
            cpu=workload.cpu,
            steady=workload.steady,
        )

    @property
    def _cwd(self) -> Path:
        """The scratch folder, or what the check says, from its own folder."""
        return self.here / self.workload.cwd if self.workload.cwd else self.scratch

    def _environment(self) -> dict[str, str]:
        """Nothing of ours: what differs between hosts would be measured (the kernel copies it)."""
        steady = {"PYTHONHASHSEED": "0"} if self.workload.steady else {}
        passed = {
            name: self.inherited[name] for name in self.workload.pass_env if name in self.inherited
        }
        return {
            "PATH": _PATH,
            "HOME": self.user.home,
            "USER": self.user.name,
            "LOGNAME": self.user.name,
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            **steady,
            **passed,
            **self.workload.env,
        }

    def _find_program(self, name: str, path: str) -> str:
        """On PATH; a path is taken from the check's folder, and else from the working folder."""
        if "/" in name:
            places = [self.here / name, self._cwd / name]
        else:
            places = [Path(folder) / name for folder in path.split(":") if folder]
        for place in places:
            if place.is_file() and os.access(place, os.X_OK):
                return str(place)
        raise cannot_start(self.workload, name, "there is no such program, or none to execute")


def cannot_start(workload: Workload, name: str, why: str) -> PlanError:
    """The error for a command that cannot be started."""
    message = f"the command {name!r} cannot be started: {why}"
    hint = "name a program on the PATH of the workload, or a path from the check's folder"
    return PlanError(
        [Finding(code="PP092", message=message, position=workload.position, hint=hint)]
    )
