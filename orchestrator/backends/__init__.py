"""The backends by name. Each is imported when it is first used, since importing one is slow."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS, descriptor_of

if TYPE_CHECKING:
    from orchestrator.backends.protocol import Backend

__all__ = ["BACKENDS", "backend", "offer_instead"]


def backend(name: str) -> "Backend[Any]":
    """The backend called `name`. Raises KeyError for another name."""
    return cast("Backend[Any]", import_module(descriptor_of(name).module))


class _Backends(Mapping[str, "Backend[Any]"]):
    """Imports a backend when it is looked up. `instead`: those that take another's place."""

    def __init__(self, instead: "Mapping[str, Backend[Any]] | None" = None) -> None:
        self._instead = instead or {}

    def __getitem__(self, name: str) -> "Backend[Any]":
        return self._instead[name] if name in self._instead else backend(name)

    def __contains__(self, name: object) -> bool:
        return name in BACKEND_DESCRIPTORS

    def __iter__(self) -> Iterator[str]:
        return iter(BACKEND_DESCRIPTORS)

    def __len__(self) -> int:
        return len(BACKEND_DESCRIPTORS)


def offer_instead(own: "Backend[Any]") -> "Mapping[str, Backend[Any]]":
    """All backends, with `own` in the place of the one of its name."""
    return _Backends({own.NAME: own})


BACKENDS: Mapping[str, "Backend[Any]"] = _Backends()
