"""Debian packages that stand for real ones: a few files."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["build_stand_in"]


def build_stand_in(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    """NAME_0.1.0_all.deb in `folder`, with `files` by their path below /, all of them programs."""
    tree = folder / f"{name}.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {"Package": name, "Version": "0.1.0", "Architecture": "all"}
    fields |= {"Maintainer": "tests <tests@localhost>", "Description": f"stands for {name}"}
    control = "".join(f"{field}: {value}\n" for field, value in fields.items())
    (tree / "DEBIAN" / "control").write_text(control)
    for path, text in files.items():
        _write_program(tree / path, text)
    package = folder / f"{name}_0.1.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", tree, package], check=True, capture_output=True)
    return package


def _write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
