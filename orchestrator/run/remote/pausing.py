"""Pausing attached probes: switching them off and on again, with records and times."""

import time
from collections.abc import Sequence

from orchestrator.backends.protocol import Session
from orchestrator.compile.program import Program
from orchestrator.output.run_output import RunOutput
from orchestrator.plan.findings import PlanError, of_command_line

__all__ = ["Pauses"]


class Pauses:
    """The pauses of the probes of one run."""

    def __init__(self, session: Session, program: Program, output: RunOutput) -> None:
        self._session, self._output = session, output
        self._indices = {probe.name: probe.index for probe in program.probes}
        self._since: dict[str, int] = {}
        self._total: dict[str, int] = {}

    @property
    def now(self) -> tuple[str, ...]:
        """The names of the probes that are paused."""
        return tuple(self._since)

    def totals(self, until_ns: int) -> dict[str, int]:
        """By probe, how long it was paused until `until_ns` (CLOCK_MONOTONIC), in ns. Probes that
        were never paused are left out."""
        current = {name: max(0, until_ns - since) for name, since in self._since.items()}
        names = [name for name in self._indices if name in current or name in self._total]
        return {name: self._total.get(name, 0) + current.get(name, 0) for name in names}

    def pause(self, probes: Sequence[str], uid: int) -> list[str]:
        """Pause these probes (none: all of them) and return those that were not paused before.
        `uid`: of the user who asked. Raises PlanError for an unknown name, and HostError."""
        names = [name for name in self._chosen(probes) if name not in self._since]
        if names:
            self._session.pause([self._indices[name] for name in names])
        now = time.monotonic_ns()
        for name in names:
            self._since[name] = now
            self._output.write_record("probe.paused", "warning", probe=name, uid=uid)
        return names

    def resume(self, probes: Sequence[str], uid: int) -> list[str]:
        """Resume these probes (none: all of them) and return those that were paused. Everything
        that they recorded before has to be read by now; calls that began before are given up.
        Raises PlanError and HostError."""
        names = [name for name in self._chosen(probes) if name in self._since]
        if names:
            self._session.resume([self._indices[name] for name in names])
        now = time.monotonic_ns()
        for name in names:
            paused_ns = now - self._since.pop(name)
            self._total[name] = self._total.get(name, 0) + paused_ns
            self._output.write_record("probe.resumed", probe=name, uid=uid, paused_ns=paused_ns)
        return names

    def _chosen(self, probes: Sequence[str]) -> Sequence[str]:
        for name in probes:
            if name not in self._indices:
                known = ", ".join(self._indices)
                message = f"the run has no probe {name!r}"
                raise PlanError([of_command_line(message, f"its probes are {known}")])
        return list(dict.fromkeys(probes)) or list(self._indices)
