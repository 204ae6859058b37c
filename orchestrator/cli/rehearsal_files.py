"""What a rehearsal has of this host, and where its output goes: the plan, standard input, the
folder, the environment; standard output and error, --log, --folded and --out."""

import argparse
import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from orchestrator.cli.messages import print_note
from orchestrator.lab.rehearsal import STDERR, STDOUT, log_file
from orchestrator.lab.rehearsal_job import OutputPlace, is_in_guest
from orchestrator.output.result import ResultDirectory, ResultDirectoryError
from orchestrator.output.safe_open import open_for_append
from orchestrator.plan.document.source import read_source
from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.run.shipped import find_plan
from orchestrator.values import dataclass

_OUT = "out"


# ---------------------------------------------------------------- in


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPlan:
    """PLAN, as the guest is to call it (`word`) and as it is loaded here (`source`). `stdin`: its
    text where the guest does not have the file and reads it from standard input."""

    word: str
    source: str | bytes
    stdin: bytes | None = None


def read_given_plan(given: str) -> GivenPlan:
    """PLAN by its path or name; its text where it comes from standard input, a pipe, or a folder
    that the guest does not have. Raises PlanError."""
    path = find_plan(given)
    if path != "-" and Path(path).is_file() and is_in_guest(Path(path).resolve()):
        return GivenPlan(word=given, source=path)
    text, _ = read_source(path)
    return GivenPlan(word="-", source=text, stdin=text)


def open_stdin(plan: GivenPlan, stack: ExitStack, *, has_command: bool) -> BinaryIO | None:
    """What the guest reads as its standard input: the plan, or the rest of a file; None: nothing.
    A pipe is not read, and a note says so."""
    if plan.stdin is not None:
        return BytesIO(plan.stdin)
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode):
        return stack.enter_context(os.fdopen(os.dup(0), "rb"))
    if has_command and stat.S_ISFIFO(mode):
        print_note("standard input is a pipe, which a guest cannot read: COMMAND gets an empty one")
    return None


def guest_folder() -> Path:
    """The current folder. Raises PlanError where the guest does not have it."""
    folder = Path.cwd()
    if not is_in_guest(folder):
        message = f"the current folder {str(folder)!r} is not in the guest, which has its own there"
        raise PlanError([of_command_line(message, "start it in another folder, such as /tmp")])
    return folder


def guest_environment() -> dict[str, str]:
    """This environment, with the width of the terminal that tables are for."""
    width, _ = shutil.get_terminal_size()
    return {**os.environ, "COLUMNS": str(width)}


# ---------------------------------------------------------------- out


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOutputs:
    """The outputs, all open: `streams` by file of the share, and --out. `words`: the values of
    options that the guest gets in place of the user's."""

    places: tuple[OutputPlace, ...]
    streams: Mapping[str, Callable[[bytes], None]]
    directory: ResultDirectory | None
    words: Mapping[str, str]

    def take_folder(self, folder: Path) -> None:
        """Take over what the guest has written for --out. Raises OutputLost."""
        if self.directory is not None:
            self.directory.copy_from(folder)


def open_outputs(args: argparse.Namespace, stack: ExitStack) -> OpenOutputs:
    """Open all that the options name, since that can fail and should do so before a boot. Raises
    PlanError, OSError."""
    if sys.stdout is None and args.log is None:
        message = "standard output is closed, so the JSON lines would be lost"
        raise PlanError([of_command_line(message, "give the log a file: --log FILE")])
    streams = {STDOUT: partial(_write_all, 1), STDERR: partial(_write_all, 2)}
    log = None if args.log == "-" else args.log
    places = []
    for name, path in (("log", log), ("folded", args.folded)):
        if path is not None:
            place, descriptor = _open_file(name, path, stack)
            places.append(place)
            streams[log_file(name)] = partial(_write_all, descriptor)
    words = {place.name: str(place.guest_path) for place in places if place.place is None}
    directory = None
    if args.out is not None:
        directory = _open_directory(args.out, stack)
        places.append(OutputPlace(name=_OUT, place=Path(args.out).absolute(), is_folder=True))
    return OpenOutputs(places=tuple(places), streams=streams, directory=directory, words=words)


def _open_file(name: str, path: str, stack: ExitStack) -> tuple[OutputPlace, int]:
    """An output's file, and the descriptor that writes to it. Where it is no regular file, the
    guest has nothing like it and writes to the share only."""
    descriptor = open_for_append(path)
    stack.callback(os.close, descriptor)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return OutputPlace(name=name), descriptor
    if name == "folded":
        os.ftruncate(descriptor, 0)
    return OutputPlace(name=name, place=Path(path).absolute()), descriptor


def _open_directory(out: str, stack: ExitStack) -> ResultDirectory:
    try:
        return stack.enter_context(ResultDirectory(out))
    except ResultDirectoryError as error:
        raise PlanError([of_command_line(str(error))]) from None


def _write_all(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]
