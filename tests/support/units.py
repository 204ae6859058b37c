"""The sample units of examples/systemd, as tests read and verify them."""

import configparser
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import ROOT

UNITS = ROOT / "examples" / "systemd"
#: Stands for the program where it is not installed.
_PROGRAM, _STAND_IN = "/usr/bin/probeplan", "/bin/true"


def read_unit(name: str) -> configparser.ConfigParser:
    """A unit's settings; of one that is there several times, the last."""
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # configparser's own idiom
    found.read_string((UNITS / name).read_text())
    return found


def copy_units(folder: Path, drop_ins: Mapping[str, str] | None = None) -> None:
    """All units, with a program that is here; `drop_ins`: the text of each by its path below the
    folder (`UNIT.d/NAME.conf`)."""
    for unit in UNITS.iterdir():
        (folder / unit.name).write_text(unit.read_text().replace(_PROGRAM, _STAND_IN))
    for path, text in (drop_ins or {}).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


def verify_instance(folder: Path, template: str, instance: str = "opens") -> tuple[int, str]:
    """The exit code of `systemd-analyze verify` for one instance of a unit, and what it says."""
    return _analyze(folder, "verify", "--man=no", template.replace("@", f"@{instance}"))


def measure_exposure(folder: Path, template: str) -> float:
    """What `systemd-analyze security` finds of a unit file: 0 is best, 10 is worst."""
    code, text = _analyze(folder, "security", "--offline=true", str(folder / template))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)
    assert code == 0, text
    assert found, text
    return float(found[1])


def _analyze(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )
    return done.returncode, done.stdout
