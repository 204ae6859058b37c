"""Every example of a module's documentation, and of docs/ansible.md, is one that it accepts."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.collection import load_plugin
from tests.support.paths import ROOT
from tests.unit.docs.pages import blocks

MODULES = ("facts", "plan", "run")
_PREFIX = "probeplan.fleet."


def _tasks(documents: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(module, parameters) of each task of the collection, in plays and lists of tasks."""
    for one in documents:
        yield from _tasks(one.get("tasks", ()))
        for key, value in one.items():
            if key.startswith(_PREFIX):
                yield key.removeprefix(_PREFIX), value or {}


def _documented() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in MODULES:
        yield from _tasks(yaml.safe_load(load_plugin(f"modules.{name}").EXAMPLES))
    for block in blocks(ROOT / "docs" / "ansible.md", "yaml"):
        yield from _tasks(yaml.safe_load(block.text))


def _validate(module: str, parameters: dict[str, Any]) -> list[str]:
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    spec = load_plugin(f"modules.{module}").ARGUMENT_SPEC
    return list(ArgumentSpecValidator(spec).validate(parameters).error_messages)


@pytest.mark.parametrize(("module", "parameters"), list(_documented()))
def test_an_example_is_accepted(module: str, parameters: dict[str, Any]) -> None:
    assert _validate(module, parameters) == []


def test_each_module_has_examples_in_both_places() -> None:
    named = [module for module, _ in _documented()]
    assert all(named.count(module) >= 2 for module in MODULES)


def test_a_parameter_that_is_unknown_is_not_accepted() -> None:
    [error] = _validate("run", {"plan": "opens", "args": "--live"})
    assert "args" in error
