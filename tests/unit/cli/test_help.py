"""What --help teaches: it is whole, its examples are commands, and it fits the screen."""

import argparse
import re
import shlex

import pytest

from orchestrator.cli import COMMANDS, EPILOG, _make_parser

#: What a shell does with a line, and the program never sees.
_SHELL = re.compile(r"\s(?:\||>|#).*")


def help_of(command: str | None, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        _make_parser(command).parse_args([*([command] if command else []), "--help"])
    return capsys.readouterr().out


def options_of(command: str) -> list[argparse.Action]:
    [commands] = _make_parser(command)._subparsers._group_actions  # type: ignore[union-attr]
    return commands.choices[command]._actions  # type: ignore[index,call-overload,no-any-return]


def examples_in(text: str) -> list[list[str]]:
    """The words of each example, without what explains it: two blanks set that apart."""
    lines = re.findall(r"^  (?:sudo )?probeplan (.*)$", text, re.MULTILINE)
    return [shlex.split(re.split(r"\s{2,}", _SHELL.sub("", line))[0]) for line in lines]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_parse(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = examples_in(help_of(command, capsys))
    assert examples
    for words in examples:
        assert _make_parser(words[0]).parse_args(words).command == words[0]


def test_the_examples_of_the_program_parse() -> None:
    for words in examples_in(EPILOG):
        _make_parser(words[0]).parse_args([word for word in words if word != "--help"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    for option in options_of(command):
        assert option.help, option.option_strings


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_no_line_is_longer_than_100_columns(
    command: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(command, capsys)
    assert [line for line in text.splitlines() if len(line) > 100] == []


def test_run_groups_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("run", capsys)
    groups = [text.index(f"\n{title}:\n") for title in ("plan options", "output", "safety")]
    assert groups == sorted(groups)
