"""What a machine is given to do: a check with its program, compiled, as bytes.

The machine only loads and attaches: reading the plan, finding the kernel's types and compiling are
done outside, once, and take most of the time of a start.
"""

import pickle  # our own values, which never come back as pickles
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.backends.protocol import Artifact
from orchestrator.check.model import Check
from orchestrator.plan.model import Plan

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
    """The job as bytes."""
    return pickle.dumps(job, protocol=5)


def unpack_job(data: bytes) -> MachineJob:
    """The job that `pack_job` packed, in the machine that it was packed for."""
    job = pickle.loads(data)  # noqa: S301  # from our own image
    assert isinstance(job, MachineJob)
    return job
