"""Cases that run the whole product in a guest: a plan's text, the kernel's own facts, run_plan.

A guest compiles slowly. Instructions are kept on disk by their content, and a guest sees the disk
of its host: what was compiled here from the recorded facts of the same kernel is found there, as
long as the facts that the guest finds in itself give the same C. If they do not, it compiles.
"""

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.accounting.count import Count
from orchestrator.kernel.facts import KernelFacts, live_facts, load_facts
from orchestrator.kernel.feature import Feature
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from tests.guest import Unsupported
from tests.support.paths import KERNELS


def compiled(
    kernel: Any, share: Path, *, plan: str, backend: str, lacks: Sequence[str] = (), **_: Any
) -> dict[str, Any]:
    """On the host: warm the cache for `plan`, and put the workload into the share."""
    from tests.support.product import build_load

    if backend != "tracefs":
        facts = _without(load_facts(KERNELS / f"{kernel.name}.facts.xz"), lacks)
        _compile(_plan(plan), facts)
    return {"load": build_load(share).name}


def _compile(plan: Plan, facts: KernelFacts) -> None:
    from orchestrator.backends import BACKENDS
    from orchestrator.run.prepare import resolve

    artifact = BACKENDS["bcc"].emit(resolve(plan, facts, follow_children=True).program, facts)
    BACKENDS["bcc"].try_artifact(artifact)


#: An emulated machine takes so long for a hit that a governor would step in.
_UNGOVERNED = {"cpu": "100%"}


def _plan(text: str) -> Plan:
    """A plan from its text, or a shipped one by its path."""
    return load_plan(text if text.endswith(".yaml") else text.encode(), limits=_UNGOVERNED)


def run(
    *,
    plan: str,
    backend: str,
    argv: Sequence[str],
    load: str,
    lacks: Sequence[str] = (),
    needs: str = "",
    neighbour: bool = False,
) -> dict[str, Any]:
    """In the guest: run `plan` and, as its command, the workload `load argv…`. Its JSON lines, and
    what is left in the kernel afterwards. `neighbour`: the workload is not a child of the run and
    runs once the probes are armed. Raises Unsupported where the kernel lacks the feature
    `needs`."""
    from orchestrator.output.sink import Sink
    from orchestrator.run.runner import run_plan

    facts = _facts(tuple(lacks))
    if needs and not facts.feature(needs):
        raise Unsupported(f"{needs}: {facts.feature(needs).detail}")
    lines = io.BytesIO()
    command = [_here(load), *argv]
    run_plan(
        _plan(plan),
        facts,
        backend=backend,
        command=() if neighbour else command,
        log=Sink(lines),
        progress=_Neighbour(command) if neighbour else None,
    )
    return {"lines": lines.getvalue().decode(), "left": leftovers()}


class _Neighbour:
    """Runs a command when it is first reported of progress, which is when all is armed, and then
    ends the run as Ctrl-C would."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)

    def follow(self, look: object, program: object) -> None:
        """Nothing is looked at."""

    def update(self, elapsed_s: float, events: int, lost: Count) -> None:
        del elapsed_s, events, lost
        if self.command:
            subprocess.run(self.command, check=True, stdout=subprocess.DEVNULL)
            self.command = []
            os.kill(os.getpid(), signal.SIGINT)

    def hide(self) -> None:
        """Nothing is shown."""


@cache
def _facts(lacks: tuple[str, ...]) -> KernelFacts:
    return _without(live_facts(), lacks)


def _without(facts: KernelFacts, lacks: Sequence[str]) -> KernelFacts:
    """The same kernel where some features are refused, as they are on some hosts."""
    facts.features = _Lacking(facts.features, frozenset(lacks)) if lacks else facts.features
    return facts


class _Lacking(Mapping[str, Feature]):
    """Features of a kernel, some of which it lacks; the others are found out when asked for."""

    def __init__(self, features: Mapping[str, Feature], lacks: frozenset[str]) -> None:
        self._features, self._lacks = features, lacks

    def __getitem__(self, name: str) -> Feature:
        if name in self._lacks:
            return Feature(state="no", detail=f"taken away for this test: {name}")
        return self._features[name]

    def __iter__(self) -> Any:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)


def _here(load: str) -> str:
    """The workload on a disk of the guest's own."""
    copy = Path("/run") / load
    if not copy.exists():
        shutil.copy(Path(os.environ["PROBEPLAN_SHARE"]) / load, copy)
    return str(copy)


def leftovers() -> list[str]:
    """Definitions and instances that are still in the kernel."""
    tracing = Path("/sys/kernel/tracing")
    files = ("kprobe_events", "uprobe_events")
    found = [line for name in files for line in (tracing / name).read_text().splitlines()]
    return found + [folder.name for folder in (tracing / "instances").iterdir()]
