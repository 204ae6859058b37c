"""Test sessions in which the pytest plugin is loaded, and no other but those that are asked for."""

import pytest

from tests.support.paths import ROOT

__all__ = ["PLUGIN", "isolate_session"]

PLUGIN = ("-p", "orchestrator.pytest_plugin.plugin")


def isolate_session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sessions of `pytester` load this tree's plugin, whether one is installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")
