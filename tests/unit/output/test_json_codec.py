"""With and without orjson, JSON is written and read alike."""

import builtins
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.fleet.reading import InputFile, UnreadFile, read_document
from orchestrator.output import json_codec
from orchestrator.output.json_codec import decode_by_standard, encode_by_standard
from orchestrator.output.text import dump_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@pytest.fixture
def without_orjson(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a host where it is not installed."""
    usual = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "orjson":
            raise ModuleNotFoundError("No module named 'orjson'", name=name)
        return usual(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    json_codec._find_encoder.cache_clear()
    json_codec._find_decoder.cache_clear()
    yield
    json_codec._find_encoder.cache_clear()
    json_codec._find_decoder.cache_clear()


@given(VALUES)
def test_the_standard_library_writes_the_values_that_orjson_writes(value: Any) -> None:
    """Infinite numbers are null in both."""
    written = encode_by_standard(value, False)
    assert decode_by_standard(written) == json.loads(orjson.dumps(value))
    assert b"\n" not in written


def test_indented_text_is_the_same_byte_for_byte() -> None:
    value: dict[str, Any] = {"a": [1, {"b": "ü\u007f"}], "c": {}, "d": [], "e": None, "f": 1.5}
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    assert encode_by_standard(value, True) == orjson.dumps(value, option=options)


@given(st.binary(max_size=30) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_both_refuse_the_same_input_and_read_the_same_values(content: bytes) -> None:
    try:
        expected = orjson.loads(content)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  # each library has other words
            decode_by_standard(content)
    else:
        assert decode_by_standard(content) == expected


@pytest.mark.parametrize(
    "content", [b'"\\ud800"', b"NaN", b"-Infinity", b"1e999", b"\xff", b"", b"[" * 100_000]
)
def test_what_is_no_json_is_a_value_error(content: bytes) -> None:
    for decode in (orjson.loads, decode_by_standard):
        with pytest.raises(ValueError):  # noqa: PT011  # each library has other words
            decode(content)


def test_the_standard_library_refuses_text_that_is_no_utf8_as_orjson_does() -> None:
    for encode in (orjson.dumps, lambda value: encode_by_standard(value, False)):
        with pytest.raises(TypeError):
            encode("\udcff")


@pytest.mark.usefixtures("without_orjson")
def test_records_are_written_without_orjson() -> None:
    value = {"comm": "a\udc80\x7f", "mean": math.nan, "at": (1, 2)}
    assert dump_json(value) == b'{"comm":"a\\\\x80\\u007f","mean":null,"at":[1,2]}'
    assert json_codec._find_encoder() is encode_by_standard


@pytest.mark.usefixtures("without_orjson")
def test_results_are_read_without_orjson(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.json", tmp_path / "torn.json"
    whole.write_bytes(b'{"format": "probeplan-result/1"}')
    torn.write_bytes(b'{"format": "probe')
    assert read_document(InputFile(str(whole), is_merge=False)) == {"format": "probeplan-result/1"}
    with pytest.raises(UnreadFile) as caught:
        read_document(InputFile(str(torn), is_merge=False))
    assert caught.value.reason == "torn"
