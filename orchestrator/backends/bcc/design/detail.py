"""What attaching needs of an artifact besides its text."""

from collections.abc import Mapping

from orchestrator.backends.bcc.design.layout import MapLayout
from orchestrator.backends.bcc.design.maps import MapSpec
from orchestrator.backends.bcc.design.mechanism import MechanismChoice
from orchestrator.values import dataclass

__all__ = ["BccDetail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BccDetail:
    """What attaching needs besides the text: `choices` by hook, the C `functions` that are
    programs, the `maps` by placeholder but for the ring, and the ring's size (0: none)."""

    layout: MapLayout
    choices: Mapping[int, MechanismChoice]
    functions: tuple[str, ...]
    maps: Mapping[int, MapSpec]
    ring_bytes: int
