"""`probeplan schema`: the shipped schemas, and the line by which editors find them."""

import json
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.cli.discover.schema import SCHEMAS, modeline
from orchestrator.plan.load import load_plan
from orchestrator.run.shipped import shipped_plans
from tests.support.paths import ROOT


def test_every_schema_of_the_tree_is_offered() -> None:
    files = {path.name.removesuffix("-v1.schema.json") for path in (ROOT / "schema").iterdir()}
    assert set(SCHEMAS) == files


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_printed_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    printed = capsys.readouterr().out
    assert printed == (ROOT / "schema" / f"{name}-v1.schema.json").read_text()
    assert json.loads(printed)["$id"].startswith("urn:probeplan:schema/")


def test_without_a_name_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SCHEMAS)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("words", [["--path", "plan"], ["plan", "--path"]])
def test_the_path_is_that_of_the_file(words: list[str], capsys) -> None:
    assert main(["schema", *words]) == 0
    assert Path(capsys.readouterr().out.strip()) == ROOT / "schema" / "plan-v1.schema.json"


def test_the_modeline_names_the_file_and_no_network() -> None:
    line = modeline("plan")
    assert line == f"# yaml-language-server: $schema={ROOT / 'schema' / 'plan-v1.schema.json'}"
    source = shipped_plans()["opens"].read_text().partition("\n")[2]
    assert load_plan(f"{line}\n{source}".encode()).metadata.name == "opens"


def test_the_modelines_of_shipped_plans_lead_to_the_schema() -> None:
    for path in shipped_plans().values():
        target = path.read_text().partition("\n")[0].partition("$schema=")[2]
        assert (path.parent / target).resolve() == ROOT / "schema" / "plan-v1.schema.json"


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "nope"]) == 2
    assert "'nope'" in capsys.readouterr().err
