"""schema/log-v1.schema.json: the public contract of the log."""

import json
from typing import Any

import jsonschema
import pytest

from tests.support.records import COMMON
from tests.support.samples import STAMP, lifecycle
from tests.support.schemas import check_documented, list_properties
from tests.unit.output.json_lines.test_lines import SCHEMA, VALIDATOR


def test_it_is_a_schema_and_its_examples_are_valid() -> None:
    """Of JSON Schema 2020-12."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for example in SCHEMA["examples"]:
        VALIDATOR.validate(example)


@pytest.mark.parametrize(("path", "schema"), list(list_properties(SCHEMA)))
def test_each_property_has_a_description_and_examples_that_are_valid(
    path: str, schema: dict[str, Any]
) -> None:
    check_documented(path, schema, SCHEMA)


def record(event: str) -> dict[str, Any]:
    """A valid record of a kind."""
    return {"ts": STAMP, "level": "info", "event": event, **COMMON, **lifecycle()[event]}


@pytest.mark.parametrize("event", list(lifecycle()))
def test_records_with_a_misspelt_or_a_missing_field_are_refused(event: str) -> None:
    """The contract is closed: what is not described is an error of ours."""
    VALIDATOR.validate(record(event))
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        VALIDATOR.validate({**record(event), "colour": "red"})
    for field in ("ts", "plan_sha256", "kernel", *list(lifecycle()[event])[:1]):
        lacking = {key: value for key, value in record(event).items() if key != field}
        with pytest.raises(jsonschema.ValidationError, match=field):
            VALIDATOR.validate(lacking)


def test_unknown_is_allowed_where_a_count_may_be_unknown_and_nothing_else_is() -> None:
    """Unknown is a separate value."""
    text = json.dumps(record("run.finished"))
    VALIDATOR.validate(json.loads(text.replace('"fired": 12345', '"fired": "unknown"')))
    for wrong in ('"?"', "-1", "null", "1.5"):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(json.loads(text.replace('"fired": 12345', f'"fired": {wrong}')))
