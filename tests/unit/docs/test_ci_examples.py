"""The jobs in examples/ci are valid for the systems that they are for, and call us rightly."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli import _make_parser
from tests.support.paths import ROOT

FOLDER = ROOT / "examples" / "ci"
SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
JOBS = sorted(FOLDER.iterdir())


def lint(file: Path, schema: str) -> subprocess.CompletedProcess[str]:
    """What check-jsonschema says of it, by the schema that the vendor publishes."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def texts(node: Any) -> Iterator[str]:
    """All text of a document."""
    match node:
        case str():
            yield node
        case dict():
            for value in node.values():
                yield from texts(value)
        case list():
            for value in node:
                yield from texts(value)


def commands(file: Path) -> list[list[str]]:
    """The arguments of probeplan wherever it is called."""
    found = []
    for text in texts(yaml.safe_load(file.read_text())):
        words = shlex.split(text)
        for at, word in enumerate(words):
            if re.fullmatch(r"(.*/bin/)?probeplan", word) and words[at + 1 :]:
                found.append(words[at + 1 :])
    return found


def test_each_job_is_for_a_system_that_is_known() -> None:
    assert {job.name.partition("-")[0] for job in JOBS} == SCHEMAS.keys()


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_is_as_its_system_wants_it(job: Path) -> None:
    linted = lint(job, SCHEMAS[job.name.partition("-")[0]])
    assert linted.returncode == 0, linted.stdout + linted.stderr


def audit(folder: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    """What zizmor finds in workflows; tags of GitHub's own actions are taken for pinned."""
    (folder / "zizmor.yml").write_text(
        "rules: {unpinned-uses: {config: {policies: {'actions/*': ref-pin}}}}\n"
    )
    zizmor = Path(sys.executable).parent / "zizmor"
    command = [zizmor, "--offline", "--no-progress", "--config", folder / "zizmor.yml", *files]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_workflows_keep_no_credentials_and_take_no_foreign_code(tmp_path: Path) -> None:
    audited = audit(tmp_path, *FOLDER.glob("github-*"))
    assert audited.returncode == 0, audited.stdout


def test_a_workflow_that_runs_foreign_text_is_found(tmp_path: Path) -> None:
    text = (FOLDER / "github-check.yaml").read_text()
    text = text.replace("check checks/", "check ${{ github.event.pull_request.title }}")
    (tmp_path / "job.yaml").write_text(text)
    assert "template-injection" in audit(tmp_path, tmp_path / "job.yaml").stdout


@pytest.mark.parametrize("system", SCHEMAS)
def test_a_mistake_in_a_job_is_found(tmp_path: Path, system: str) -> None:
    text = (FOLDER / f"{system}-check.yaml").read_text()
    (tmp_path / "job.yaml").write_text(re.sub(r"timeout(-minutes)?: .*", r"timeout\1: [1]", text))
    assert lint(tmp_path / "job.yaml", SCHEMAS[system]).returncode == 1


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_calls_a_command_with_options_that_it_has(job: Path) -> None:
    [words] = commands(job)
    args = _make_parser(words[0]).parse_args(words)
    assert args.command == re.search(r"-(\w+)\.yaml", job.name).group(1)


def test_sudo_passes_on_what_says_that_github_reads_our_output() -> None:
    source = ROOT / "orchestrator" / "cli" / "check"
    read = set(re.findall(r'"(GITHUB_\w+|CI)"', (source / "github.py").read_text()))
    read |= set(re.findall(r'environ\.get\("(\w+)"', (source / "command.py").read_text()))
    job = (FOLDER / "github-check.yaml").read_text()
    assert set(re.search(r"--preserve-env=(\S+)", job).group(1).split(",")) == read


def test_what_a_job_keeps_is_what_it_writes() -> None:
    for job in JOBS:
        [words] = commands(job)
        written = {words[at + 1] for at, word in enumerate(words) if word in _FILES}
        kept = set(re.findall(r"\b(\w+\.(?:jsonl|xml|txt))\b", job.read_text()))
        assert written == kept


_FILES = ("--out", "--junit", "--openmetrics", "--bmf", "--csv")
