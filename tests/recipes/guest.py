"""The rows in a booted kernel: what is prepared outside, and the run inside."""

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.backends.protocol import Backend
from orchestrator.binaries.elf import resolve_binary
from orchestrator.kernel.facts import KernelFacts, live_facts, load_facts
from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from tests.guest.product import _compile, leftovers
from tests.recipes.recipe import SERVERS
from tests.recipes.table import AREA_OF, RECIPES
from tests.support.paths import KERNELS, ROOT, WORKLOADS
from tests.support.product import UNDISTURBED_TRIES, was_disturbed

UNBOUND = {"rate": "1M/s", "events": "1M", "duration": "1m", "cpu": "100%"}
MOMENT_NS = 50_000_000
DISK = Path("/run/probeplan-disk")
# Without site-packages: in a guest each import counts.
PYTHON = ("/usr/bin/python3", "-S", "-m", "tests.recipes")
PROGRAM = WORKLOADS / "recipes.c"
#: Libraries that are made for a workload, of their sources.
MADE = {SERVERS: WORKLOADS / "servers.c"}
#: Frames are found by their pointers, as the kernel finds them.
FRAMES = ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")


@cache
def recorded(kernel: str) -> KernelFacts:
    """What is known of a kernel before it boots."""
    return load_facts(KERNELS / f"{kernel}.facts.xz")


@cache
def here() -> KernelFacts:
    """What the kernel that runs says of itself; read once a boot."""
    return live_facts()


def plan_of(
    path: str, settings: Mapping[str, str], private: Mapping[str, str], folder: Path
) -> Plan:
    """A shipped plan with a row's params, the libraries of which are in `folder`, and limits that
    no workload reaches."""
    return load_plan(path, settings={**settings, **in_folder(private, folder)}, limits=UNBOUND)


def in_folder(private: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The params that name the copies of libraries."""
    return {name: str(folder / library) for name, library in private.items()}


def command_of(name: str, folder: Path | None, program: Path | None = None) -> list[str]:
    """The workload, with its own libraries if it has a folder of them; `program`: build_program."""
    work = [str(program), name] if program else [*PYTHON, AREA_OF[name], name]
    return [*(["/usr/bin/env", f"LD_LIBRARY_PATH={folder}"] if folder else ()), *work]


def copy_libraries(
    private: Mapping[str, str], folder: Path, share: Path | None = None
) -> Path | None:
    """A copy of each library that only the workload uses; None where there is none. One that is
    made for a workload is compiled outside of the guest, which finds it in `share`."""
    if not private:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for library in private.values():
        made = share / library if share else None
        if library not in MADE:
            shutil.copy(resolve_binary(library), folder / library)
        elif made and made.exists():
            shutil.copy(made, folder / library)
        else:
            words = ["gcc", *FRAMES, "-shared", "-fPIC", "-o", folder / library, MADE[library]]
            subprocess.run(words, check=True)
            if made:
                shutil.copy(folder / library, made)
    return folder


def build_program(name: str, folder: Path) -> Path | None:
    """The workload recipes.c, under a name of this process's own; None for rows with a `work`."""
    if RECIPES[name].work is not None:
        return None
    binary = folder / f"pr{os.getpid()}"
    if not binary.exists():
        subprocess.run(["gcc", *FRAMES, "-o", binary, PROGRAM], check=True)
    return binary


def prepare(
    kernel: Any,
    share: Path,
    *,
    name: str,
    plan: str,
    settings: Mapping[str, str],
    private: Mapping[str, str],
    bundled: bool = False,
    **_: Any,
) -> dict[str, Any]:
    """On the host: compile the plan, so that the guest finds its instructions on disk, and the
    workload where it is a program. Libraries lie under the same path here and there: what is one
    place in them is one program. `bundled`: made for other kernels, in a bundle in the share, where
    these give the guest's program."""
    from tests.recipes.bundled import bundle_of_others
    from tests.support.left_out import is_refused

    program = build_program(name, share)
    bundle = None
    with tempfile.TemporaryDirectory(prefix="probeplan-recipes-", dir="/run") as folder:
        copy_libraries(private, Path(folder), share)
        if bundled and not is_refused(name, kernel.name):
            bundle = f"{name}.ppb"
            given = {**settings, **in_folder(private, Path(folder))}
            (share / bundle).write_bytes(bundle_of_others(plan, given, recorded(kernel.name)))
        else:
            _compile(plan_of(plan, settings, private, Path(folder)), recorded(kernel.name))
    return {"program": program.name if program else None, "folder": folder, "bundle": bundle}


def run(
    *,
    name: str,
    plan: str,
    settings: Mapping[str, str],
    private: Mapping[str, str],
    program: str | None,
    folder: str,
    bundle: str | None,
    **_: Any,
) -> dict[str, Any]:
    """In the guest: the plan alongside its workload, until nothing disturbs it; its JSON lines,
    what is left in the kernel, how often it was made again, and whether `bundle`, the file in the
    share that has its programs, lacks the one for this kernel. Then, and where it is None, the
    compiler's is used."""
    share = Path(os.environ["PROBEPLAN_SHARE"])
    libraries = copy_libraries(private, Path(folder), share)
    os.chdir(disk() if RECIPES[name].disk else "/tmp")  # noqa: S108  # workloads write there
    os.environ["PYTHONPATH"] = str(ROOT)
    made = plan_of(plan, settings, private, Path(folder))
    binary = share / program if program else None
    command = command_of(name, libraries, binary)
    backends = _offer(bundle, made) if bundle else None
    again = 0
    while was_disturbed(lines := _run_once(made, command, backends)):
        if again == UNDISTURBED_TRIES - 1:
            break
        again += 1
    refused = bool(bundle) and backends is None
    return {
        "lines": lines.decode(),
        "left": leftovers(),
        "refused": refused,
        "disturbed": again,
    }


def _run_once(
    plan: Plan, command: Sequence[str], backends: Mapping[str, Backend[Any]] | None
) -> bytes:
    from orchestrator.output.sink import Sink
    from orchestrator.run.runner import run_plan

    lines = io.BytesIO()
    run_plan(plan, here(), backend="bcc", backends=backends, command=command, log=Sink(lines))
    return lines.getvalue()


def _offer(bundle: str, plan: Plan) -> Mapping[str, Backend[Any]] | None:
    """The backends with the programs of a bundle in the share; None where it has none for the plan
    on this kernel, and says so."""
    from orchestrator.bundle.opening import open_bundle
    from orchestrator.run.prepare import prepare

    content = (Path(os.environ["PROBEPLAN_SHARE"]) / bundle).read_bytes()
    backends = open_bundle(content, bundle, (), here().arch).offer_backends()
    try:
        prepare(plan, here(), backend="bcc", follow_children=True, backends=backends)
    except HostError as error:
        if {finding.code for finding in error.findings} != {"PP244"}:
            raise
        return None
    return backends


def attach(
    *, plan: str, settings: Mapping[str, str], private: Mapping[str, str], folder: str, **_: Any
) -> dict[str, Any]:
    """In the guest: the plan for a moment, with nothing alongside it; as `run`."""
    from orchestrator.output.sink import Sink
    from orchestrator.run.runner import run_plan

    lines = io.BytesIO()
    copy_libraries(private, Path(folder), Path(os.environ["PROBEPLAN_SHARE"]))
    made = plan_of(plan, settings, private, Path(folder))
    made = replace(made, limits=replace(made.limits, duration_ns=MOMENT_NS))
    run_plan(made, here(), backend="bcc", log=Sink(lines))
    return {"lines": lines.getvalue().decode(), "left": leftovers()}


@cache
def disk() -> Path:
    """A file system on a block device, as far as a guest has one: ext4 on a file in memory."""
    image = DISK.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    DISK.mkdir(exist_ok=True)
    for command in (
        ["mkfs.ext4", "-q", str(image)],
        ["mount", "-o", "loop", "-t", "ext4", str(image), str(DISK)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return DISK
