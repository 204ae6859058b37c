"""The deterministic machine: boots of one image agree to the nanosecond."""

import json
from typing import Any

import pytest

from orchestrator.lab import Kernel
from orchestrator.lab.machine import MachineSettings, run_machine
from orchestrator.lab.machine_image import DISK_FOLDER, RamDisk, add_disk, make_machine_tree

PROGRAM = f"""
import hashlib, json, os, subprocess, time
from orchestrator.lab.machine import format_result
began = time.monotonic_ns()
path = "{DISK_FOLDER}/file"
with open(path, "wb") as file:
    file.write(os.urandom(1 << 20))
    os.fsync(file.fileno())
child = subprocess.run(["/probeplan/bin/busybox", "true"])
seen = {{
    "uptime": began, "took": time.monotonic_ns() - began, "date": time.time_ns(),
    "random": hashlib.sha256(open(path, "rb").read()).hexdigest(),
    "disk": os.statvfs("{DISK_FOLDER}").f_blocks, "written": open("/sys/block/ram0/stat").read(),
    "cpus": os.cpu_count(), "child": child.returncode, "address": id(object()),
}}
with open("/dev/ttyS1", "wb", buffering=0) as line:
    line.write(format_result(json.dumps(seen).encode()))
"""


@pytest.mark.one_kernel
@pytest.mark.usual_kernel
def test_boots_of_one_image_agree_to_the_nanosecond(guest_kernel: Kernel) -> None:
    """Packed twice, booted twice."""
    images = []
    for _ in range(2):
        tree = make_machine_tree(["-c", PROGRAM], ["orchestrator", "yaml"])
        add_disk(tree, RamDisk(size=32 << 20), guest_kernel.directory)
        images.append(tree.pack())
    assert images[0] == images[1]

    def boot() -> dict[str, Any]:
        settings = MachineSettings(vmlinux=guest_kernel.vmlinux)
        return json.loads(run_machine(settings, images[0], timeout_s=300).result)

    first = boot()
    assert boot() == first
    assert (first["cpus"], first["child"]) == (1, 0)
    assert first["took"] > 0
