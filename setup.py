"""Copies the schemas and the shipped plans from the top of the source tree into the package when it
is built.

A source tree and an editable install read them from the top of the tree.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DATA = {"schema": "*.json", "plans": "**/*.yaml"}


class BuildWithData(build_py):
    """build_py, and schema/*.json as orchestrator/schema/*.json; plans/ likewise."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder, pattern in DATA.items():
            for file in Path(folder).glob(pattern):
                target = Path(self.build_lib) / "orchestrator" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)


setup(cmdclass={"build_py": BuildWithData})
