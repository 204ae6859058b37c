"""Bytes become data with places, within bounds, and never an exception of another kind."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.plan import load
from orchestrator.plan.document.compose import MAX_DEPTH, MAX_NODES
from orchestrator.plan.document.parse import Document, parse_document
from orchestrator.plan.document.source import MAX_BYTES
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import check_plan, load_plan
from tests.support.plans import RECIPES, VALID

TEXTS = [path.read_bytes() for path in (*VALID, *RECIPES)]


def _read(text: str) -> Document:
    document, findings = parse_document(text.encode(), "f")
    assert document is not None, findings
    assert findings == []
    return document


def test_every_key_and_value_knows_its_place() -> None:
    """Lines and columns count from 1; a quoted value begins after its quote."""
    document = _read("a: x\nb:\n  - 1\n  - {c: \"two\", 'é': 'q'}\n")
    places = {
        path: (str(place.key), str(place.value)) for path, place in document.places.items() if path
    }
    assert places == {
        ("a",): ("f:1:1", "f:1:4"),
        ("b",): ("f:2:1", "f:3:3"),
        ("b", 0): ("f:3:5", "f:3:5"),
        ("b", 1): ("f:4:5", "f:4:5"),
        ("b", 1, "c"): ("f:4:6", "f:4:10"),
        ("b", 1, "é"): ("f:4:17", "f:4:22"),
    }


def test_a_block_of_text_begins_on_the_line_after_its_sign() -> None:
    """`|` and `>` stand on the key's line, the content does not."""
    document = _read("a: |\n  text\nb: >-\n    more\n    text\n")
    assert str(document.value_position(("a",))) == "f:2:3"
    assert str(document.value_position(("b",))) == "f:4:5"
    assert document.data == {"a": "text\n", "b": "more text"}


def test_a_place_that_is_not_there_is_its_parents() -> None:
    """A missing key is reported where it is missing from."""
    document = _read("a: {b: 1}\n")
    assert str(document.key_position(("a", "x", 3))) == "f:1:1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("true", "True", "TRUE")),
        *((number, int(number, 0)) for number in ("0", "-7", "+7", "42", "0x1F", "9" * 20)),
        *(
            (word, word)
            for word in ("1k", "1/10", "2%", "10ms", "none", "y", "n", "0o17", "1e", "-")
        ),
        *((f"'{word}'", word) for word in ("yes", "010", "1:30", "1.5", "2026-01-31", "null", "7")),
        ("!!str 7", "7"),
    ],
)
def test_scalars_are_read_as_written(text: str, value: object) -> None:
    """Only true, false and whole numbers are not text, and quotes always make text."""
    if text == "-":
        text = value = "-x"
    read = _read(f"a: {text}\n").data["a"]
    assert (read, type(read)) == (value, type(value))


def test_aliases_are_expanded_in_place() -> None:
    """An alias gives an equal, separate value."""
    data = _read("a: &x {l: [1, 2]}\nb: *x\nc: [*x, &y z, *y]\n").data
    assert data["b"] == {"l": [1, 2]}
    assert data["c"] == [{"l": [1, 2]}, "z", "z"]
    assert data["a"] is not data["b"]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "{a: " * 250_000,
        "a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "- " * 100_000,
        "? " * 300_000,
        "a: [" + "x, " * (MAX_NODES + 1) + "]",
        "&a [" * 30 + "]" * 30,
        "x: &x [" + "&y y, *y, " * MAX_NODES + "]",
        "".join(f"k: {i}\n" for i in range(100_000)),
    ],
    ids=lambda text: text[:12],
)
def test_hostile_documents_are_refused_within_bounds(text: str) -> None:
    """Depth and number of values are bounded while reading, before any of it is kept."""
    _, findings = parse_document(text.encode()[:MAX_BYTES], "f")
    assert findings
    assert {finding.code for finding in findings} <= {"PP004", "PP006", "PP010"}


def test_a_bomb_of_aliases_is_refused_and_not_expanded() -> None:
    """Nine levels of nine aliases would be 3.8e8 values; the budget stops it."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]
    document, findings = parse_document("\n".join(lines).encode(), "f")
    assert document is None
    assert [finding.code for finding in findings] == ["PP010"]


def test_the_largest_plan_is_read_and_one_byte_more_is_not() -> None:
    """The bound on size is exact."""
    text = TEXTS[0] + b"#" * (MAX_BYTES - len(TEXTS[0]))
    assert check_plan(text)[1] == check_plan(TEXTS[0])[1]
    assert [finding.code for finding in check_plan(text + b"#")[1]] == ["PP002"]


def _judged(content: bytes) -> None:
    plan, findings = check_plan(content)
    assert (plan is None) == any(finding.severity == "error" for finding in findings)
    for finding in findings:
        assert finding.code.startswith("PP")
        assert finding.message
        assert "\x1b" not in str(finding)
        assert str(finding).isprintable() or "\n" in str(finding)
    try:
        load_plan(content)
    except PlanError as error:
        refused = error
    else:
        assert plan is not None
        return
    assert refused.findings


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
@example(b"\x00")
@example(b"%YAML 9.9\n---\na: 1")
@example(b"%TAG ! tag:x,2000:\n---\n!y a: 1")
@example(b"a: !<tag:yaml.org,2002:int> 'x'")
@example(b"\xc2\x85a: 1")
@example(b"--- >\n\x0b")
def test_any_bytes_are_a_plan_or_findings(content: bytes) -> None:
    """Whatever the file holds, there is a plan or at least one finding, and no other exception."""
    _judged(content)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="a:{}[],&*!|>'\"%@`#-? \n\t<$().0~é", max_size=80))
def test_any_yaml_like_text_is_a_plan_or_findings(text: str) -> None:
    """The same for text made of YAML's own signs."""
    _judged(text.encode())


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 32))
def test_any_damaged_plan_is_a_plan_or_findings(seed: int) -> None:
    """Bytes of valid plans cut, doubled, swapped or overwritten: the same."""
    chance = random.Random(seed)  # noqa: S311  # a test's own dice
    content = bytearray(chance.choice(TEXTS))
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(content))
        end = min(len(content), start + chance.randint(0, 12))
        piece = chance.choice([b"", b" ", b"\n", b": ", b"{", b"*a", b"&a ", b"'", b"$(params.x)"])
        content[start:end] = chance.choice([piece, bytes(content[start:end]) * 2])
        content = content or bytearray(b"a")
    _judged(bytes(content))


def test_load_and_check_agree_on_what_is_an_error() -> None:
    """The quick way of `run` accepts exactly the plans that lint calls clean."""
    for content in TEXTS:
        plan, _ = check_plan(content)
        if plan is not None and not load._find_unset_params(
            plan, frozenset()
        ):  # the one allowed difference
            assert load_plan(content) == plan
