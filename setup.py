"""Copies the schemas, the shipped plans, kernel profiles and completions from the top of the source
tree into the package when it is built, and has man pages and completions installed where they are
looked for.

A source tree and an editable install read them from the top of the tree.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: The recorded kernels that have a name, `debian:6.1`; the others serve tests only.
PROFILES = tuple(f"{version}.facts.xz" for version in ("5.10", "6.1", "6.12", "7.x"))
DATA = {
    "schema": ("*.json",),
    "plans": ("**/*.yaml", "README.md"),
    "kernels": PROFILES,
    "completions": ("*",),
}
#: Below the environment's folder, /usr for a distribution: where man and each shell look.
SHARED = {
    "share/man/man1": [str(page) for page in sorted(Path("man").glob("*.1"))],
    "share/zsh/site-functions": ["completions/_probeplan"],
    "share/fish/vendor_completions.d": ["completions/probeplan.fish"],
    "share/bash-completion/completions": ["completions/probeplan.bash"],
}


class BuildWithData(build_py):
    """build_py, and schema/*.json as orchestrator/schema/*.json; the other folders likewise."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder, patterns in DATA.items():
            for pattern in patterns:
                for file in Path(folder).glob(pattern):
                    target = Path(self.build_lib) / "orchestrator" / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, target)


setup(cmdclass={"build_py": BuildWithData}, data_files=list(SHARED.items()))
