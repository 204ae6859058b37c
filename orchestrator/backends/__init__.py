"""The two ways into the kernel, by name. What a backend imports is paid for when it is used."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from orchestrator.backends.protocol import Backend

__all__ = ["BACKENDS", "backend"]

_MODULES: Mapping[str, str] = {
    "bcc": "orchestrator.backends.bcc.backend",
    "tracefs": "orchestrator.backends.tracefs.backend",
}


def backend(name: str) -> "Backend":
    """The backend called `name`. Raises KeyError for another name."""
    return cast("Backend", import_module(_MODULES[name]))


class _Backends(Mapping[str, "Backend"]):
    """A backend is imported when it is asked for."""

    def __getitem__(self, name: str) -> "Backend":
        return backend(name)

    def __contains__(self, name: object) -> bool:
        return name in _MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


BACKENDS: Mapping[str, "Backend"] = _Backends()
