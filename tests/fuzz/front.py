"""Bytes → findings or a plan."""

import json
import re
from collections.abc import Iterator
from typing import Any

from orchestrator.plan.codes import CODES
from orchestrator.plan.findings import Finding, PlanError, has_errors
from orchestrator.plan.load import check_plan, load_plan
from orchestrator.plan.model import Plan
from tests.fuzz.target import Target
from tests.support.paths import ROOT

_FOLDERS = ("plans", "examples", "tests/data/plans")
_BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


def check(data: bytes) -> None:
    """Whatever the bytes: findings with a code and a place in the file, or a plan; the way that
    `run` reads a plan and the way that `lint` does come to the same."""
    plan, findings = check_plan(data)
    text = data.decode("utf-8", "replace")
    for finding in findings:
        _check_finding(finding, text)
    assert (plan is None) == has_errors(findings), "errors and a plan, or neither"
    loaded, refused = _loaded(data)
    if plan is None:
        assert loaded is None, f"run takes what lint refuses: {[str(f) for f in findings]}"
    else:
        assert loaded == plan or refused == {"PP068"}, f"run refuses what lint takes: {refused}"


def _loaded(data: bytes) -> tuple[Plan | None, set[str]]:
    """The plan as `run` reads it, or the codes of why not."""
    try:
        return load_plan(data), set()
    except PlanError as error:
        return None, {finding.code for finding in error.findings}


def _check_finding(finding: Finding, text: str) -> None:
    shown = str(finding)
    shown.encode()
    assert finding.code in CODES, shown
    place = finding.position
    assert 0 <= place.line <= 2 + len(_BREAKS.findall(text)), shown  # the end is a line too
    assert 0 <= place.column <= len(text) + 2, shown
    assert "\n" not in finding.message, shown


def seeds() -> list[bytes]:
    """Every plan that is kept here, right and wrong."""
    files = [path for folder in _FOLDERS for path in sorted((ROOT / folder).rglob("*.yaml"))]
    kept = [text for path in files if len(text := path.read_bytes()) <= TARGET.longest]
    return [*kept, *(kept[0] + b"\nlimits: {events: " + n * 4400 + b"}" for n in (b"9", b"0xf"))]


def _keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (text for text in schema.get("enum", ()) if isinstance(text, str))
        for inner in schema.values():
            yield from _keys(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _keys(inner)


def _words() -> tuple[bytes, ...]:
    schema = json.loads((ROOT / "schema/plan-v1.schema.json").read_bytes())
    odd = ("$(params.", "&a ", "*a", "<<: ", "!!int ", "? ", "|\n  ", ">-\n", "- ", "{", "}", "['")
    more = ("1/10", "10ms", "32MiB", "1k/s", "2%", "none", "null", "0x7f", "\ud7ff", "\u2028", "\\")
    return tuple(word.encode() for word in dict.fromkeys([*_keys(schema), *odd, *more]) if word)


TARGET = Target(name="plans", check=check, seeds=seeds, words=_words(), longest=6000)
