"""Completion for bash, zsh and fish, made of the commands' options by shtab."""

import argparse
import inspect
from collections.abc import Iterator
from pathlib import Path

import shtab

from orchestrator.cli import PROGRAM, make_whole_parser
from orchestrator.cli.install.completion import FILE_NAMES
from orchestrator.run.shipped import shipped_plans

__all__ = ["list_completions"]

ROOT = Path(__file__).resolve().parent.parent
_FILES = ("FILE", "FACTS", "PATH", "HOSTS", "DIR|FILE")


def list_completions() -> dict[Path, str]:
    """The text of each shell's file, by its path."""
    parser = make_whole_parser()
    for action in _actions(parser):
        kinds = {"PLAN": _complete_plans(), "DIR": shtab.DIRECTORY} | dict.fromkeys(
            _FILES, shtab.FILE
        )
        if not action.choices and action.metavar in kinds:
            action.complete = kinds[action.metavar]  # type: ignore[attr-defined]  # shtab's
    return {
        ROOT / "completions" / name: f"{shtab.complete(parser, shell).rstrip()}\n"
        for shell, name in FILE_NAMES.items()
    }


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        elif action.nargs != 0:
            yield action


def _complete_plans() -> dict[str, object]:
    """Names of shipped plans, and files: plans and bundles among them."""
    names = " ".join(shipped_plans())
    function = f"_{PROGRAM}_plan_files"
    bash = f"""\
        {function}() {{
          compgen -W "{names}" -- "$1"
          compgen -f -- "$1"
        }}
        """
    zsh = f"""\
        {function}() {{
          local -a plans=({names})
          _describe 'shipped plan' plans
          _files
        }}
        """
    fish = f"""\
        function {function}
          printf '%s\\n' {names}
          __fish_complete_path (commandline -ct)
        end
        """
    preambles = {"bash": bash, "zsh": zsh, "fish": fish}
    return {
        "bash": function,
        "zsh": function,
        "fish": f"({function})",
        "preamble": {shell: inspect.cleandoc(text) for shell, text in preambles.items()},
    }
