"""Kernel strings: nothing is lost on their way into JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.output.text import dump_json, kernel_from_text, text_from_kernel

ODD = st.lists(st.sampled_from([b"\\", b"x", b"4", b"1", b"\xff", b"\xc3", b"\xa9", b'"'])).map(
    b"".join
)


@given(raw=st.one_of(ODD, st.binary().filter(lambda raw: b"\0" not in raw)))
def test_the_bytes_can_be_had_back(raw: bytes) -> None:
    """A left inverse exists, so distinct byte strings are distinct texts; and JSON keeps them."""
    text = text_from_kernel(raw)
    assert kernel_from_text(json.loads(json.dumps(text))) == raw
    text.encode("utf-8")  # strict: no surrogates


@pytest.mark.slow
@given(text=st.text().filter(lambda text: "\\" not in text and "\0" not in text))
def test_valid_utf8_without_backslashes_stands_as_it_is(text: str) -> None:
    """People read names, not escapes."""
    assert text_from_kernel(text.encode()) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain\0garbage", "plain"),
        (b"caf\xe9", "caf\\xe9"),
        (b"caf\\xe9", "caf\\\\xe9"),
        (b"C:\\temp", "C:\\\\temp"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        (b"", ""),
    ],
)
def test_the_schema_s_rule_by_example(raw: bytes, text: str) -> None:
    """Up to the NUL; bytes that are no UTF-8 by number; backslashes doubled."""
    assert text_from_kernel(raw) == text


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "ü €",
        "\x7f",
        "\x85\x9b",
        "a\u202eb",
        "\u2028",
        "\u200b",
        "\u2066",
        "\ufeff",
        "\u061c",
    ],
)
def test_json_is_obeyed_by_no_terminal_and_means_the_same(text: str) -> None:
    dumped = dump_json({"comm": text}).decode()
    assert json.loads(dumped) == {"comm": text}
    assert dumped.isprintable()


def test_bytes_of_commands_and_file_names_are_written_as_escapes() -> None:
    """Words of a command need not be UTF-8, and must not end the run."""
    record = {"command": ["/bin/echo", b"caf\xe9".decode("utf-8", "surrogateescape"), "ü"], "n": 1}
    assert json.loads(dump_json(record)) == {"command": ["/bin/echo", "caf\\xe9", "ü"], "n": 1}
