"""A separate /var/lib/probeplan and /run for a test: in a mount namespace that ends with the
process which holds it, so that nothing is left on this host, whatever becomes of the test."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.values import dataclass
from tests.support.paths import ROOT as REPOSITORY

__all__ = ["Ended", "OwnState", "hold_own_state"]

_STATE = "/var/lib/probeplan"
#: /var/lib is hidden, since there may be no such folder in it, and none is made on this host.
_HOLD = f"""
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -m 700 {_STATE}
mount -t tmpfs -o "mode=700,size=$0" tmpfs {_STATE}
mount -t tmpfs -o mode=755 tmpfs /run
echo held
exec cat
"""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnState:
    """The namespace of the process `holder`."""

    holder: int

    @property
    def root(self) -> Path:
        """/var/lib/probeplan, from outside."""
        return Path(f"/proc/{self.holder}/root{_STATE}")

    def python(self, *arguments: str) -> Ended:
        """`python -m ARGUMENTS` in the namespace, to its end."""
        enter = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "sh", "-c", 'cd "$0"; exec "$@"']
        command = [*enter, str(REPOSITORY), sys.executable, "-m", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return Ended(code=ran.returncode, out=ran.stdout, err=ran.stderr)

    def probeplan(self, *arguments: str) -> Ended:
        """`probeplan ARGUMENTS` in the namespace, to its end."""
        return self.python("orchestrator.cli", *arguments)

    def results(self, plan: str) -> Sequence[Path]:
        """The directories of a plan's results, by name: run ids begin with their time."""
        return sorted((self.root / "results" / plan).iterdir())


@contextmanager
def hold_own_state(size: str = "8m") -> Iterator[OwnState]:
    """An empty state on a file system of `size`, as tmpfs has it."""
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _HOLD, size],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield OwnState(holder=holder.pid)
        finally:
            holder.stdin.close()  # its end
