#!/usr/bin/env python3
"""Fetches the JavaScript libraries of HTML reports again: packages of the npm registry, at the
versions below. Each has to have the SHA-256 below, and so has each file that is taken from it.

usage: scripts/vendor_report.py [--check]

--check: writes nothing; exit code 1 if a file in the tree is not the one of the package. `npm` has
to be installed; its configuration says which registry is asked.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "orchestrator" / "html_report" / "vendor"
_STYLE = re.compile(r"\.textContent=`([^`\\$]*(?:\$vite\$[^`\\$]*)?)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A release. `files`: by path in the package, the name it gets here."""

    name: str
    version: str
    sha256: str
    files: dict[str, str]


PACKAGES = (
    Package(
        name="echarts",
        version="6.1.0",
        sha256="681aff88cc1038c3fa941a3a53d1b177a52250b05335efc607d6105ae13be481",
        files={
            "dist/echarts.min.js": "echarts.min.js",
            "LICENSE": "echarts.LICENSE",
            "NOTICE": "echarts.NOTICE",
            "licenses/LICENSE-d3": "echarts.LICENSE-d3",
        },
    ),
    # Its code is in echarts.min.js, which does not repeat its licence.
    Package(
        name="zrender",
        version="6.1.0",
        sha256="38f2fb722a638be016ca0175b139c40c886ef47fc2afdb741b2e7e7ae9683f9c",
        files={"LICENSE": "zrender.LICENSE"},
    ),
    Package(
        name="d3",
        version="7.9.2",
        sha256="f0c1d2c2479907a6e3265370d0fd715f7aef0f561cdd2b415df385ba7df9d1aa",
        files={"dist/d3.min.js": "d3.min.js", "LICENSE": "d3.LICENSE"},
    ),
    Package(
        name="d3-flame-graph",
        version="5.0.0",
        sha256="f12f7540b6e6e787277908d70b7169da7ced5be8737bcff2bd27f3fe4b9961c9",
        files={
            "dist/d3-flamegraph.umd.min.js": "d3-flamegraph.min.js",
            "LICENSE": "d3-flamegraph.LICENSE",
        },
    ),
)


def main(words: list[str]) -> int:
    """Exit code: 0; 1 where a file differs, 2 usage."""
    if words not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    files = collect_files()
    if words:
        return check_files(files)
    for name, content in files.items():
        (VENDOR / name).write_bytes(content)
    print(f"wrote {len(files)} files to {VENDOR}")
    return 0


def collect_files() -> dict[str, bytes]:
    """All files by name. Raises SystemExit for a package that is not the one named here."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            archive = fetch_package(package, Path(folder))
            with tarfile.open(archive) as members:
                for path, name in package.files.items():
                    member = members.extractfile(f"package/{path}")
                    assert member is not None, path
                    files[name] = member.read()
    files["d3-flamegraph.css"] = extract_style(files["d3-flamegraph.min.js"])
    return files


def fetch_package(package: Package, folder: Path) -> Path:
    """The archive of a release, checked."""
    words = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    archive = folder / f"{package.name}-{package.version}.tgz"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise SystemExit(f"{archive.name} has the SHA-256 {digest}, and not {package.sha256}")
    return archive


def extract_style(script: bytes) -> bytes:
    """The style sheet that d3-flame-graph adds to the page when it is loaded: the report's content
    security policy names it by its hash."""
    match = _STYLE.search(script.decode())
    if match is None:
        raise SystemExit("d3-flamegraph.min.js adds no style sheet any more: look at it again")
    return match[1].encode()


def check_files(files: dict[str, bytes]) -> int:
    """Name the files that differ."""
    wrong = [name for name, content in files.items() if not is_same(VENDOR / name, content)]
    for name in wrong:
        print(f"{VENDOR / name} is not the file of its package", file=sys.stderr)
    return 1 if wrong else 0


def is_same(path: Path, content: bytes) -> bool:
    """Whether a file has exactly this content."""
    return path.is_file() and path.read_bytes() == content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
