"""The requests that a live run serves on its control channel: its status, pause and resume."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.accounting.count import Count
from orchestrator.backends.protocol import AttachedHook, Counts, Session
from orchestrator.compile.program import Program
from orchestrator.run.cost.governor import Governor
from orchestrator.run.remote.control import ControlAnswer
from orchestrator.run.remote.pausing import Pauses
from orchestrator.run.report.notices import Notices
from orchestrator.run.report.records import attached_fields

if TYPE_CHECKING:
    from orchestrator.run.stream import Stream  # numpy

__all__ = ["Service"]

_LATE_S = 0.005  # a backend may hold events back for that long, to sort them


class Service:
    """Serves requests `{"do": "status" | "pause" | "resume", "probes": [NAME, …]}`."""

    def __init__(  # noqa: PLR0913  # the parts of a run meet here
        self,
        session: Session,
        program: Program,
        stream: "Stream",
        notices: Notices,
        pauses: Pauses,
        governor: Governor,
    ) -> None:
        self._session, self._program, self._stream = session, program, stream
        self._notices, self._pauses, self._governor = notices, pauses, governor

    def serve(self, request: Mapping[str, Any], uid: int) -> ControlAnswer:
        """The answer to a request. Raises PlanError and HostError."""
        probes = request.get("probes") or []
        if not isinstance(probes, list) or not all(isinstance(name, str) for name in probes):
            return {"error": "probes is a list of names"}
        match request.get("do"):
            case "status":
                return self._status()
            case "pause":
                return {"paused": self._pauses.pause(probes, uid)}
            case "resume":
                self._read_all()
                return {"resumed": self._pauses.resume(probes, uid)}
            case other:
                return {"error": f"this version does not know the request {other!r}"}

    def _read_all(self) -> None:
        time.sleep(_LATE_S)
        self._stream.read_all()

    def _status(self) -> ControlAnswer:
        counts = self._session.counts()
        return {
            "delivered": self._stream.delivered,
            "lost": self._notices.look(counts),
            "cost": "unknown" if (cost := self._governor.cost) is None else round(cost.total, 6),
            "probes": [
                {
                    "probe": probe.name,
                    "paused": probe.name in self._pauses.now,
                    "detached": probe.name in self._governor.dropped,
                    "sample": self._governor.current_sample(probe.index),
                    "recorded": _recorded(counts, probe.index),
                    "attached": _attached(self._program, self._session.attached, probe.name),
                }
                for probe in self._program.probes
            ],
        }


def _recorded(counts: Counts, probe: int) -> Count | None:
    """Records made so far; null for a probe that makes none."""
    return next((emit.recorded for emit in counts.emits if emit.probe == probe), None)


def _attached(
    program: Program, attached: Sequence[AttachedHook], probe: str
) -> list[ControlAnswer]:
    fields = (attached_fields(program, hook) for hook in attached)
    wanted = ("to", "mechanism", "target", "detail")
    return [{name: one[name] for name in wanted} for one in fields if one["probe"] == probe]
