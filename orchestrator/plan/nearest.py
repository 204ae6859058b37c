"""Suggestions for misspelt names."""

from collections.abc import Collection, Iterable

_MAX_LISTED = 20


def find_nearest(name: str, known: Iterable[str], most: int = 1) -> tuple[str, ...]:
    """Up to `most` known names that are close to `name`, the closest first. Case and dashes do
    not count."""
    from difflib import get_close_matches  # for errors only

    names = {_fold(candidate): candidate for candidate in known}
    return tuple(names[near] for near in get_close_matches(_fold(name[:64]), names, most, 0.6))


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")


def suggest_name(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint: `did you mean …?`, or `otherwise` when no known name is near."""
    return _ask(find_nearest(name, known)) or otherwise


def suggest_or_list(name: str, known: Collection[str]) -> str:
    """A hint that names up to three near names, or else the first of those known."""
    listed = ", ".join(sorted(known)[:_MAX_LISTED])
    return _ask(find_nearest(name, known, 3)) or (f"known here: {listed}" if listed else "")


def _ask(near: tuple[str, ...]) -> str:
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""
