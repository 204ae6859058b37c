"""Attaching and detaching the functions of a glob: by one link, compared with one by one."""

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.figures import Figure, Target
from bench.setting import NotPossible, Setting

if TYPE_CHECKING:
    from orchestrator.kernel.facts import KernelFacts

__all__ = ["joining"]

FUNCTIONS = 200
FASTER = Target(at="most", bound=1.0)
_PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {{name: bench-joining, summary: What a glob costs}}
limits: {{probes: 1k}}
probes: {{p: {{attach: 'uprobe:{file}:fun_*', metrics: {{n: {{count: true, by: [func]}}}}}}}}
"""


class _Taken(NamedTuple):
    """ms."""

    attaching: float
    detaching: float


def joining(setting: Setting) -> list[Figure]:
    """ms to attach and to detach a compiled count of FUNCTIONS functions of a program, which one
    process runs meanwhile. Raises NotPossible."""
    from orchestrator.kernel.facts import live_facts
    from orchestrator.kernel.feature import no

    facts = live_facts()
    if not facts.feature("uprobe_multi"):
        raise NotPossible(f"no uprobe multi links: {facts.feature('uprobe_multi').detail}")
    apart = facts.with_features({"uprobe_multi": no("taken away by the benchmark")})
    file = _build(setting, setting.of(FUNCTIONS, 20))
    ours: list[_Taken] = []
    theirs: list[_Taken] = []
    with subprocess.Popen([str(file)]) as process:
        for number in range(setting.rounds):
            setting.say(f"joining: {FUNCTIONS} functions, round {number + 1}")
            ours.append(_take(file, facts))
            theirs.append(_take(file, apart))
        process.kill()
    return [
        Figure(
            name=f"{name} {setting.of(FUNCTIONS, 20)} functions",
            unit="ms",
            ours=[getattr(taken, name) for taken in ours],
            peer="one by one",
            theirs=[getattr(taken, name) for taken in theirs],
            target=FASTER,
        )
        for name in _Taken._fields
    ]


def _build(setting: Setting, count: int) -> Path:
    """A program with so many functions, which waits for ever. Raises NotPossible."""
    source = setting.directory / "functions.c"
    body = '{ __asm__ volatile(""); return x; }'
    functions = (f"__attribute__((noinline)) long fun_{n}(long x) {body}" for n in range(count))
    main = "int main(void) { for (;;) pause(); }"
    source.write_text("\n".join(["#include <unistd.h>", *functions, main, ""]))
    made = source.with_suffix("")
    try:
        subprocess.run(["gcc", "-O1", "-o", str(made), str(source)], check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise NotPossible(f"the program cannot be built: {error}") from None
    return made


def _take(file: Path, facts: "KernelFacts") -> _Taken:
    from orchestrator.backends import backend
    from orchestrator.backends.bcc.attach.attaching import attach_compiled, compile_artifact
    from orchestrator.backends.protocol import AttachOptions
    from orchestrator.compile.lower import compile_plan
    from orchestrator.plan.load import load_plan

    program = compile_plan(load_plan(_PLAN.format(file=file).encode()), facts)
    artifact = backend("bcc").emit(program, facts)
    code = compile_artifact(artifact)
    began = time.monotonic()
    session = attach_compiled(artifact, code, AttachOptions(run_id="bench"))
    attached = time.monotonic()
    session.detach()
    return _Taken((attached - began) * 1e3, (time.monotonic() - attached) * 1e3)
