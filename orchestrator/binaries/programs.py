"""Which file a program's name means."""

import os
from pathlib import Path

__all__ = ["find_program"]


def find_program(name: str) -> Path | None:
    """The file that is executed by this name, as os.execvp looks for it; None where there is none.
    The module of shutil.which imports three compressors: 4 ms of each start with a command."""
    folders = [""] if "/" in name else os.get_exec_path()
    files = (Path(folder, name) for folder in folders)
    return next((file for file in files if os.access(file, os.X_OK) and file.is_file()), None)
