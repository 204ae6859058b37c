"""Looking into folders."""

from pathlib import Path

__all__ = ["names_in"]


def names_in(directory: Path) -> list[str]:
    """The names of what is in a directory, in order."""
    return sorted(path.name for path in directory.iterdir())
