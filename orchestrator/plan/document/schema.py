"""The JSON Schemas of documents, and findings for what does not fit it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.plan.document import quick_check as quick
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.parse import Document
from orchestrator.plan.findings import Finding
from orchestrator.plan.nearest import suggest_name

#: The release of the language that this program supports (`metadata.requires`).
LANGUAGE = (1, 1)

PLAN_SCHEMA = "plan-v1.schema.json"
POLICY_SCHEMA = "policy-v1.schema.json"
CHECK_SCHEMA = "check-v1.schema.json"
BASELINE_SCHEMA = "baseline-v1.schema.json"

#: Finding near names takes time; a file with a thousand unknown keys is not a misspelt plan.
MAX_SUGGESTIONS = 50

_PACKAGE = Path(__file__).resolve().parents[2]
SchemaFault = tuple[DocumentPath, Finding]


def schema_path(name: str) -> Path:
    """The file of a schema: in the package when installed, in the source tree otherwise."""
    installed = _PACKAGE / "schema" / name
    return installed if installed.exists() else _PACKAGE.parent / "schema" / name


@lru_cache(maxsize=4)
def load_schema(name: str = PLAN_SCHEMA) -> dict[str, Any]:
    """A shipped schema as data; not to be changed by callers."""
    schema: dict[str, Any] = json.loads(schema_path(name).read_bytes())
    return schema


def check_schema(
    document: Document, name: str = PLAN_SCHEMA, *, thorough: bool = True
) -> list[SchemaFault]:
    """What in `document` does not fit the schema, each with the path that is refused.

    Not `thorough`: jsonschema is only used to explain what the quick check refuses.
    """
    if newer := _requires_newer(document):
        return [newer]
    schema = load_schema(name)
    if not thorough and quick.accepts_data(document.data, schema, schema):
        return []
    errors = _make_validator(name).iter_errors(document.data)
    faults = [fault for error in errors for fault in _find_faults(error, document)]
    return [fault for fault in faults if fault[0] not in document.lost]


def _requires_newer(document: Document) -> SchemaFault | None:
    metadata = document.data.get("metadata")
    wanted = metadata.get("requires") if isinstance(metadata, dict) else None
    if not isinstance(wanted, str) or not quick.matches_whole(r"[0-9]{1,4}\.[0-9]{1,4}", wanted):
        return None
    if tuple(map(int, wanted.split("."))) <= LANGUAGE:
        return None
    spoken = ".".join(map(str, LANGUAGE))
    path: DocumentPath = ("metadata", "requires")
    return path, Finding(
        code="PP036",
        message=f"the plan needs release {wanted} of the language; this program supports {spoken}",
        position=document.value_position(path),
        hint="update probeplan, or lower `requires`",
    )


@lru_cache(maxsize=4)
def _make_validator(name: str) -> Any:
    from jsonschema import Draft202012Validator, ValidationError, validators  # 50 ms: lazily

    def pattern(_make_validator: Any, wanted: str, data: Any, _schema: Any) -> Iterator[Any]:
        if isinstance(data, str) and not quick.matches_whole(wanted, data):
            yield ValidationError(f"{data!r} does not match {wanted!r}")

    extended = validators.extend(  # type: ignore[no-untyped-call]  # the stubs leave it untyped
        Draft202012Validator, {"pattern": pattern}
    )
    return extended(load_schema(name))


# ---------------------------------------------------------------- words


def _show_value(value: Any) -> str:
    kinds: dict[type, str] = {dict: "a mapping", list: "a list"}
    if type(value) in kinds:
        return kinds[type(value)]
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"


def _show_path(error: Any, path: DocumentPath) -> str:
    """The path in words; for the whole document, the noun of the schema's title: plan, policy or
    check."""
    if path:
        return "`" + ".".join(map(str, path)) + "`"
    return f"the {error.schema['title'].split()[1].rstrip(',')}"


def _find_faults(error: Any, document: Document) -> Iterator[SchemaFault]:
    path: DocumentPath = tuple(error.absolute_path)
    words = _WORDS.get(error.validator, _explain_form)
    for at, code, message, hint in words(error, path):
        on_key = code in ("PP030", "PP031") or (code == "PP034" and at != path)
        place = document.key_position(at) if on_key else document.value_position(at)
        yield at, Finding(code=code, message=message, position=place, hint=hint)


FaultTexts = Iterator[tuple[DocumentPath, str, str, str]]


def _explain_unknown_key(error: Any, path: DocumentPath) -> FaultTexts:
    known = list(error.schema.get("properties", {}))
    for count, key in enumerate(error.instance):
        if key not in known:
            listed = f"known here: {', '.join(known)}"
            hint = suggest_name(key, known, listed) if count < MAX_SUGGESTIONS else listed
            yield (
                (*path, key),
                "PP030",
                f"{_show_path(error, path)} has no key {_show_value(key)}",
                hint,
            )


def _explain_missing_key(error: Any, path: DocumentPath) -> FaultTexts:
    # jsonschema reports each missing key by itself, in words only
    for key in error.validator_value:
        if key not in error.instance and f"{key!r} is a required" in error.message:
            hint = str(_suggest_example(error, key))
            yield (*path, key), "PP031", f"{_show_path(error, path)} lacks the key {key!r}", hint


def _suggest_example(error: Any, key: str) -> str:
    rule = error.schema.get("properties", {}).get(key, {})
    examples = rule.get("examples", [])
    shown = json.dumps(examples[0], ensure_ascii=False) if examples else ""
    return f"add it, e.g. `{key}: {shown}`" if shown else "add it"


_NOUNS: Mapping[str, str] = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}


def _explain_wrong_type(error: Any, path: DocumentPath) -> FaultTexts:
    wanted = error.validator_value
    nouns = [_NOUNS[name] for name in ([wanted] if isinstance(wanted, str) else wanted)]
    noun = error.schema.get("title") or " or ".join(nouns)
    hint = ""
    if isinstance(error.instance, int) and wanted == "string" and "pattern" not in error.schema:
        hint = "quote it if it is meant as text"
    if type(error.instance) is int and "pattern" in error.schema:
        hint = _suggest_units(error.instance, error.schema["pattern"])
    yield (
        path,
        "PP032",
        f"{_show_path(error, path)} is {_show_value(error.instance)}, not {noun}",
        hint,
    )


_SUGGESTED_UNITS = ("ms", "s", "B", "MiB", "%", "/s")


def _suggest_units(number: int, pattern: str) -> str:
    """The number with units that belong here; "" where none do."""
    quantities = [f"{number}{unit}" for unit in _SUGGESTED_UNITS]
    fitting = [quantity for quantity in quantities if re.fullmatch(pattern, quantity)]
    return f"write it with its unit: {' or '.join(fitting)}" if fitting else ""


#: Documents of other kinds, and what reads them.
_READERS: Mapping[str, str] = {
    "ProbePlan": "this is a plan: `probeplan run` reads it",
    "ProbeCheck": "this is a check: `probeplan check` reads it",
    "Policy": "this is a policy: `probeplan policy check` reads it",
}


def _explain_choice(error: Any, path: DocumentPath) -> FaultTexts:
    options = [option for option in error.validator_value if option != ""]
    if len(options) == 1:
        message = f"{_show_path(error, path)} is {_show_value(error.instance)}"
        otherwise = f"this program reads {path[-1]}: {options[0]} only"
        yield path, "PP035", message, _READERS.get(str(error.instance), otherwise)
        return
    hint = suggest_name(str(error.instance), options, f"one of: {', '.join(options)}")
    yield path, "PP033", f"{_show_path(error, path)} cannot be {_show_value(error.instance)}", hint


def _explain_form(error: Any, path: DocumentPath) -> FaultTexts:
    """Patterns, lengths and sizes; of a key (propertyNames) when the instance is a key."""
    is_key = "propertyNames" in error.absolute_schema_path
    at = (*path, error.instance) if is_key else path
    limit = error.validator_value
    rules = {
        "minLength": f"is shorter than {limit}",
        "maxLength": f"is longer than {limit} characters",
        "minItems": "is empty",
        "maxItems": f"has more than {limit} items",
        "minProperties": "is empty",
        "maxProperties": f"has more than {limit} entries",
        "minimum": f"is below {limit}",
        "maximum": f"is above {limit}",
        "uniqueItems": "has a duplicate item",
    }
    title = error.schema.get("title", "what belongs here")
    rule = rules.get(error.validator, f"is not {title}")
    subject = _show_path(error, path)
    if is_key:
        subject = _show_value(error.instance)
    elif not isinstance(error.instance, dict | list):
        subject = f"{subject}, {_show_value(error.instance)},"
    yield at, "PP034", f"{subject} {rule}", ""


_WORDS: Mapping[str, Callable[[Any, DocumentPath], FaultTexts]] = {
    "additionalProperties": _explain_unknown_key,
    "required": _explain_missing_key,
    "type": _explain_wrong_type,
    "enum": _explain_choice,
}
