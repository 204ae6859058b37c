"""Completion for bash, zsh and fish, made of the commands' options by shtab."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from orchestrator.cli import make_whole_parser
from orchestrator.cli.install.completion import FILE_NAMES
from scripts.completion_functions import (
    complete_params,
    complete_plans,
    complete_points,
    complete_runs,
    complete_words,
    join_words_in_bash,
)

__all__ = ["list_completions"]

ROOT = Path(__file__).resolve().parent.parent
_FILES = ("FILE", "FACTS", "PATH", "HOSTS", "DIR|FILE")


def list_completions() -> dict[Path, str]:
    """The text of each shell's file, by its path."""
    parser = make_whole_parser()
    kinds: dict[str, object] = {
        "DIR": shtab.DIRECTORY,
        "PLAN": complete_plans(),
        "POINT": complete_points(),
        "WORD": complete_words(),
        "NAME=VALUE": complete_params(),
        "RUN": complete_runs(),
        **dict.fromkeys(_FILES, shtab.FILE),
    }
    for action in _actions(parser):
        if not action.choices and action.metavar in kinds:
            action.complete = kinds[action.metavar]  # type: ignore[attr-defined]  # shtab's
    texts = {shell: f"{shtab.complete(parser, shell).rstrip()}\n" for shell in FILE_NAMES}
    texts["bash"] = join_words_in_bash(texts["bash"])
    return {ROOT / "completions" / FILE_NAMES[shell]: text for shell, text in texts.items()}


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        elif action.nargs != 0:
            yield action
