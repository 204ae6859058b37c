"""schema/result-v1.schema.json: the public contract of result.json."""

from typing import Any

import jsonschema
import pytest

from tests.support.records import COMMON
from tests.support.results import result_validator
from tests.support.samples import finished, lifecycle
from tests.support.schemas import check_documented, list_properties
from tests.unit.output.json_lines.test_lines import SCHEMA as LOG_SCHEMA

SCHEMA = result_validator().schema
#: Definitions that are records of the log, by the name of their kind.
OF_RECORDS = {"warning": "metric.warned", "figure": "figure.reported", "stop": "stop.reached"}
OF_RECORDS |= {"held": "outstanding.reported", "limit": "limit.reached"}


def result(**changes: Any) -> dict[str, Any]:
    """A valid result of a run."""
    records = lifecycle()
    made = {name: rule["examples"][0] for name, rule in SCHEMA["properties"].items()}
    made |= {
        "run": {**COMMON, **finished()},
        "figures": records["figure.reported"],
        "warnings": [records["metric.warned"]],
        "outstanding": [records["outstanding.reported"]],
        "stopped": records["stop.reached"],
        "limits": [records["limit.reached"]],
    }
    return made | changes


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("path", "schema"), list(list_properties(SCHEMA)))
def test_each_property_has_a_description_and_examples_that_are_valid(
    path: str, schema: dict[str, Any]
) -> None:
    check_documented(path, schema, SCHEMA)


def test_what_it_shares_with_the_log_is_the_same() -> None:
    """Records are kept as they are logged."""
    logged = LOG_SCHEMA["$defs"]
    shared = SCHEMA["$defs"].keys() & logged.keys()
    assert {"cell", "edge_count", "ledger", "value"} <= shared
    assert all(SCHEMA["$defs"][name] == logged[name] for name in shared)
    for name, event in OF_RECORDS.items():
        own, theirs = SCHEMA["$defs"][name]["properties"], dict(logged[event]["properties"])
        del theirs["event"]
        assert own == theirs, name
    ended = dict(logged["run.finished"]["properties"])
    del ended["event"], ended["result"]  # where the result is says only the log
    assert ended.items() <= SCHEMA["$defs"]["finished"]["properties"].items()


def test_all_fields_of_a_result_are_there_and_known() -> None:
    result_validator().validate(result())
    for name in SCHEMA["properties"]:
        with pytest.raises(jsonschema.ValidationError, match=name):
            result_validator().validate({k: v for k, v in result().items() if k != name})
    with pytest.raises(jsonschema.ValidationError):
        result_validator().validate(result(run={**COMMON, **finished(colour="red")}))


def test_a_run_that_was_not_made_has_a_result_too() -> None:
    """Skipped, quarantined or refused, with the reason."""
    for outcome in ("skipped", "quarantined", "refused"):
        unmade = {**COMMON, "outcome": outcome, "exit_code": 3, "reason": "not in the shard"}
        result_validator().validate(result(run=unmade, backend=None, mechanisms={}))
        del unmade["reason"]
        with pytest.raises(jsonschema.ValidationError):
            result_validator().validate(result(run=unmade))
