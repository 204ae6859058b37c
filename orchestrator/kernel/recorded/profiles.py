"""The recorded kernels that are shipped with the program, by name: `debian:6.1`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.kernel.recording import RecordingError

__all__ = ["ALL", "PROFILES", "expand_names", "find_recording", "is_profile_name", "load_named"]

#: In place of a name: every profile.
ALL = "all"
#: Name → its file in `kernels/`: the stock kernels of Debian releases, as recorded in guests.
PROFILES: Mapping[str, str] = {
    f"debian:{version}": f"{version}.facts.xz" for version in ("5.10", "6.1", "6.12", "7.x")
}
#: What is meant as a profile's name, known or not; a file of such a name is given as ./NAME.
_NAME = re.compile(r"[a-z]+:[\w.-]*", re.ASCII)
_PACKAGE = Path(__file__).parents[2]
#: In an installed package, and in a source tree.
_DIRECTORIES = (_PACKAGE / "kernels", _PACKAGE.parent / "kernels")


def is_profile_name(name: str) -> bool:
    """Whether `name` is written as a profile's, known or not, or is `all`."""
    return name == ALL or _NAME.fullmatch(name) is not None


def expand_names(names: Iterable[str]) -> Iterator[str]:
    """The names, with those of every profile in place of `all`, each once."""
    spelled = (one for name in names for one in (PROFILES if name == ALL else (name,)))
    return iter(dict.fromkeys(spelled))


def find_recording(name: str) -> Path:
    """The file of a profile, or of another recording: its path. Raises RecordingError for a name
    that no profile has."""
    if name in PROFILES:
        file = PROFILES[name]
        folder = next((one for one in _DIRECTORIES if (one / file).is_file()), _DIRECTORIES[0])
        return folder / file
    if is_profile_name(name) and not Path(name).exists():
        raise RecordingError(f"there is no kernel profile {name!r}; known: {', '.join(PROFILES)}")
    return Path(name)


def load_named(name: str) -> KernelFacts:
    """Facts of a profile or of a recording, whose `source` is the name. Raises OSError, and
    RecordingError for an unknown profile and for a file that is no recording."""
    facts = load_facts(find_recording(name))
    facts.source = name
    return facts
