"""Parameters become arguments, and no value becomes another option."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import _make_parser
from tests.support.collection import load_plugin

arguments = load_plugin("module_utils.arguments")
BadArgument = arguments.BadArgument

FILE = "/etc/probeplan/plans/opens.yaml"
NOTHING: dict[str, Any] = {
    "backend": "auto",
    "set": {},
    "target": {},
    "limits": {},
    "policies": [],
    "command": None,
}

keys = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
texts = st.text(max_size=12)
values = st.one_of(texts, st.integers(), st.booleans(), st.floats(allow_nan=False))
params = st.fixed_dictionaries(
    {
        "backend": st.sampled_from(["auto", "bcc", "tracefs"]),
        "set": st.dictionaries(keys, values, max_size=3),
        "target": st.dictionaries(keys, values | st.lists(values, max_size=3), max_size=3),
        "limits": st.dictionaries(keys, values, max_size=3),
        "policies": st.lists(st.builds("/{}".format, texts), max_size=2),
        "duration": st.none() | texts,
        "label": st.none() | texts,
        "command": st.none() | st.lists(texts, max_size=3),
    }
)


def _parse(words: list[str]) -> Any:
    """As `probeplan run` does."""
    return _make_parser("run").parse_args(words)


@given(params)
def test_what_is_accepted_arrives_as_it_was_given(given_params: dict[str, Any]) -> None:
    try:
        words = arguments.run_arguments(given_params, FILE)
    except BadArgument:
        return
    parsed = _parse(words)
    assert parsed.unattended
    assert parsed.plan == FILE
    assert parsed.backend == given_params["backend"]
    assert [key for key, _ in parsed.settings] == list(given_params["set"])
    assert [key for key, _ in parsed.target] == list(given_params["target"])
    assert [key for key, _ in parsed.limits] == list(given_params["limits"])
    for key, text in parsed.settings:
        value = given_params["set"][key]
        assert text == (str(value).lower() if isinstance(value, bool) else str(value))
    assert parsed.policy == given_params["policies"]
    assert parsed.duration == given_params["duration"]
    assert parsed.label == given_params["label"]
    assert parsed.workload == (given_params["command"] or [])


@given(st.text(min_size=1), st.sampled_from(["\n", "\0", "\x1b", "\r"]), st.integers(0, 10))
def test_what_is_no_line_is_refused_everywhere(text: str, bad: str, at: int) -> None:
    value = text[:at] + bad + text[at:]
    for wrong in (
        {"set": {"a": value}},
        {"set": {value: "1"}},
        {"target": {"comm": value}},
        {"target": {"comm": ["a", value]}},
        {"limits": {"events": value}},
        {"policies": ["/" + value]},
        {"label": value},
        {"duration": value},
        {"command": [value]},
    ):
        with pytest.raises(BadArgument):
            arguments.run_arguments({**NOTHING, **wrong}, FILE)


@given(st.text(string.ascii_letters, max_size=8))
def test_what_begins_as_an_option_is_refused_everywhere(text: str) -> None:
    value = "--" + text
    for wrong in (
        {"set": {"a": value}},
        {"set": {value: "1"}},
        {"target": {"comm": [value]}},
        {"label": value},
        {"shard": value},
        {"expires": value},
        {"keep": value},
        {"policies": [value]},
        {"command": [value]},
    ):
        with pytest.raises(BadArgument):
            arguments.run_arguments({**NOTHING, **wrong}, FILE)
    with pytest.raises(BadArgument):
        arguments.check_name(value)


@pytest.mark.parametrize("name", ["-opens", ".opens", "", "a/b", "a b", "a\n", "ä", "a" * 201])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(BadArgument, match="is no name of a plan"):
        arguments.check_name(name)


@pytest.mark.parametrize("path", ["plan.yaml", "/etc/../x", "-/x", ""])
def test_a_path_is_absolute(path: str) -> None:
    with pytest.raises(BadArgument):
        arguments.check_path("plan", path)


def test_a_negative_number_is_a_value() -> None:
    words = arguments.run_arguments({**NOTHING, "set": {"threshold": -5, "low": "-3ms"}}, FILE)
    assert "--set=threshold=-5" in words
    assert "--set=low=-3ms" in words


def test_the_options_of_unattended_runs_arrive() -> None:
    given = {"expires": "2031-12-31", "shard": "5%", "keep": "20,200MiB"}
    plain = _parse(arguments.run_arguments(NOTHING, FILE))
    parsed = _parse(arguments.run_arguments({**NOTHING, **given}, FILE))
    for name in given:
        assert getattr(parsed, name) is not None
        assert getattr(parsed, name) != getattr(plain, name)
    assert "--shard=5%" in arguments.run_arguments({**NOTHING, **given}, FILE)


def test_lists_are_for_targets() -> None:
    words = arguments.explain_arguments({**NOTHING, "target": {"pid": [12, 13]}}, FILE)
    assert "--target=pid=12,13" in words
    with pytest.raises(BadArgument, match=r"set\.a: \[1\] is not a text"):
        arguments.explain_arguments({**NOTHING, "set": {"a": [1]}}, FILE)
    with pytest.raises(BadArgument, match="has a comma"):
        arguments.explain_arguments({**NOTHING, "target": {"comm": ["a,b"]}}, FILE)


def test_the_words_of_a_workload_stay_as_they_are() -> None:
    command = ["sh", "-c", "echo a\nexit 3", "--", "--label=x"]
    parsed = _parse(arguments.run_arguments({**NOTHING, "command": command}, FILE))
    assert parsed.workload == command
    assert parsed.label is None
