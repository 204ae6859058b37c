#!/usr/bin/env python3
"""Downloads one package of a Debian suite that need not be the host's, without installing it.

usage: scripts/download_package.py SUITE PACKAGE DIRECTORY
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from orchestrator.lab.apt import open_archive
from orchestrator.lab.errors import LabError


def main(suite: str, package: str, directory: Path) -> int:
    """Puts PACKAGE_*.deb into `directory`; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="probeplan-apt-") as state:
        try:
            open_archive(suite, Path(state)).download([package], directory)
        except LabError as error:
            print(f"{package} of {suite} cannot be fetched: {error}", file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).absolute()))
