"""What an arm64 guest runs and this host makes: workloads, and the bundles of plans."""

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock

from orchestrator.bundle.build import BuildOptions, draw_blueprint
from orchestrator.bundle.matrix import RecordedKernel
from orchestrator.bundle.variants import without_trampolines
from tests.support.bundled_runs import build_rows
from tests.support.recorded import recorded

ARM64_KERNELS = ("6.1-arm64", "6.12-arm64")
_COMPILER = "aarch64-linux-gnu-gcc"
_one_at_a_time = Lock()  # machines are prepared side by side


def build_for_arm64(source: Path, target: Path, *flags: str) -> None:
    """Compile a workload."""
    subprocess.run([_COMPILER, *flags, "-pthread", "-o", str(target), str(source)], check=True)


def build_bundle(
    source: str | bytes, settings: Mapping[str, str] | None = None, *, trampolines: bool = True
) -> bytes:
    """The file of a bundle for both arm64 kernels and for runs with a command. Of all variants it
    has the one that a lane needs: the kernels as they were recorded, or without `trampolines`."""
    with _one_at_a_time:
        return _build(source, tuple(sorted((settings or {}).items())), trampolines)


@cache
def _build(source: str | bytes, settings: tuple[tuple[str, str], ...], trampolines: bool) -> bytes:
    kernels = [
        RecordedKernel(name=name, facts=facts if trampolines else without_trampolines(facts))
        for name, facts in ((name, recorded(name)) for name in ARM64_KERNELS)
    ]
    params = {name: [value] for name, value in settings}
    drawn = draw_blueprint(source, kernels, BuildOptions(params=params, with_command=True))
    rows = [row for row in drawn.bundle.matrix if row.is_recorded and row.settings.command]
    return build_rows(drawn, rows)
