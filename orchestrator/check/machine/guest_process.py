"""The program of a deterministic machine: does its job and writes the answer to a serial line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.check.machine.job import FACTS_FILE, JOB_FILE, MachineJob, unpack_job
from orchestrator.output.framed_bytes import frame_bytes
from orchestrator.values import dataclass

__all__ = ["main"]

_ANSWER_LINE = Path("/dev/ttyS1")


def main() -> None:
    """Nothing is written before the job is done."""
    answer = _record_facts() if Path(FACTS_FILE).exists() else _measure(Path(JOB_FILE).read_bytes())
    with _ANSWER_LINE.open("wb", buffering=0) as line:
        left = memoryview(frame_bytes(answer))
        while left:
            left = left[line.write(left) :]


def _record_facts() -> bytes:
    from orchestrator.kernel.facts import facts_bytes, live_facts

    return facts_bytes(live_facts(), preset=0)


def _measure(packed: bytes) -> bytes:
    from orchestrator.check.machine.answer import write_error, write_measurement
    from orchestrator.check.machine.waiting import wait_to_be_stored
    from orchestrator.check.measuring.measure import measure_check
    from orchestrator.plan.findings import HostError, PlanError
    from orchestrator.run.options import RunOptions
    from orchestrator.run.signals import Signals

    job = unpack_job(packed)
    with Signals() as signals:
        try:
            measurement = measure_check(
                job.check,
                _prepare(job),
                signals,
                options=RunOptions(notify=print),
                environment=job.environment,
                before_repeats=wait_to_be_stored,
            )
        except (PlanError, HostError) as error:
            return write_error(error)
    return write_measurement(measurement)


def _prepare(job: MachineJob) -> Any:
    from orchestrator.kernel.facts import live_facts
    from orchestrator.run.choice import BackendChoice, Prepared

    backend: Any = _CompiledBackend(job.code)
    return Prepared(
        plan=job.plan,
        facts=live_facts(),
        policies=(),
        program=job.artifact.program,
        choice=BackendChoice(backend=backend, artifact=job.artifact, refused={}),
    )


@dataclass(frozen=True, slots=True)
class _CompiledBackend:
    """A backend without a compiler: attaches what was compiled outside."""

    code: Mapping[str, bytes]

    def attach(self, artifact: Any, facts: Any, options: Any) -> Any:
        """As the backend does."""
        del facts
        from orchestrator.backends import compiled

        return compiled.attach_compiled(artifact, self.code, options)


if __name__ == "__main__":
    main()
