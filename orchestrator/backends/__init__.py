"""The backends by name. Each is imported when it is first used, since importing one is slow."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS, descriptor_of

if TYPE_CHECKING:
    from orchestrator.backends.protocol import Backend

__all__ = ["BACKENDS", "backend"]


def backend(name: str) -> "Backend[Any]":
    """The backend called `name`. Raises KeyError for another name."""
    return cast("Backend[Any]", import_module(descriptor_of(name).module))


class _Backends(Mapping[str, "Backend[Any]"]):
    """Imports a backend when it is looked up."""

    def __getitem__(self, name: str) -> "Backend[Any]":
        return backend(name)

    def __contains__(self, name: object) -> bool:
        return name in BACKEND_DESCRIPTORS

    def __iter__(self) -> Iterator[str]:
        return iter(BACKEND_DESCRIPTORS)

    def __len__(self) -> int:
        return len(BACKEND_DESCRIPTORS)


BACKENDS: Mapping[str, "Backend[Any]"] = _Backends()
