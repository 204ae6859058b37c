"""The schema is a good contract, and the quick reader gives jsonschema's verdict."""

import random
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.plan.document import quick_check as quick
from orchestrator.plan.document.parse import Document, parse_document
from orchestrator.plan.document.schema import CHECK_SCHEMA, check_schema, load_schema
from tests.support.plans import RECIPES, VALID, damaged, data_of

SCHEMA = load_schema()
CHECKS = load_schema(CHECK_SCHEMA)
PLANS = [data_of(path) for path in (*VALID, *RECIPES)]


def _properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    if isinstance(schema, dict):
        required = schema.get("required", [])
        for name, rule in schema.get("properties", {}).items():
            if isinstance(rule, dict):
                yield f"{path}.{name}", rule, name in required
        for key, value in schema.items():
            yield from _properties(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for value in schema:
            yield from _properties(value, path)


PROPERTIES = [
    *((path, rule, required, SCHEMA) for path, rule, required in _properties(SCHEMA)),
    *((f"check{path}", rule, required, CHECKS) for path, rule, required in _properties(CHECKS)),
]


@pytest.mark.parametrize("schema", [SCHEMA, CHECKS], ids=["plan", "check"])
def test_schema_is_valid_2020_12(schema: dict[str, Any]) -> None:
    """The schema follows its own meta-schema."""
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_what_plans_and_checks_share_is_the_same_in_both() -> None:
    """Schemas do not refer to each other's files; a change to one has to be made to the other."""
    shared = SCHEMA["$defs"].keys() & CHECKS["$defs"].keys()
    assert shared == {"name", "expression", "duration", "param", "size"}
    assert all(SCHEMA["$defs"][name] == CHECKS["$defs"][name] for name in shared)
    heads = [schema["properties"]["metadata"] for schema in (SCHEMA, CHECKS)]
    only_plans = {"equivalents", "cost"}  # which `probeplan plans` shows
    assert heads[0]["properties"].keys() - only_plans == heads[1]["properties"].keys()
    assert heads[0]["properties"]["name"]["pattern"] == heads[1]["properties"]["name"]["pattern"]


@pytest.mark.parametrize(
    ("rule", "required"), [pytest.param(r, n, id=p) for p, r, n, _ in PROPERTIES]
)
def test_every_property_is_documented(rule: dict[str, Any], required: bool) -> None:
    """Each has a description and examples, and a default or a word on what its absence means."""
    assert rule["description"].endswith(".")
    assert rule["examples"]
    absence = "Without it" in rule["description"]
    assert required != ("default" in rule or absence) or absence


@pytest.mark.parametrize(
    ("rule", "schema"), [pytest.param(r, s, id=p) for p, r, _, s in PROPERTIES]
)
def test_examples_and_defaults_fit_their_own_rule(
    rule: dict[str, Any], schema: dict[str, Any]
) -> None:
    """What an editor offers is accepted."""
    values = [*rule["examples"], *([rule["default"]] if "default" in rule else [])]
    for value in values:
        assert quick.accepts_data(value, rule, schema), value


def test_schema_has_no_alternatives() -> None:
    """Without anyOf and its like, an error points at the one real cause."""
    keywords = {*list_keywords(SCHEMA), *list_keywords(CHECKS)}
    assert "properties" in keywords
    assert not keywords & {"anyOf", "oneOf", "allOf", "not", "if"}


def list_keywords(schema: Any) -> Iterator[str]:
    """The keywords of a schema and all within it; names of properties and definitions are none."""
    if isinstance(schema, list):
        for part in schema:
            yield from list_keywords(part)
    if not isinstance(schema, dict):
        return
    yield from schema
    for keyword, value in schema.items():
        named = keyword in ("properties", "patternProperties", "$defs")
        yield from list_keywords(list(value.values()) if named else value)


@pytest.mark.parametrize("path", [*VALID, *RECIPES], ids=lambda path: path.stem)
def test_plans_of_the_whole_language_fit(path: Any) -> None:
    """Recipes with spans and outstanding fit the schema, though they do not run yet."""
    document, findings = parse_document(path.read_bytes(), path.name)
    assert document is not None
    assert findings == []
    assert check_schema(document) == []


def _document(data: dict[str, Any]) -> Document:
    return Document(data=data, places={}, file="plan.yaml", source=b"")


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(st.integers(0, 1 << 32))
def test_quick_reader_and_jsonschema_agree(seed: int) -> None:
    """Over damaged plans both accept and refuse the same ones."""
    chance = random.Random(seed)  # noqa: S311  # a test's own dice
    data = damaged(chance.choice(PLANS), chance)
    data.get("metadata", {}) and isinstance(data["metadata"], dict) and data["metadata"].pop(
        "requires", None
    )
    assert quick.accepts_data(data, SCHEMA, SCHEMA) == (check_schema(_document(data)) == [])


def test_damage_is_mostly_refused_and_sometimes_not() -> None:
    """The property above sees both verdicts, so that it can fail either way."""
    chance = random.Random(1)  # noqa: S311  # a test's own dice
    verdicts = [
        quick.accepts_data(damaged(chance.choice(PLANS), chance), SCHEMA, SCHEMA)
        for _ in range(300)
    ]
    assert 20 < sum(verdicts) < 280


def test_an_unknown_keyword_stops_the_quick_reader() -> None:
    """A keyword added to the schema cannot be passed over silently."""
    with pytest.raises(KeyError):
        quick.accepts_data({}, {"anyOf": []}, SCHEMA)


def test_a_last_newline_does_not_slip_through_a_pattern() -> None:
    """Python's `$` would let `name\\n` pass, and with it a line into generated text."""
    data = {**PLANS[0], "probes": {"read\n": {"attach": "function:vfs_read", "emit": {}}}}
    assert not quick.accepts_data(data, SCHEMA, SCHEMA)
    assert [finding.code for _, finding in check_schema(_document(data))] == ["PP034"]
