"""The version of the installed package: as its metadata says, without the cost of asking."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from orchestrator.version import installed_version


def installed() -> str | None:
    try:
        return version("probeplan")
    except PackageNotFoundError:
        return None


def in_python(statement: str) -> str:
    script = f"import sys; from orchestrator.version import installed_version; {statement}"
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_it_is_what_the_metadata_says() -> None:
    assert installed_version() == installed()


def test_the_first_folder_on_the_path_counts_and_nothing_is_imported(tmp_path: Path) -> None:
    """As for imports. What reads metadata takes 10 to 20 ms to import, before a bundle's probes are
    attached."""
    (tmp_path / "probeplan-9.8.7.dist-info").mkdir()
    shown = "print(installed_version(), 'importlib.metadata' in sys.modules)"
    assert in_python(f"sys.path.insert(0, {str(tmp_path)!r}); {shown}") == "9.8.7 False"
