"""A check in the deterministic machine, with a workload of known counts."""

import subprocess
from pathlib import Path

import pytest

from orchestrator.check.document.load import load_check
from orchestrator.check.machine import measure
from orchestrator.check.measurement import Measurement
from orchestrator.kernel.facts import load_facts
from orchestrator.lab import Kernel
from orchestrator.run.signals import Signals
from tests.support.paths import KERNELS

SOURCE = b"""
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int count, char **words) {
    static char block[4096];
    int file = open("/data/file", O_CREAT | O_TRUNC | O_WRONLY, 0600);
    for (int i = 0; i < 8; i++)
        if (write(file, block, sizeof block) != sizeof block || fsync(file)) return 1;
    for (int i = 0; i < 1000; i++) syscall(SYS_getppid);
    return access(words[1], R_OK) ? 2 : 0;
}
"""
CHECK = """\
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: known, summary: A workload of known counts}
plan:
  probes:
    parent: {attach: "syscall:getppid", metrics: {calls: {count: true}, took: {sum: elapsed}}}
    sync: {attach: "function:vfs_fsync_range", metrics: {calls: {count: true}}}
    block:
      attach: "rawtracepoint:block_bio_queue"
      task: none
      metrics: {requests: {count: true}}
workload: {run: [./known, $(here)/given]}
machine: {kernel: "debian:6.1", disk: ext4 32MiB, files: [given], seeds: 2}
expect: {calls: parent.calls == 1000}
"""


@pytest.mark.one_kernel
@pytest.mark.usual_kernel
def test_repeats_of_two_boots_agree_to_the_nanosecond(
    guest_kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepared, packed, booted and stored twice: counts are those of the workload, seeds differ in
    times alone, and all figures are the same again. The kernel's facts are those in the
    repository: recording them takes a boot."""
    facts = load_facts(KERNELS / f"{guest_kernel.name}.facts.xz")
    monkeypatch.setattr(measure, "read_machine_facts", lambda *_: facts)
    command = ["gcc", "-O2", "-x", "c", "-", "-o", str(tmp_path / "known")]
    subprocess.run(command, input=SOURCE, check=True)
    (tmp_path / "given").write_text("a file that the workload needs")
    (tmp_path / "check.yaml").write_text(CHECK)

    def run() -> Measurement:
        check = load_check(str(tmp_path / "check.yaml"))
        machine = measure.prepare_machine(check, (), print)
        with Signals() as signals:
            return measure.measure_in_machine(machine, signals, environment={})

    first = run()
    assert first.trouble is None
    for repeat in first.repeats:
        assert repeat.cells["parent"]["calls"][0].value == 1000
        assert repeat.cells["sync"]["calls"][0].value == 8
        assert repeat.cells["block"]["requests"][0].value
        assert not any(repeat.losses.values())
    assert len({repeat.wall_ns for repeat in first.repeats}) == 2
    assert (first.environment.cpus, first.environment.kernel) == (1, guest_kernel.release)
    assert run() == first
