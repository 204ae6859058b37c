"""Prepared plans come back from their kept form as they were, and nothing else is made of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends import BACKENDS
from orchestrator.compile.lower import compile_plan
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Target
from orchestrator.run.warm.coding import NotKept, decode_value, encode_value
from tests.support.paths import ROOT
from tests.support.recorded import recorded

AREAS = ("fs", "sched", "net", "syscalls")  # records, histograms, spans, pairs, and many hooks
PLANS = sorted(path for area in AREAS for path in (ROOT / "plans" / area).glob("*.yaml"))


def sent(value: Any) -> Any:
    """What comes back from the kept form of `value`."""
    return decode_value(json.loads(json.dumps(encode_value(value))))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_plans_programs_and_artifacts_come_back_as_they_were(path: Path) -> None:
    facts = recorded("6.12")
    plan = load_plan(path)
    program = compile_plan(plan, facts)
    artifacts = [
        backend.emit(program, facts)
        for backend in BACKENDS.values()
        if not backend.unsupported(program, facts, user_space=True)
    ]
    again, program_again, artifacts_again = sent((plan, program, artifacts))
    assert (again, program_again) == (plan, program)
    for artifact, restored in zip(artifacts, artifacts_again, strict=True):
        assert restored.program is program_again
        for name in ("backend", "text", "hooks", "memory", "enforced", "numbers"):
            assert getattr(restored, name) == getattr(artifact, name), name
        for name in getattr(artifact.detail, "__slots__", ()):
            if name != "layout" or artifact.backend != "bcc":
                assert getattr(restored.detail, name) == getattr(artifact.detail, name), name


def test_plain_values_come_back_with_their_types() -> None:
    value = [None, True, 1, 2.5, "ü\udc80", b"\0\xff", (1, [2]), {3: {"x": (4,)}}, frozenset({5})]
    restored = sent(value)
    assert restored == value
    assert [type(part) for part in restored] == [type(part) for part in value]


def test_other_objects_are_not_kept() -> None:
    for value in (Path("/"), print, lambda: None, NotKept(), type("Other", (), {})()):
        with pytest.raises(NotKept):
            encode_value(value)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "subprocess:Popen",
        "orchestrator.plan.load:load_plan",
        "orchestrator.output.result:ResultDirectory",
        "orchestrator.run.shipped:Path",
        "orchestrator.plan.model:Nothing",
    ],
)
def test_only_our_classes_with_fields_are_made(name: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        decode_value({"classes": [name], "objects": [[0, "true"]], "root": ["o", 0]})


def test_a_form_with_another_number_of_fields_is_refused() -> None:
    kept = encode_value(Target())
    kept["objects"][0].append(1)
    with pytest.raises(ValueError, match="longer"):
        decode_value(kept)
