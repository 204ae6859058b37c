"""Params: values in text, their bounds, and interpolation."""

import pytest

from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.document.parse import Document
from orchestrator.plan.findings import NOWHERE
from orchestrator.plan.model import Param
from orchestrator.plan.params import Unset, interpolate_params, parse_value, show_value, text_values
from orchestrator.plan.units import UnitError

FUNCTION = Param(name="function", type="symbol", value="vfs_read")
POINT = Param(name="point", type="attach", value="uprobe:libc.so.6:malloc")
PARAMS = {"function": FUNCTION, "point": POINT}


def collector() -> FindingCollector:
    """One without findings, for an empty document."""
    return FindingCollector(document=Document(data={}, places={}, file="plan.yaml", source=b""))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "-7", -7),
        ("int", "0x10", 16),
        ("duration", "10ms", 10_000_000),
        ("bool", "true", True),
        ("ratio", "1/10", 10),
        ("bytes", "4KiB", 4096),
    ],
)
def test_a_value_is_shown_as_it_is_read(kind: str, text: str, value: object) -> None:
    """Reading what is shown gives the same value."""
    read = parse_value(kind, text)  # type: ignore[arg-type]
    assert read == value
    assert parse_value(kind, show_value(kind, read)) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "1e3"),
        ("int", str(1 << 64)),
        ("bool", "yes"),
        ("path", "/bin/x;rm"),
        ("symbol", "a b"),
        ("string", "a\nb"),
        ("attach", "function:a b"),
    ],
)
def test_anything_else_is_refused(kind: str, text: str) -> None:
    """Before it can reach the kernel or a shell."""
    with pytest.raises(UnitError):
        parse_value(kind, text)  # type: ignore[arg-type]


def test_a_text_is_filled_in() -> None:
    """Between other text, and as the whole."""
    found = collector()
    assert interpolate_params("function:$(params.function)", NOWHERE, PARAMS, found) == (
        "function:vfs_read"
    )
    assert interpolate_params("$(params.point)", NOWHERE, PARAMS, found) == POINT.value
    assert found.findings == []


def test_an_attach_param_is_the_whole_text_or_nothing() -> None:
    """A value cannot change the structure around it."""
    found = collector()
    assert interpolate_params("x$(params.point)", NOWHERE, PARAMS, found) is None
    assert [finding.code for finding in found.findings] == ["PP065"]


def test_a_param_without_a_value_is_waited_for() -> None:
    """lint continues without it."""
    params = {"function": Param(name="function", type="symbol", value=None)}
    with pytest.raises(Unset):
        interpolate_params("function:$(params.function)", NOWHERE, params, collector())


def test_only_texts_become_constants_of_expressions() -> None:
    """Numbers stay params, which can be changed while a plan runs."""
    number = Param(name="n", type="int", value=1)
    assert text_values({"function": FUNCTION, "n": number}) == {"function": "vfs_read"}
