"""What a reviewer does not see is refused in plans and policies, as bytes and as YAML's escapes."""

import sys
import unicodedata

import pytest

from orchestrator.plan.document.hidden_characters import HIDDEN
from orchestrator.plan.load import check_plan
from orchestrator.policy.parse import parse_policy
from tests.support.plans import HEAD

PROBES = "probes:\n  read: {attach: 'function:vfs_read', emit: {}}\n"


def test_the_pattern_is_the_categories_that_it_names() -> None:
    """Controls but tab and line feed, formats, separators of lines, and what is no character."""
    refused = {"Cc", "Cf", "Zl", "Zp", "Cs"}
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        hidden = unicodedata.category(char) in refused or code in (0xFFFE, 0xFFFF)
        expected = hidden and char not in "\t\n"
        if unicodedata.category(char) == "Cn":  # assigned in later versions of Unicode, or never
            continue
        assert bool(HIDDEN.match(char)) == expected, f"U+{code:04X}"


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\r", "\u202e", "\u200b", "\u2066"])
def test_a_hidden_character_in_a_comment_hides_no_key(char: str) -> None:
    """YAML ends the comment there; no editor shows it."""
    _, findings = check_plan(f"{HEAD}# harmless {char}limits: {{cpu: 100%}}\n{PROBES}".encode())
    [finding] = findings
    assert (finding.code, finding.position.line, finding.position.column) == ("PP003", 4, 12)
    assert f"U+{ord(char):04X}" in finding.message
    policy = f"apiVersion: probeplan/v1\nkind: Policy\n# x{char}limits: {{events: 1}}\n".encode()
    read, [finding] = parse_policy(policy, "policy.yaml")
    assert (read, finding.code) == (None, "PP003")


@pytest.mark.parametrize("escape", ["\\u202e", "\\u2028", "\\N", "\\r", "\\u200b"])
def test_escapes_of_hidden_characters_are_refused_as_values(escape: str) -> None:
    """A value is shown on terminals and in the logs of others."""
    head = HEAD.replace("An example", f'"An {escape} example"')
    _, findings = check_plan(f"{head}{PROBES}".encode())
    assert [finding.code for finding in findings] == ["PP003"]


def test_windows_line_ends_and_other_scripts_are_text() -> None:
    """A carriage return before a line feed, accents, CJK, Hebrew, emoji."""
    text = HEAD.replace("An example", "é 日本 שלום 🙂") + PROBES
    plan, findings = check_plan(text.replace("\n", "\r\n").encode())
    assert (plan is not None, findings) == (True, [])
