"""The names that the package offers, and what importing it costs."""

import subprocess
import sys

import pytest

import orchestrator


def test_the_public_api_is_what_it_says() -> None:
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = orchestrator.nothing


def test_importing_the_command_imports_nothing_heavy() -> None:

    heavy = {"numpy", "structlog", "rich", "jsonschema", "orjson", "bcc", "elftools"}
    code = "import sys, orchestrator.cli.run; print(*(m for m in sys.modules if '.' not in m))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy & set(found.stdout.split()) == set()
