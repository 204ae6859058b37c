"""The name of a compiled program: a digest of everything that its instructions depend on.

The host's cache and bundles share it, so that a bundle's program is found by the text that the
host itself would have compiled. Needs no compiler where the version of one is given.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["CFLAGS", "HEADERS", "describe_compiler", "make_key", "read_compiler_version"]

HEADERS = Path(__file__).resolve().parents[1] / "headers"
# -g0: with debug information libbcc would load it into the kernel as BTF, by bpf(2) (measured).
CFLAGS = ("-g0", "-Wall", "-Wno-unused", "-Werror=implicit-function-declaration")

_FORM = "probeplan-program/2"  # kept programs of another form are not looked for
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_VERSION = re.compile(r"__version__\s*=\s*['\"]([^'\"]+)['\"]")


def make_key(text: str, functions: Sequence[str], *, arch: str, compiler: str | None = None) -> str:
    """64 hexadecimal digits for the `functions` of a C `text`.

    `arch`: of the kernel that they are for, in uname's words, whatever machine compiles them;
    `compiler`: bcc's version, None: that of the one installed here. Comments are no part of it:
    they say what only people need, such as the open numbers of a host.
    """
    version = read_compiler_version() if compiler is None else compiler
    parts = [_FORM, _COMMENT.sub(" ", text), *functions, *CFLAGS, arch, version]
    return hashlib.sha256("\0".join([*parts, _digest_tree(HEADERS)]).encode()).hexdigest()


@cache
def read_compiler_version() -> str:
    """The installed bcc's version, read without importing it; "absent" without bcc."""
    spec = find_spec("bcc")
    if spec is None or spec.origin is None:
        return "absent"
    try:
        text = Path(spec.origin).with_name("version.py").read_text()
    except OSError:
        return "unknown"
    found = _VERSION.search(text)
    return found[1] if found else text.strip()


def describe_compiler() -> dict[str, dict[str, str | None] | None]:
    """`bcc`: the release and the file of its module, which is not imported; None without one."""
    spec = find_spec("bcc")
    if spec is None:
        return {"bcc": None}
    return {"bcc": {"version": read_compiler_version(), "module": spec.origin}}


@cache
def _digest_tree(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.h")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
