"""What a machine is given to do: a check with its program, compiled, as bytes.

The machine only loads and attaches: reading the plan, finding the kernel's types and compiling are
done outside, once, and take most of the time of a start.
"""

import io
import pickle  # our own values, which never come back as pickles
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.backends.protocol import Artifact
from orchestrator.check.model import Check
from orchestrator.plan.model import Plan
from orchestrator.values import dataclass

__all__ = ["FACTS_FILE", "JOB_FILE", "MachineJob", "pack_job", "unpack_job"]

#: Where the job is in the machine, and what is there where only the kernel's facts are wanted.
JOB_FILE, FACTS_FILE = "/probeplan/job", "/probeplan/facts"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineJob:
    """`plan`: the check's, without what a run writes. `code`: instructions by function of the
    artifact. `environment`: what the workload inherits."""

    check: Check
    plan: Plan
    artifact: Artifact[Any]
    code: Mapping[str, bytes]
    environment: Mapping[str, str]


def pack_job(job: MachineJob) -> bytes:
    """The job as bytes, which do not depend on which equal texts are one object in this process,
    and so on what it has done before."""
    packed = io.BytesIO()
    pickler = _TextPickler(packed)
    pickler.dump(job)
    return pickle.dumps((list(pickler.texts), packed.getvalue()), protocol=5)


def unpack_job(data: bytes) -> MachineJob:
    """The job that `pack_job` packed, in the machine that it was packed for."""
    texts, packed = pickle.loads(data)  # noqa: S301  # from our own image
    job = _TextUnpickler(io.BytesIO(packed), texts).load()
    assert isinstance(job, MachineJob)
    return job


class _TextPickler(pickle.Pickler):
    """Writes the number of each text; `texts`: their numbers."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.texts: dict[str, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        """The number of a text, None for what else there is."""
        return self.texts.setdefault(obj, len(self.texts)) if type(obj) is str else None


class _TextUnpickler(pickle.Unpickler):
    """Reads what _TextPickler wrote, with its texts."""

    def __init__(self, file: io.BytesIO, texts: Sequence[str]) -> None:
        super().__init__(file)
        self._texts = texts

    def persistent_load(self, pid: Any) -> str:
        """The text with this number."""
        return self._texts[int(pid)]
