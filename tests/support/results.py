"""Results of runs, read back and checked against their schema."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.paths import ROOT

SCHEMA = ROOT / "schema" / "result-v1.schema.json"


@cache
def result_validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text()))


def checked_result(directory: Path) -> dict[str, Any]:
    """The result that a run left in its directory, valid against the schema."""
    result: dict[str, Any] = json.loads((directory / "result.json").read_bytes())
    result_validator().validate(result)
    return result
