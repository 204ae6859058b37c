"""One target under atheris, in a separate process.

usage: python -m tests.fuzz.guided NAME FOLDER [OPTIONS of libFuzzer]

libFuzzer runs the cases and never returns. A fault does not end it: the first case of each kind is
kept in FOLDER/failures, named by where it was raised, and the search goes on.
"""

import importlib
import sys
import traceback
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import atheris

from tests.fuzz.target import Target, limited
from tests.support.paths import ROOT


class Faults:
    """The first case of every kind of fault, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: set[str] = set()

    def keep(self, data: bytes, error: BaseException) -> None:
        """Two files: the case, and how it failed."""
        place = _place(error)
        if place in self.known:
            return
        self.known.add(place)
        path = self.folder / place
        path.write_bytes(data)
        reported = "".join(traceback.format_exception(error))
        path.with_suffix(".txt").write_text(reported, errors="backslashreplace")


def _place(error: BaseException) -> str:
    """What was raised and the innermost place of ours, as a file's name."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(str(ROOT))
    ]
    where = f"{Path(frames[-1].filename).stem}-{frames[-1].name}" if frames else "nowhere"
    short = sha256(f"{where}{frames[-1].lineno if frames else 0}".encode()).hexdigest()[:4]
    return f"{type(error).__name__}-{where}-{short}".replace("<", "").replace(">", "")


def main() -> None:
    """Instruments what is imported, tries the seeds, and hands over to libFuzzer."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(include=["orchestrator"]):
        target: Target = importlib.import_module("tests.fuzz.targets").TARGETS[name]
        for seed in target.seeds():  # imports within functions happen here
            with suppress(Exception):  # it is tried again, and kept, when libFuzzer reads the seeds
                target.check(seed)
    faults = Faults(folder / "failures")

    def one(data: bytes) -> None:
        try:
            with limited():
                target.check(data)
        except Exception as error:  # every kind is what is looked for
            faults.keep(data, error)

    _write(folder, target)
    options = [f"-max_len={target.longest}", f"-dict={folder / 'words'}"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[3:], str(folder / "corpus")], one)
    atheris.Fuzz()


def _write(folder: Path, target: Target) -> None:
    for seed in target.seeds():
        (folder / "corpus" / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in target.words)
    (folder / "words").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
