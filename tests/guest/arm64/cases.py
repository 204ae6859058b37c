"""Plans in an arm64 guest, which has no compiler: their programs come from bundles that were built
on this host, whose architecture is another."""

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.kernel.facts import KernelFacts, live_facts
from tests.guest.product import leftovers
from tests.recipes.table import AREA_OF, RECIPES
from tests.support.paths import ROOT, WORKLOADS

UNBOUND = {"rate": "1M/s", "events": "1M", "duration": "1m", "cpu": "100%"}
PYTHON = ("/usr/bin/python3", "-S", "-m", "tests.recipes")
#: Frames are found by their pointers, as the kernel finds them.
FRAMES = ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
PROGRAM = "pr-recipes"  # as everywhere, its name begins so
#: Stands for the folder of the workload `load` in the text of a plan.
FOLDER = "FOLDER"


# ---------------------------------------------------------------- shipped plans


def prepare_recipe(
    kernel: Any, share: Path, *, name: str, plan: str, settings: Mapping[str, str], **_: Any
) -> dict[str, Any]:
    """On the host: the bundle of a shipped plan, and its workload where that is a program."""
    from tests.support.cross import build_bundle, build_for_arm64

    bundle = share / f"{name}.ppb"
    bundle.write_bytes(build_bundle(plan, settings))
    program = share / PROGRAM
    if RECIPES[name].work is None and not program.exists():
        build_for_arm64(WORKLOADS / "recipes.c", program, *FRAMES)
    return {"bundle": bundle.name}


def run_recipe(
    *, name: str, bundle: str, settings: Mapping[str, str], backend: str = "bcc", **_: Any
) -> dict[str, Any]:
    """In the guest: the bundle's plan alongside the row's workload, as `_run`."""
    os.chdir("/tmp")  # noqa: S108  # workloads write there
    os.environ["PYTHONPATH"] = str(ROOT)
    if RECIPES[name].work is None:
        command = [_bring(PROGRAM, Path("/run")), name]
    else:
        command = [*PYTHON, AREA_OF[name], name]
    return _run(bundle, here(), command, settings, backend)


# ---------------------------------------------------------------- plans of tests


def prepare_counts(
    kernel: Any, share: Path, *, plan: str, lacks: Sequence[str], **_: Any
) -> dict[str, Any]:
    """On the host: the bundle of a plan's text, and the workload `load`, which lies in a folder of
    the same name here and there."""
    from tests.support.cross import build_bundle, build_for_arm64

    if not (share / "load").exists():
        build_for_arm64(WORKLOADS / "load.c", share / "load", "-O2")
    with tempfile.TemporaryDirectory(prefix="probeplan-arm64-", dir="/run") as folder:
        shutil.copy(share / "load", folder)
        text = plan.replace(FOLDER, folder).encode()
        content = build_bundle(text, trampolines="fentry" not in lacks)
    bundle = share / f"{hashlib.sha256(content).hexdigest()[:16]}.ppb"
    bundle.write_bytes(content)
    return {"bundle": bundle.name, "folder": folder}


def run_counts(
    *, bundle: str, folder: str, argv: Sequence[str], lacks: Sequence[str], backend: str, **_: Any
) -> dict[str, Any]:
    """In the guest: the bundle's plan alongside `load argv…`, as `_run`."""
    from orchestrator.bundle.variants import without_trampolines

    facts = without_trampolines(here()) if "fentry" in lacks else here()
    return _run(bundle, facts, [_bring("load", Path(folder)), *argv], {}, backend)


# ---------------------------------------------------------------- in the guest


@cache
def here() -> KernelFacts:
    """What the kernel that runs says of itself; read once a boot."""
    return live_facts()


def _bring(name: str, folder: Path) -> str:
    """A program of the share, on a file system of the guest."""
    program = folder / name
    if not program.exists():
        folder.mkdir(exist_ok=True)
        shutil.copy(Path(os.environ["PROBEPLAN_SHARE"]) / name, program)
    return str(program)


def _run(
    bundle: str,
    facts: KernelFacts,
    command: Sequence[str],
    settings: Mapping[str, str],
    backend: str,
) -> dict[str, Any]:
    """The run's JSON lines, what is left in the kernel, and whether bcc could be imported."""
    from importlib.util import find_spec

    from orchestrator.bundle.opening import open_bundle
    from orchestrator.output.sink import Sink
    from orchestrator.plan.load import load_plan_of
    from orchestrator.run.runner import run_plan

    content = (Path(os.environ["PROBEPLAN_SHARE"]) / bundle).read_bytes()
    opened = open_bundle(content, bundle, (), facts.arch)
    text, file = opened.bundle.plan_text, opened.plan_file
    plan = load_plan_of(text, file, settings=settings, limits=UNBOUND)
    lines = io.BytesIO()
    run_plan(
        plan,
        facts,
        backend=backend,
        backends=opened.offer_backends(),
        command=command,
        log=Sink(lines),
    )
    return {
        "lines": lines.getvalue().decode(),
        "left": leftovers(),
        "has_bcc": find_spec("bcc") is not None,
    }
