"""The collection passes ansible-test sanity, of the ansible-core at hand."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.collection import copy_collection, program, sanity_environment

pytestmark = pytest.mark.slow

CHECKS = ("compile", "import", "validate-modules", "yamllint")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
Judge = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_collection(tmp_path_factory.mktemp("collections"))


@pytest.fixture(scope="module")
def judge(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Run the named checks; what they print, and their exit code."""
    environment = sanity_environment(tmp_path_factory.mktemp("home"))

    def run(*checks: str) -> subprocess.CompletedProcess[str]:
        named = [word for check in checks for word in ("--test", check)]
        return subprocess.run(
            [program("ansible-test"), "sanity", "--color", "no", "--python", PYTHON, *named],
            cwd=collection,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_collection_passes_each_check(judge: Judge) -> None:
    done = judge(*CHECKS)
    assert done.returncode == 0, done.stdout + done.stderr
    for check in CHECKS:
        assert f'Running sanity test "{check}"' in done.stdout + done.stderr
    assert "Skipping" not in done.stdout + done.stderr


def test_a_parameter_without_documentation_fails(judge: Judge, collection: Path) -> None:
    module = collection / "plugins" / "modules" / "facts.py"
    text = module.read_text()
    spec = "    **COMMAND_SPEC,\n"
    assert spec in text
    module.write_text(text.replace(spec, spec + '    "extra": {"type": "str"},\n'))
    try:
        done = judge("validate-modules")
    finally:
        module.write_text(text)
    assert done.returncode == 1
    assert "facts.py:0:0: undocumented-parameter: Argument 'extra'" in done.stdout + done.stderr
