"""What a machine is given: the same bytes in each process."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

CODE = """
import hashlib, sys
from pathlib import Path
from orchestrator.check.document.load import load_check
from orchestrator.check.machine.job import MachineJob, pack_job, unpack_job
from orchestrator.check.measuring.measure import prepare_check
from orchestrator.kernel.facts import load_facts
source = f'''
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {{name: example, summary: An example}}
plan: {sys.argv[1]}
workload: {{run: [make]}}
machine: {{kernel: debian:6.1}}
expect: {{short: workload.wall <= 1}}
'''
facts = load_facts(Path("kernels/6.1.facts.xz"))
for _ in range(2):
    check = load_check(source.encode())
    prepared = prepare_check(check, facts, (), backend="bcc")
    artifact = prepared.choice.artifact
    job = MachineJob(check=check, plan=prepared.plan, artifact=artifact, code={}, environment={})
    packed = pack_job(job)
    assert unpack_job(packed).artifact.text == artifact.text
    print(hashlib.sha256(packed).hexdigest())
"""


@pytest.mark.parametrize("plan", ["syscall-counts", "fsync", "lock-contention"])
def test_a_job_is_the_same_bytes_in_each_process(plan: str) -> None:
    """Also the second time in one process, which has kept some of what it read."""
    digests = [
        subprocess.check_output(
            [sys.executable, "-c", CODE, plan], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}
        ).split()
        for seed in ("1", "2")
    ]
    assert len({digest for pair in digests for digest in pair}) == 1
