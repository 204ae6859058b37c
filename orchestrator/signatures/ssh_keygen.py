"""Running ssh-keygen: by its absolute path, with files that no other process can change, bounded in
time and output.

What it reads lies in memory (memfd_create(2)) and is named by /proc/self/fd/N: the bytes that were
read once are the ones that it sees, whatever becomes of the files meanwhile.
"""

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.kernel.abi.memory_file import hold_in_memory
from orchestrator.signatures.model import SignatureUnchecked
from orchestrator.values import dataclass

__all__ = ["ToolAnswer", "find_ssh_keygen", "run_ssh_keygen"]

#: Where it is looked for. PATH is not asked: who can set root's environment could replace it.
DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin", "/run/current-system/sw/bin")
_PATIENCE_S = 10.0
_MOST_OUTPUT = 64 << 10
#: C: its messages are quoted, and its fingerprints are parsed.
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """The exit code, and what was printed to standard output and standard error."""

    code: int
    output: bytes
    errors: bytes


def find_ssh_keygen() -> str:
    """The absolute path of ssh-keygen. Raises SignatureUnchecked where there is none."""
    for directory in DIRECTORIES:
        path = Path(directory, "ssh-keygen")
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    why = f"there is no ssh-keygen in {', '.join(DIRECTORIES)}"
    raise SignatureUnchecked(why, missing=True)


def run_ssh_keygen(
    tool: str, arguments: Sequence[str], data: bytes, files: Sequence[int]
) -> ToolAnswer:
    """The answer of `tool` to `arguments`, with `data` on its standard input. `files`: descriptors
    that it inherits under their numbers.

    Raises SignatureUnchecked where it cannot be run, takes more than 10 s, or prints more than 64
    KiB; it is killed then.
    """
    with hold_in_memory(data) as stdin:
        try:
            process = subprocess.Popen(
                [tool, *arguments],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=files,
                env=_ENVIRONMENT,
                cwd="/",
            )
        except OSError as error:
            raise SignatureUnchecked(f"{tool} cannot be run: {error.strerror}") from None
        with process:
            try:
                output, errors = _read_bounded(process)
                code = process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                raise SignatureUnchecked(f"{tool} gave no answer in {_PATIENCE_S:g} s") from None
            finally:
                process.kill()  # does nothing once it has ended
    return ToolAnswer(code=code, output=output, errors=errors)


def _read_bounded(process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
    """All of standard output and standard error. Raises TimeoutExpired, SignatureUnchecked."""
    assert process.stdout is not None
    assert process.stderr is not None
    deadline = time.monotonic() + _PATIENCE_S
    read = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as open_ends:
        for end in read:
            open_ends.register(end, selectors.EVENT_READ)
        while open_ends.get_map():
            ready = open_ends.select(deadline - time.monotonic())
            if not ready and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(process.args, _PATIENCE_S)
            for key, _ in ready:
                if not (piece := os.read(key.fd, _MOST_OUTPUT)):
                    open_ends.unregister(key.fd)
                read[key.fd] += piece
                if len(read[key.fd]) > _MOST_OUTPUT:
                    raise SignatureUnchecked(f"it printed more than {_MOST_OUTPUT >> 10} KiB")
    output, errors = read.values()
    return bytes(output), bytes(errors)
