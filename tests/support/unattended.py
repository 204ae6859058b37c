"""A host for unattended runs: the files of this one, with its own machine id, /var/lib/probeplan
and /run. They are in a mount namespace that ends with the process which holds it, so that nothing
is left on this host, whatever becomes of the test."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.cli.test_run import ENVIRONMENT
from tests.support.fake_runs import checked_lines
from tests.support.paths import ROOT
from tests.support.results import checked_result

__all__ = ["Ended", "StateHost", "UnattendedEnd", "hold_state_host"]

_STATE = "/var/lib/probeplan"
#: /var/lib is hidden, since there may be no such folder in it, and none is made on this host. /etc
#: is a copy in which only the id differs.
_HOLD = f"""
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -m 700 {_STATE} /var/lib/etc /var/lib/work
mount -t tmpfs -o "mode=700,size=$0" tmpfs {_STATE}
mount -t tmpfs -o mode=755 tmpfs /run
chmod 755 /var/lib/etc
mount -t overlay -o lowerdir=/etc,upperdir=/var/lib/etc,workdir=/var/lib/work overlay /etc
rm -f /etc/machine-id
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
echo held
exec cat
"""
_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that has ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> dict[str, Any]:
        """The last JSON line."""
        fields: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return fields


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StateHost:
    """The host in the namespace of the process `holder`."""

    holder: int

    @property
    def state(self) -> Path:
        """Its /var/lib/probeplan, from outside."""
        return self._from_outside(_STATE)

    @property
    def machine_id(self) -> str:
        return self._from_outside("/etc/machine-id").read_text().strip()

    def set_machine_id(self, text: str) -> None:
        self._from_outside("/etc/machine-id").write_text(f"{text}\n")

    def start_python(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """`python ARGUMENTS` there; the process is the one that is returned."""
        enter = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "sh", "-c", 'cd "$0"; exec "$@"']
        return subprocess.Popen(
            [*enter, str(ROOT), sys.executable, *arguments],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def python(self, *arguments: str) -> Ended:
        """`python ARGUMENTS` there, to its end."""
        process = self.start_python(*arguments)
        out, err = process.communicate()
        return Ended(code=process.returncode, out=out.decode(), err=err.decode())

    def probeplan(self, *arguments: str) -> Ended:
        """`probeplan ARGUMENTS` there, to its end."""
        return self.python("-m", "orchestrator.cli", *arguments)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """`probeplan run …`, whose process is the one that is returned."""
        return self.start_python("-m", "orchestrator.cli", "run", *arguments)

    def run(self, *arguments: str, command: Sequence[str] = ()) -> UnattendedEnd:
        """`probeplan run … --unattended -- command`, to its end."""
        words = ("--", *command) if command else ()
        return self.finish(self.start(*arguments, "--unattended", *words))

    def finish(self, process: "subprocess.Popen[bytes]") -> UnattendedEnd:
        """Wait for the end of what was started."""
        out, said = process.communicate(timeout=_SECONDS)
        lines = checked_lines(out)
        last = lines[-1] if lines else None
        result = None
        if last is not None and last.get("result") is not None:
            assert last["result"].endswith("/result.json")
            result = checked_result(self.find(last["result"]).parent)
        return UnattendedEnd(process.returncode, last, said.decode(), result)

    def find(self, path: str) -> Path:
        """Where a path below its state is here."""
        return self.state / Path(path).relative_to(_STATE)

    def results(self, plan: str) -> Sequence[Path]:
        """The directories of a plan's results, by name: run ids begin with their time."""
        return sorted((self.state / "results" / plan).iterdir())

    def quarantined(self) -> dict[str, Any] | None:
        """The only plan in quarantine."""
        files = list((self.state / "quarantine").iterdir())
        assert len(files) <= 1
        found: dict[str, Any] | None = json.loads(files[0].read_bytes()) if files else None
        return found

    def markers(self) -> list[Path]:
        """The markers of runs."""
        return list((self.state / "running").iterdir())

    def _from_outside(self, path: str) -> Path:
        return Path(f"/proc/{self.holder}/root{path}")


@contextmanager
def hold_state_host(size: str = "64m") -> Iterator[StateHost]:
    """A host without results, whose state is on a file system of `size`, as tmpfs has it."""
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _HOLD, size],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield StateHost(holder=holder.pid)
        finally:
            holder.stdin.close()  # its end
