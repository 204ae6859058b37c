"""Names of families and labels are those that Prometheus takes, and no two keys are one by name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.export.names import label_keys, name_family

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("metric", "unit", "part", "name"),
    [
        ("calls", "", "", "probeplan_calls"),
        ("latency", "ns", "", "probeplan_latency_seconds"),
        ("wait_ns", "ns", "", "probeplan_wait_seconds"),
        ("bytes", "bytes", "", "probeplan_bytes"),
        ("read_bytes", "bytes", "max", "probeplan_read_max_bytes"),
        ("size", "bytes", "min", "probeplan_size_min_bytes"),
        ("calls_total", "", "", "probeplan_calls"),
        ("ms", "", "", "probeplan_ms"),
    ],
)
def test_a_family_ends_with_its_unit_once(metric: str, unit: str, part: str, name: str) -> None:
    family = name_family(metric, unit, part=part)
    assert family.name == name
    assert family.per_unit == (10**9 if unit == "ns" else 1)


def test_a_count_of_durations_has_no_unit() -> None:
    family = name_family("wait_ns", "ns", part="count", has_unit=False)
    assert family == ("probeplan_wait_count", "", 1)


@given(NAMES, st.sampled_from(["", "ns", "bytes"]), st.sampled_from(["", "max"]))
def test_every_name_of_a_metric_makes_a_name_of_a_family(metric: str, unit: str, part: str) -> None:
    assert re.fullmatch(r"probeplan_[a-z0-9_]*[a-z0-9]", name_family(metric, unit, part=part).name)


EXPRESSIONS = st.text("ab.+-*/%()_ 10,\"'é\0", min_size=1, max_size=20)


@given(st.lists(NAMES | EXPRESSIONS, unique=True, max_size=6))
def test_labels_are_valid_and_none_is_one_of_ours(names: list[str]) -> None:
    labels = [name for name, _ in label_keys(dict.fromkeys(names, 1))]
    assert len(set(labels)) == len(names)
    assert not {"plan", "probe", "other", "le", "quantile", "job", "instance"} & set(labels)
    assert all(re.fullmatch(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", label) for label in labels)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (["start.comm"], ["start_comm"]),
        (["args.count // 4096", "args.count % 4096"], ["args_count_4096", "args_count_4096_2"]),
        (["(1 + pid)"], ["_1_pid"]),
    ],
)
def test_an_expression_makes_a_readable_label(key: list[str], names: list[str]) -> None:
    assert [name for name, _ in label_keys(dict.fromkeys(key, 1))] == names


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\\b", "a\\b"), (7, "7"), (None, "null"), (True, "true"),
        (["inner+0x4", "main+0x2"], "inner+0x4;main+0x2"), ("x" * 2000, "x" * 1023 + "…"),
    ],
)  # fmt: skip
def test_values_of_keys_are_texts(value: object, text: str) -> None:
    assert label_keys({"comm": value}) == (("comm", text),)
