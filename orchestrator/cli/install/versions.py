"""Which release of probeplan this is, and which Python and which bcc it uses.

A distribution installs bcc for its own interpreter alone, so that another one, of pyenv or of a
virtual environment, may find none, or another release.
"""

import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.backends.bcc.compiler.key import describe_compiler
from orchestrator.version import installed_version

__all__ = ["describe_installation", "list_installation_lines"]


def describe_installation() -> dict[str, object]:
    """`probeplan`: its release and folder; `python`: release and interpreter; `bcc`: release and
    file of the module, or None. bcc is not loaded."""
    return {
        "probeplan": {"version": installed_version(), "folder": str(Path(__file__).parents[2])},
        "python": {"version": platform.python_version(), "executable": sys.executable},
        **describe_compiler(),
    }


def list_installation_lines() -> Iterator[str]:
    """The same for people."""
    found = describe_installation()
    for name, part in found.items():
        if isinstance(part, Mapping):
            version, place = part.values()
            yield f"{name} {version or '(not installed)'}: {place}"
        else:
            yield f"{name}: none that {sys.executable} finds"
