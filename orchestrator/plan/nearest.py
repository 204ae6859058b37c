"""Suggestions for misspelt names."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name`, or "" when none is near. Case and dashes are forgiven."""
    names = {_folded(candidate): candidate for candidate in known}
    close = get_close_matches(_folded(name[:64]), names, n=1, cutoff=0.6)
    return names[close[0]] if close else ""


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint: `did you mean …?`, or `otherwise` when no known name is near."""
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else otherwise
