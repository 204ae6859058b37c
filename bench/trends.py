"""`python -m bench.trends`: does Apache Otava find a step in the series that `check --csv` writes?

A program makes one call in a thousand more from one commit on. Its check is measured at each of 24
commits, appended to a CSV file, and Otava has to name that commit, and no other column. Otava is
installed into build/otava: it needs a third of a gigabyte of packages, which tests should not.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_OTAVA = ROOT / "build" / "otava"
_COMMITS, _STEP, _CALLS = 24, 12, 1000

_CHECK = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: work, summary: a program that does more from one commit on}
plan:
  probes:
    call:
      attach: "tracepoint:raw_syscalls:sys_enter"
      let: {number: args.id}
      metrics: {calls: {count: true, by: [number]}}
workload: {run: [python3, $(here)/work.py], repeats: 2}
expect:
  all: call.calls <= 10000
  opens: call.calls[number == SYS_openat] <= 10000
"""
_PROGRAM = "import os\nfor _ in range({calls}): os.getppid()\n"
_CONFIGURATION = """
tests:
  work:
    type: csv
    file: {file}
    time_column: time
    attributes: [commit]
    metrics: [work.all, work.opens]
"""


def main() -> int:
    """Exit code: 0 when the step is found and nothing else; 1 otherwise."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # for the user that runs the workload
        commits = list(_write_series(folder))
        print((folder / "series.csv").read_text())
        found = list(_find_changes(folder))
    wanted = [("work.all", commits[_STEP])]
    print(f"Otava found {found}; the step is {wanted}")
    return 0 if found == wanted else 1


def _write_series(folder: Path) -> Iterator[str]:
    """A repository, and a row for each of its commits, which are returned."""
    (folder / "check.yaml").write_text(_CHECK)
    _run("git", "init", "--quiet", cwd=folder)
    for number in range(_COMMITS):
        calls = _CALLS + (number >= _STEP)
        (folder / "work.py").write_text(f"# {number}\n" + _PROGRAM.format(calls=calls))
        _run("git", "add", "check.yaml", "work.py", cwd=folder)
        author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        _run("git", *author, "commit", "--quiet", "--message", f"commit {number}", cwd=folder)
        check = (sys.executable, "-m", "orchestrator.cli", "check", str(folder / "check.yaml"))
        _run(*check, "--csv", str(folder / "series.csv"), cwd=ROOT)
        yield _run("git", "rev-parse", "HEAD", cwd=folder).strip()


def _find_changes(folder: Path) -> Iterator[tuple[str, str]]:
    """What Otava finds: column and commit."""
    (folder / "otava.yaml").write_text(_CONFIGURATION.format(file=folder / "series.csv"))
    command = (str(_install_otava()), "analyze", "--config-file", str(folder / "otava.yaml"))
    said = _run(*command, "--output", "json", "work", cwd=folder)
    changes: list[dict[str, Any]] = json.loads(said[said.index("{") :])["work"]
    for change in changes:
        for metric in change["changes"]:
            yield metric["metric"], change["attributes"]["commit"]


def _install_otava() -> Path:
    program = _OTAVA / "bin" / "otava"
    if not program.exists():
        venv.create(_OTAVA, with_pip=True)
        _run(str(_OTAVA / "bin" / "pip"), "install", "--quiet", "apache-otava~=0.8.0", cwd=ROOT)
    return program


def _run(*command: str, cwd: Path) -> str:
    """Standard output of a command that has to succeed; its errors are shown."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    os.environ.pop("GITHUB_ACTIONS", None)
    sys.exit(main())
