"""Bundles that are built for tests, and hosts without a compiler to run them on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.bundle.build import (
    Blueprint,
    BuildOptions,
    CompileProgress,
    compile_blueprints,
    draw_blueprint,
)
from orchestrator.bundle.file import write_bundle
from orchestrator.bundle.matrix import RecordedKernel
from orchestrator.bundle.model import Bundle, MatrixRow
from tests.support.recorded import recorded

__all__ = ["HIDDEN", "NO_COMPILER", "build_bundle", "build_file", "build_rows"]

#: What a host without a compiler has nothing of, as /proc/PID/maps would show it.
HIDDEN = ("bcc", "clang", "LLVM")
#: Starts a program where Python has no module bcc, and the files of libbcc, libclang and libLLVM
#: have no content. The package of the program itself has a folder called bcc: it is Python's.
_HIDE = r"""
set -e
mount -t tmpfs none /mnt
for folder in $(/usr/bin/python3 -c 'import sys; print(*filter(None, sys.path))'); do
    [ -e "$folder/bcc" ] || continue
    mkdir -p "/mnt$folder/upper" "/mnt$folder/work"
    mount -t overlay overlay \
        -o "lowerdir=$folder,upperdir=/mnt$folder/upper,workdir=/mnt$folder/work" "$folder"
    rm -r "$folder/bcc"
done
for library in $(ldconfig -p | grep -oE '/[^ ]*/lib(bcc|clang|LLVM)[^ ]*$'); do
    mount --bind /dev/null "$(realpath "$library")"
done
exec "$@"
"""
NO_COMPILER = ("unshare", "--mount", "sh", "-c", _HIDE, "sh")


def build_bundle(
    source: str | bytes,
    kernels: Sequence[RecordedKernel],
    options: BuildOptions,
    report: CompileProgress = lambda _done, _total: None,
) -> Bundle:
    """A bundle of the plan at a path or in bytes, for `kernels`."""
    [bundle] = compile_blueprints([draw_blueprint(source, kernels, options)], report)
    return bundle


def build_file(
    path: Path,
    plan: bytes,
    kernels: Sequence[str],
    *,
    target: Mapping[str, Sequence[str]] | None = None,
    params: Mapping[str, Sequence[str]] | None = None,
    command: bool = False,
) -> Path:
    """A bundle of the plan for recorded kernels, in the file `path`."""
    options = BuildOptions(
        params=params or {}, target=target or {}, with_command=command, created=int(time.time())
    )
    rows = [RecordedKernel(name=name, facts=recorded(name)) for name in kernels]
    path.write_bytes(write_bundle(build_bundle(plan, rows, options)))
    return path


def build_rows(drawn: Blueprint, rows: Sequence[MatrixRow]) -> bytes:
    """The file of a bundle that has these rows of what is drawn. Their programs alone are
    compiled."""
    keys = {row.key for row in rows}
    bundle = replace(drawn.bundle, matrix=tuple(rows))
    artifacts = {key: artifact for key, artifact in drawn.artifacts.items() if key in keys}
    return write_bundle(*compile_blueprints([replace(drawn, bundle=bundle, artifacts=artifacts)]))
