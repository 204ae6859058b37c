"""Baselines as text: whole, in one order, and nothing else."""

import json
import random
from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest

from orchestrator.check.baseline.model import (
    Baseline,
    BaselineEntry,
    EntryKey,
    RecordedMetric,
    RecordedProbe,
    RecordedRepeat,
)
from orchestrator.check.baseline.text import (
    NewerBaseline,
    UnreadableBaseline,
    parse_baseline,
    show_baseline,
)
from orchestrator.check.measurement import Environment, MeasuredCell
from orchestrator.plan.document.schema import BASELINE_SCHEMA, load_schema
from tests.support.measurements import HERE, cell
from tests.support.plans import STRANGE

SCHEMA = load_schema(BASELINE_SCHEMA)
CELLS = (
    cell(2**70, {"number": "fsync"}, number=74, comm='a\n"b', compat=True),
    cell(3, stack=("f", "g"), gone=None),
    MeasuredCell(
        key={}, value=5, count=9, sum=-4, min=-7, max=0, buckets={3: 1, 20: 2}, below=1, above=2
    ),
    MeasuredCell(key=None, value=None, count=0),
)
ENTRY = BaselineEntry(
    key=EntryKey(arch="x86_64", series="6.12"),
    environment=HERE,
    recorded="2026-01-01T00:00:00Z",
    probes={"call": RecordedProbe(mechanisms=("m", "n"), alternative="a:b", place="kernel-side")},
    metrics={
        "call.calls": RecordedMetric(
            digest="abc",
            repeats=(
                RecordedRepeat(ops=10, cells=CELLS),
                RecordedRepeat(ops=30, cells=()),
            ),
        )
    },
    maxrss=((10, 4096), (30, None)),
)
OTHER = replace(ENTRY, key=EntryKey(arch="aarch64"), metrics={}, probes={}, maxrss=())
BASELINE = Baseline(check="example", entries=(OTHER, ENTRY))


def test_a_text_gives_the_same_baseline_again() -> None:
    text = show_baseline(BASELINE)
    assert parse_baseline(text.encode()) == BASELINE
    assert show_baseline(parse_baseline(text.encode())) == text


def test_the_schema_is_one_and_describes_what_is_written() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(show_baseline(BASELINE)))


KEPT_IN_KEY = {"machine"}


def test_the_schema_has_every_field_of_what_is_kept() -> None:
    kept = (("environment", Environment), ("probe", RecordedProbe), ("cell", MeasuredCell))
    for name, kind in kept:
        described = SCHEMA["$defs"][name]["properties"].keys()
        assert described | KEPT_IN_KEY == {one.name for one in fields(kind)} | KEPT_IN_KEY


def test_order_does_not_depend_on_how_it_was_made() -> None:
    turned = replace(
        ENTRY,
        metrics={"b.b": ENTRY.metrics["call.calls"], "a.a": ENTRY.metrics["call.calls"]},
    )
    straight = replace(turned, metrics=dict(reversed([*turned.metrics.items()])))
    one = show_baseline(Baseline(check="x", entries=(turned, OTHER)))
    assert one == show_baseline(Baseline(check="x", entries=(OTHER, straight)))


def test_a_repeat_is_one_line() -> None:
    lines = show_baseline(BASELINE).splitlines()
    assert sum('"cells"' in line for line in lines) == 2
    assert sum('"digest"' in line for line in lines) == 1
    assert all("fsync" in line for line in lines if "compat" in line)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"format": 1}',
        b'{"format": "probeplan/baseline-v1"}',
        b'{"format": "probeplan/baseline-v1", "check": "x", "entries": {}}',
        b'{"format": "probeplan/baseline", "check": "x", "entries": []}',
        b"<<<<<<< HEAD\n",
    ],
)
def test_what_is_no_baseline_is_not_read(text: bytes) -> None:
    with pytest.raises(UnreadableBaseline):
        parse_baseline(text)


def test_a_later_format_is_known_to_be_one() -> None:
    text = show_baseline(BASELINE).replace("baseline-v1", "baseline-v2")
    with pytest.raises(NewerBaseline, match=r"baseline-v2; this program reads .*-v1"):
        parse_baseline(text.encode())


def test_an_entry_that_is_there_twice_is_a_damage() -> None:
    data = json.loads(show_baseline(BASELINE))
    data["entries"].append(data["entries"][0])
    with pytest.raises(UnreadableBaseline, match="two entries"):
        parse_baseline(json.dumps(data).encode())


def test_a_damaged_baseline_is_refused_or_read_and_never_a_fault() -> None:
    """Both are seen; nothing else is raised."""
    chance = random.Random(4)  # noqa: S311  # a test's own dice
    refused = 0
    for _ in range(400):
        data = json.loads(show_baseline(BASELINE))
        _damage(data, chance)
        try:
            parse_baseline(json.dumps(data).encode())
        except (UnreadableBaseline, NewerBaseline):
            refused += 1
    assert 100 < refused < 400


def _damage(data: Any, chance: random.Random) -> None:
    slots: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        for key in keys:
            slots.append((value, key))
            if isinstance(value[key], dict | list):
                collect(value[key])

    collect(data)
    holder, key = chance.choice(slots)
    if chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = chance.choice([*STRANGE, None, 1.5])
