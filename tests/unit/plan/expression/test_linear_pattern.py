"""Patterns that are followed in linear time mean what they mean to `re`."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.expression.linear_pattern import LinearPattern, PatternError

_atoms = st.sampled_from(["a", "b", "/", ".", "[ab]", "[^a/]", r"\d", r"\w", "1", "(?:a|b/)"])
_patterns = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        # where what is repeated can be empty, engines do not agree on which match is the first
        st.tuples(
            inner.filter(lambda one: re.fullmatch(one, "") is None),
            st.sampled_from(["?", "{2}", "{1,3}", "+", "*", "+?", "*?", "??"]),
        ).map(lambda two: f"(?:{two[0]}){two[1]}"),
    ),
    max_leaves=5,
)


@given(_patterns, _patterns, st.text("ab/1", max_size=12), st.sampled_from(["", "^", "$"]))
def test_it_finds_what_re_finds(first: str, second: str, text: str, anchor: str) -> None:
    head, tail = ("^", "") if anchor == "^" else ("", anchor)
    for pattern in (f"{head}{first}{second}{tail}", f"{head}{first}({second}){tail}"):
        expected = re.search(pattern, text)
        group = None if expected is None else expected.group(expected.re.groups)
        assert LinearPattern(pattern).find_group(text) == group, pattern


def test_names_of_containers() -> None:
    name = "/system.slice/docker-" + "0123456789ab" * 5 + "cdef.scope"
    assert LinearPattern("docker-([0-9a-f]{12})").find_group(name) == "0123456789ab"
    assert LinearPattern(r"([^/]+)\.scope$").find_group(name) == name[14:-6]
    assert LinearPattern("nothing").find_group(name) is None


@pytest.mark.parametrize("pattern", ["(a+)+b", "(?:a|a)*b", "(?:a*)*(?:a*)*b", "a*a*a*a*a*a*b"])
def test_what_takes_re_years_takes_no_time(pattern: str) -> None:
    """Within the CPU time of a generous bound, where re would not end."""
    before = time.process_time()
    assert LinearPattern(pattern).find_group("a" * 512) is None
    assert time.process_time() - before < 30


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "no regular expression"),
        ("(a)(b)", "more than one group"),
        (r"(a)\1", "groupref is not offered"),
        ("a(?=b)", "assert is not offered"),
        ("(?i)a", "flags are not offered"),
        ("(?:a{1000}){1000}", "more than 2000 steps"),
        ("a" * 300, "more than 256 characters"),
        (r"a\b", "is not offered"),
    ],
)
def test_what_cannot_be_followed_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(PatternError, match=said):
        LinearPattern(pattern)
