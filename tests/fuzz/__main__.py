"""`python -m tests.fuzz --seconds N [--target NAME]`: how many cases, how fast, and what failed.

Exits 1 when anything failed. Needs atheris (`pip install atheris`; `scripts/fuzz.sh` sees to it).
What was found interesting is kept in .cache/fuzz and gone on with.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import TARGETS
from tests.support.paths import ROOT

STORE = ROOT / ".cache" / "fuzz"
_CASES = re.compile(r"stat::number_of_executed_units: +(\d+)")
_RATE = re.compile(r"stat::average_exec_per_sec: +(\d+)")
_BOUNDS = ("-timeout=120", "-rss_limit_mb=2048", "-print_final_stats=1", "-report_slow_units=600")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one target came to; `failures` are files with cases."""

    cases: int
    rate: int
    failures: tuple[Path, ...]
    ended: str


def fuzz(name: str, seconds: int) -> Ran:
    """Fuzz one target in a separate process."""
    folder = STORE / name
    for part in ("corpus", "failures"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for old in (folder / "failures").iterdir():
        old.unlink()
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(folder), *_BOUNDS]
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/failures/"]
    done = subprocess.run(
        [*command, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    reported = done.stdout + done.stderr
    cases, rate = _CASES.search(reported), _RATE.search(reported)
    return Ran(
        cases=int(cases[1]) if cases else 0,
        rate=int(rate[1]) if rate else 0,
        failures=tuple(sorted(p for p in (folder / "failures").iterdir() if p.suffix != ".txt")),
        ended=""
        if done.returncode == 0 and cases
        else reported[-2000:] or f"exit {done.returncode}",
    )


def main() -> int:
    """The table; 0 where nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="a target (default: 60)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="default: all")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is missing: run scripts/fuzz.sh, or pip install atheris", file=sys.stderr)
        return 3
    print(f"{'target':<12} {'cases':>10} {'cases/s':>8}  failures")
    failed = total = 0
    for name in options.target or TARGETS:
        ran = fuzz(name, options.seconds)
        failed += len(ran.failures) + bool(ran.ended)
        total += ran.cases
        print(f"{name:<12} {ran.cases:>10,} {ran.rate:>8,}  {len(ran.failures)}", flush=True)
        for path in ran.failures:
            print(f"    {path.relative_to(ROOT)}")
        if ran.ended:
            print(f"    ended before its time: {ran.ended}")
    print(f"{'all':<12} {total:>10,}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
