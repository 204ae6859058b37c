"""Cases for links with many places: which kernels make them, and what they count."""

import os
import pickle
import time
from pathlib import Path
from typing import Any

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import attach_compiled, compile_artifact
from orchestrator.backends.protocol import AttachOptions
from orchestrator.kernel.feature import no, yes
from orchestrator.kernel.features import LiveFeatures
from orchestrator.kernel.tree import LiveTree
from orchestrator.lab import Kernel
from tests.guest.bcc.plans import recorded
from tests.support.bcc_runs import balanced, build, program_of, run_artifact
from tests.support.paths import WORKLOADS

PLAN = """
limits: {{events: 10k, probes: 500}}
target: {{comm: [load]}}
probes:
  p: {{attach: '{attach}', metrics: {{n: {{count: true, by: [func]}}}}}}
"""
#: Where one link serves them, 300 and more; where each function takes a grace period, some.
MANY, SOME = "__x64_sys_*", "__x64_sys_get*id"
CALLS = 2000


def has_fprobe(kernel: Kernel) -> bool:
    """Whether the kernel was built with what links of functions need."""
    return "CONFIG_FPROBE=y\n" in kernel.config.read_text()


def prepare(kernel: Kernel, share: Path, *, name: str, kind: str, **_: Any) -> dict[str, Any]:
    """Compile a count of system calls' functions, joined where the kernel can."""
    joins = has_fprobe(kernel)
    facts = recorded(kernel)
    facts.features = {**facts.features, "kprobe_multi": yes("built so") if joins else no("not so")}
    plan = PLAN.format(attach=f"{kind}:{MANY if joins else SOME}")
    artifact = backend("bcc").emit(program_of(plan, facts), facts)
    (share / f"{name}.pickle").write_bytes(pickle.dumps((artifact, compile_artifact(artifact))))
    build(WORKLOADS / "load.c", share / "load")
    return {"joins": joins, "mechanisms": sorted({hook.mechanism for hook in artifact.hooks})}


def detect(**_: Any) -> dict[str, str]:
    """What the running kernel says of itself."""
    features = LiveFeatures(LiveTree(Path("/")))
    return {name: features[name].state for name in ("kprobe_multi", "uprobe_multi")}


def count(*, name: str, joins: bool, mechanisms: list[str], **_: Any) -> dict[str, Any]:
    """Run it: what every function counted, and what attaching and detaching took (ms)."""
    share = Path(os.environ["PROBEPLAN_SHARE"])
    artifact, code = pickle.loads((share / f"{name}.pickle").read_bytes())  # noqa: S301  # our own
    made = run_artifact(artifact, code, [str(share / "load"), "getppid", str(CALLS)], seconds=120)
    balanced(made)
    names = made.program.metrics[0].key[0].presentation.names
    cells = {
        names[int.from_bytes(cell.key[:4], "little")]: cell.count
        for cell in made.cells[0]
        if cell.key is not None
    }
    began = time.monotonic()
    session = attach_compiled(artifact, code, AttachOptions(run_id="timed"))
    attached = time.monotonic()
    places = sorted({hook.detail for hook in session.attached})
    session.detach()
    symbols = [hook.symbol for hook in made.program.hooks]
    return {
        "joins": joins,
        "mechanisms": mechanisms,
        "functions": len(symbols),
        "cells": cells,
        "sides": {symbols[side.hook]: side.accepted for side in made.counts.sides},
        "missed": sorted({side.kernel_missed for side in made.counts.sides}),
        "places": places if joins else [],
        "attach_ms": (attached - began) * 1e3,
        "detach_ms": (time.monotonic() - attached) * 1e3,
    }
