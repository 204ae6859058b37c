"""A check as typed, frozen values: what a checked `ProbeCheck` document means.

Durations are in nanoseconds. Texts of the workload are as written, with their `$(…)`; `fillings`
replaces those when a run begins.
"""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal

from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import NOWHERE, Position
from orchestrator.plan.model import Metadata, Param, Plan
from orchestrator.values import dataclass

__all__ = ["Argv", "Check", "Expectation", "MachineSpec", "RepeatChoice", "Server", "Workload"]

#: A program and its arguments; never a shell's line.
Argv = tuple[str, ...]
#: Which of the repeats' values is judged.
RepeatChoice = Literal["median", "min", "max"]
_BEYOND_TIMEOUT_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that is started before `run`, and measured from `ready` to the end of `run`.

    `ready` is `tcp:HOST:PORT`, `file:PATH` or `line:TEXT` (of its output); `stop` is the name of
    the signal that ends it.
    """

    run: Argv
    ready: str
    stop: str = "SIGTERM"
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is run and measured, and how often.

    `ops` has one number of operations, or two: then each repeat runs with each of them. `exit` is
    the exit code that a run must have, `stdin` a path. `cwd` "" is the scratch folder and `user` ""
    the user that called sudo. `cpu` None: any CPU. `witness` is a command that has to make each
    metric count that may be 0; empty: there is none.
    """

    run: Argv
    setup: tuple[Argv, ...] = ()
    teardown: tuple[Argv, ...] = ()
    serve: Server | None = None
    ops: tuple[int, ...] = (1,)
    warmup: int = 1
    repeats: int = 3
    timeout_ns: int = 60_000_000_000
    exit: int = 0
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    stdin: str = "/dev/null"
    user: str = ""
    cpu: int | None = None
    steady: bool = True
    witness: Argv = ()
    position: Position = NOWHERE

    @property
    def longest_stretch_ns(self) -> int:
        """How long a command is counted at the most: a little longer than it may take."""
        return self.timeout_ns + _BEYOND_TIMEOUT_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """The deterministic machine that a check is measured in. `kernel` is `debian:SERIES` or the
    path of a kernel image. `memory` and `disk` in bytes (`disk` 0: there is none). `files`: what
    the workload needs besides its programs and their libraries. Each of `seeds` boots is one
    repeat."""

    kernel: str
    memory: int = 1 << 30
    disk: int = 0
    files: tuple[str, ...] = ()
    seeds: int = 3
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One comparison that has to hold. `of`: which repeat is judged; `each`: every cell of its
    metrics by itself. `resolve` strict: a figure too unsteady for the bound is inconclusive."""

    name: str
    that: Expr
    of: RepeatChoice = "median"
    each: bool = False
    severity: Literal["fail", "warn"] = "fail"
    resolve: Literal["", "strict"] = ""
    summary: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A whole check. `path` is its file (`-`: standard input), `here` that file's folder.

    `plan_source` is what `plan:` says: a shipped plan's name or a path; "" for a body that is
    part of the check. `plan` is the plan itself, with `settings` (the check's `set`). `params` are
    the check's own. `baseline` is the file of recorded figures. `position` is that of its name.
    `machine` None: it is measured on this host.
    """

    name: str
    path: str
    here: Path
    metadata: Metadata
    plan_source: str
    plan: Plan
    settings: Mapping[str, str]
    params: Mapping[str, Param]
    workload: Workload
    expectations: tuple[Expectation, ...]
    baseline: Path
    source: bytes = b""
    sha256: str = ""
    machine: MachineSpec | None = None
    position: Position = NOWHERE
