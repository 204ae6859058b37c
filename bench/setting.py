"""What all benchmarks share: the size of the work, the CPUs, a directory, and where progress
goes."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HERE", "PLANS", "ROOT", "NotPossible", "Setting", "build", "command"]

HERE = Path(__file__).parent
ROOT = HERE.parent
PLANS = HERE / "plans"


class NotPossible(Exception):
    """A benchmark cannot run here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`rounds`: turns of each contender. `scale`: the fraction of the full work that is done (1:
    the targets apply to this). `directory`: in memory if possible. The load runs on `load_cpu`,
    readers on `reader_cpu`."""

    directory: Path
    rounds: int = 3
    scale: float = 1.0
    load_cpu: int = 0
    reader_cpu: int = 1
    say: Callable[[str], None] = lambda _text: None

    def of(self, full: int, least: int = 1) -> int:
        """The scaled amount of the `full` work."""
        return max(least, int(full * self.scale))


def build(setting: Setting, name: str) -> Path:
    """Compile native/NAME.c, once per run. Raises NotPossible."""
    made = setting.directory / name
    if made.exists():
        return made
    source = HERE / "native" / f"{name}.c"
    gcc = ["gcc", "-O2", "-fno-omit-frame-pointer", "-pthread", "-o", str(made), str(source)]
    try:
        subprocess.run(gcc, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NotPossible("gcc is not installed") from None
    except subprocess.CalledProcessError as error:
        raise NotPossible(f"{name}.c does not compile: {error.stderr.strip()}") from None
    return made


def command() -> list[str]:
    """`probeplan` as installed next to this interpreter; otherwise the module."""
    script = Path(sys.executable).with_name("probeplan")
    if os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-m", "orchestrator.cli"]
