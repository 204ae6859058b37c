"""The index is what the plans say; tests/unit/docs/test_generated.py says that it is current."""

import json

import pytest

from orchestrator.catalog.areas import AREAS
from orchestrator.catalog.index import INDEX_FILE, index_plans, read_index, render_index
from orchestrator.plan.load import load_plan
from orchestrator.run.shipped import shipped_plans
from tests.support.paths import ROOT


def test_the_index_has_every_shipped_plan_and_its_head() -> None:
    entries = {entry.name: entry for entry in read_index()}
    assert set(entries) == set(shipped_plans())
    for name, file in shipped_plans().items():
        head = load_plan(file).metadata
        entry = entries[name]
        assert (entry.question, entry.equivalents, entry.cost, entry.tags) == (
            head.summary,
            head.equivalents,
            head.cost,
            head.tags,
        )
        assert ROOT / "plans" / entry.file == file


def test_what_was_written_is_read_again() -> None:
    assert render_index(read_index()) == INDEX_FILE.read_text()
    assert [entry.as_fields() for entry in index_plans(shipped_plans())] == json.loads(
        INDEX_FILE.read_text(), object_hook=_with_tuples
    )


def _with_tuples(fields: dict) -> dict:
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }


def test_every_shipped_plan_asks_a_question_and_says_its_cost() -> None:
    for entry in read_index():
        assert entry.question.endswith("?"), entry.name
        assert entry.cost, entry.name


def test_a_plan_whose_head_is_of_a_later_language_says_so() -> None:
    """Without it, an older probeplan reports unknown keys, and not that it is too old."""
    for file in shipped_plans().values():
        head = load_plan(file).metadata
        assert head.requires >= "1.1" or not (head.equivalents or head.cost), file


def test_every_folder_of_plans_is_an_area() -> None:
    assert {path.parent.name for path in shipped_plans().values()} == set(AREAS)


def test_defaults_of_params_are_as_set_takes_them() -> None:
    for entry in read_index():
        settings = {param.name: param.default for param in entry.params if param.default}
        load_plan(shipped_plans()[entry.name], settings=settings)


def test_a_plan_of_an_unknown_folder_is_named(tmp_path) -> None:
    (tmp_path / "opens.yaml").write_bytes(shipped_plans()["opens"].read_bytes())
    with pytest.raises(ValueError, match=f"opens: {tmp_path.name!r} is no area"):
        index_plans({"opens": tmp_path / "opens.yaml"})
