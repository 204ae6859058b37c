"""`probeplan completion`: the script by which a shell completes commands, options and plans."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from orchestrator.plan.findings import Finding, HostError, Position

__all__ = ["FILE_NAMES", "add_arguments", "main"]

EPILOG = """\
examples:
  source <(probeplan completion bash)       in this shell; the same line in ~/.bashrc for all
  probeplan completion zsh > ~/.zfunc/_probeplan    in a directory of zsh's fpath
  probeplan completion fish > ~/.config/fish/completions/probeplan.fish

The Debian package installs all three. Completed are commands, options, their choices, shipped plans
with their questions, params of the plan on the line, ids of live runs, and files.

exit codes: 0 done; 3 the installation lacks the file
"""

#: As the shells look for them.
FILE_NAMES: Mapping[str, str] = {
    "bash": "probeplan.bash",
    "zsh": "_probeplan",
    "fish": "probeplan.fish",
}
_PACKAGE = Path(__file__).parents[2]
#: In an installed package, and in a source tree.
_DIRECTORIES = (_PACKAGE / "completions", _PACKAGE.parent / "completions")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `completion`."""
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=tuple(FILE_NAMES), help="the shell to complete in")


def main(args: argparse.Namespace) -> int:
    """Print the shell's script; returns the exit code. Raises HostError where it is missing."""
    print(read_completion(args.shell), end="")
    return 0


def read_completion(shell: str) -> str:
    """The script for a shell of FILE_NAMES. Raises HostError where it is not installed."""
    files = [directory / FILE_NAMES[shell] for directory in _DIRECTORIES]
    for file in files:
        if file.exists():
            return file.read_text(encoding="utf-8")
    finding = Finding(
        code="PP001",
        message=f"this installation has no completion for {shell}",
        position=Position(file=str(files[0])),
        hint="install probeplan again: its wheel and its package have the file",
    )
    raise HostError([finding])
