"""A host for unattended runs: the files of this one, with its own machine id, and with state and
journals that are kept from one run to the next and seen by these runs alone."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.cli.test_run import ENVIRONMENT
from tests.support.fake_runs import checked_lines
from tests.support.paths import ROOT
from tests.support.results import checked_result

__all__ = ["StateHost", "UnattendedEnd"]

STATE = "/var/lib/probeplan"
#: Mounts are of this run alone, and end with it. /etc is a copy in which only the id differs.
_MOUNTS = f"""
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir {STATE} /var/lib/etc /var/lib/work
mount --bind "$0/state" {STATE}
mount --bind "$0/run" /run
mount -t overlay -o lowerdir=/etc,upperdir=/var/lib/etc,workdir=/var/lib/work overlay /etc
rm -f /etc/machine-id
[ -z "$1" ] || echo "$1" >/etc/machine-id
shift
exec "$@"
"""

_OWN_MOUNTS = ("unshare", "--mount", "sh", "-ec", _MOUNTS)


@dataclass(frozen=True, slots=True)
class UnattendedEnd:
    """An invocation that is over: its exit code, its last line (valid; None: it wrote none), what
    it said on standard error, and its result (valid; None: it kept none)."""

    code: int
    last: dict[str, Any] | None
    said: str
    result: dict[str, Any] | None

    @property
    def outcome(self) -> tuple[int, str, str]:
        """Exit code, kind of the last line, outcome; the result and the last line agree."""
        assert self.last is not None, self.said
        assert self.result is not None, self.said
        for name in ("run_id", "plan_sha256", "outcome", "exit_code"):
            assert self.result["run"][name] == self.last[name]
        return self.code, self.last["event"], self.last["outcome"]


class StateHost:
    """`state`: what its /var/lib/probeplan is; `machine_id`: "" for a host without one."""

    def __init__(self, folder: Path, machine_id: str = "0123456789abcdef0123456789abcdef") -> None:
        self._folder, self.state = folder, folder / "state"
        self.state.mkdir(mode=0o700)
        (folder / "run").mkdir(mode=0o700)
        self.machine_id = machine_id

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """`probeplan run …`, whose process is the one that is returned."""
        command = [sys.executable, "-m", "orchestrator.cli", "run", *arguments]
        return subprocess.Popen(
            [*_OWN_MOUNTS, str(self._folder), self.machine_id, *command],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, command: Sequence[str] = ()) -> UnattendedEnd:
        """`probeplan run … --unattended -- command`, to its end."""
        words = ("--", *command) if command else ()
        return self.finish(self.start(*arguments, "--unattended", *words))

    def finish(self, process: "subprocess.Popen[bytes]") -> UnattendedEnd:
        """Wait for the end of what was started."""
        out, said = process.communicate(timeout=60)
        lines = checked_lines(out)
        last = lines[-1] if lines else None
        result = None
        if last is not None and last.get("result") is not None:
            assert last["result"].endswith("/result.json")
            result = checked_result(self.find(last["result"]).parent)
        return UnattendedEnd(process.returncode, last, said.decode(), result)

    def find(self, path: str) -> Path:
        """Where a path of the host is here."""
        return self.state / Path(path).relative_to(STATE)

    def quarantined(self) -> dict[str, Any] | None:
        """The only plan in quarantine."""
        files = list((self.state / "quarantine").iterdir())
        assert len(files) <= 1
        found: dict[str, Any] | None = json.loads(files[0].read_bytes()) if files else None
        return found

    def markers(self) -> list[Path]:
        """The markers of runs."""
        return list((self.state / "running").iterdir())
