"""What the schemas of JSON documents have in common."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator


def list_properties(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that the schema describes (not the conditions of if)."""
    if isinstance(node, list):
        for child in node:
            yield from list_properties(child, path)
    elif isinstance(node, dict):
        for name, child in node.get("properties", {}).items():
            yield f"{path}/{name}", child
        for name, child in node.items():
            if name not in ("if", "examples"):
                yield from list_properties(child, f"{path}/{name}")


def check_documented(path: str, rule: dict[str, Any], schema: dict[str, Any]) -> None:
    """A property has a description and examples that are valid, so that an editor can show both."""
    assert rule["description"], path
    assert rule["examples"], path
    alone = {**rule, "$defs": schema["$defs"]}
    for example in rule["examples"]:
        Draft202012Validator(alone).validate(example)
