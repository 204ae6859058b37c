"""The script that a rehearsal's machine executes: read by a shell, as the guest reads it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.lab.rehearsal_job import OutputPlace, RehearsalJob, is_in_guest, job_script

NASTY = "a b'c\"$(touch /tmp/never)`x`\n;*\\"


def words_of(line: str) -> list[str]:
    """The words that /bin/sh makes of a line, one command's."""
    script = line.replace("exec ", "printf '%s\\0' ", 1)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
    return done.stdout.decode(errors="surrogateescape").split("\0")[:-1]


def test_every_word_reaches_the_run_as_it_was_given() -> None:
    """Options, command and environment, with all that a shell would make something of."""
    env = {"A": NASTY, "B%%": "() { x; }", "-S": "no"}
    job = RehearsalJob(words=["p.yaml", f"--set=a={NASTY}", "--", NASTY], cwd=Path("/"), env=env)
    command = job_script(job).partition("exec ")[2].rpartition(" <")[0]
    words = words_of(f"exec {command}")
    assert words[:5] == ["env", "-i", f"A={NASTY}", "B%%=() { x; }", sys.executable]
    assert words[-5:] == ["run", "p.yaml", f"--set=a={NASTY}", "--", NASTY]


def test_the_program_that_runs_is_this_one(tmp_path: Path) -> None:
    """Not one that lies in the command's folder."""
    (tmp_path / "orchestrator").mkdir()
    (tmp_path / "orchestrator" / "__init__.py").write_text("raise SystemExit('a stranger')")
    job = RehearsalJob(words=["--help"], cwd=Path("/"), env={})
    command = job_script(job).partition("exec ")[2].rpartition(" <")[0]
    done = subprocess.run(
        shlex.split(command), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: probeplan run PLAN")


def test_outputs_are_put_over_the_places_that_they_have_here() -> None:
    outputs = (
        OutputPlace(name="log", place=Path("/a b/run.log")),
        OutputPlace(name="out", place=Path("/a b/out"), is_folder=True),
        OutputPlace(name="folded"),
    )
    script = job_script(RehearsalJob(words=[], cwd=Path("/a b"), env={}, outputs=outputs))
    mounts = [shlex.split(line)[:4] for line in script.splitlines() if line.startswith("mount")]
    assert mounts == [
        ["mount", "--bind", "/run/share/brought-back/log", "/a b/run.log"],
        ["mount", "--bind", "/run/share/brought-back/out", "/a b/out"],
    ]
    assert "cd '/a b' || exit 126" in script.splitlines()
    assert str(outputs[2].guest_path) == "/run/share/brought-back/folded"


@pytest.mark.parametrize(
    ("path", "is_there"),
    [("/tmp/x", True), ("/", True), ("/run", False), ("/run/user/1", False), ("/runner", True)],  # noqa: S108
)
def test_folders_that_the_guest_has_for_itself(path: str, is_there: bool) -> None:
    assert is_in_guest(Path(path)) is is_there
