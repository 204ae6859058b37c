"""From a plan and recorded kernels to a bundle: what it comes to there, and its programs.

Each program is made once, by its key, for all kernels and variants of its text, and checked: a host
cannot meet a place that was overlooked.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import field, replace
from pathlib import PurePath
from threading import Event
from typing import Any

from orchestrator.backends import compiled
from orchestrator.backends.protocol import Artifact
from orchestrator.bundle.file import MOST_PROGRAMS
from orchestrator.bundle.matrix import PlannedRow, RecordedKernel, plan_rows
from orchestrator.bundle.model import Bundle, BundledProgram, MatrixRow, Settings
from orchestrator.bundle.shape import describe_shape
from orchestrator.plan.document.source import read_source
from orchestrator.plan.findings import Finding, HostError, PlanError, of_command_line
from orchestrator.plan.load import load_plan_of
from orchestrator.values import dataclass
from orchestrator.version import installed_version

__all__ = ["Blueprint", "BuildOptions", "CompileProgress", "compile_blueprints", "draw_blueprint"]

_COMPILERS = 2  # at a time; each is a process that takes one CPU and about 130 MB
_MOST_TOGETHER = 4  # programs in one process, whose start takes half as long as one program
_MOST_SETTINGS = 64

#: Called with how many programs are compiled, of how many.
CompileProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What a bundle is made for. `params` and `target`: values by name, as --set and --target give
    them; programs are made for each combination. `additions`: what --by and --enrich add, by name;
    there are also programs without it, and with some of it. `with_command`: also for runs with a
    command. `created`, `expires`: seconds since the epoch; `expires` None: it does not."""

    params: Mapping[str, Sequence[str]] = field(default_factory=dict)
    target: Mapping[str, Sequence[str]] = field(default_factory=dict)
    additions: Mapping[str, str] = field(default_factory=dict)
    with_command: bool = False
    created: int = 0
    expires: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A bundle before anything is compiled: `bundle` has no programs yet, `planned` are the rows of
    its matrix, and `artifacts` those that the programs are made of, by key."""

    bundle: Bundle
    planned: tuple[PlannedRow, ...]
    artifacts: Mapping[str, Artifact[Any]]

    @property
    def unserved(self) -> tuple[MatrixRow, ...]:
        """For each kernel that no backend serves as it was recorded, its first such row."""
        rows: dict[str, MatrixRow] = {}
        for row in self.bundle.matrix:
            if row.is_recorded and row.backend is None:
                rows.setdefault(row.kernel, row)
        return tuple(rows.values())

    @property
    def missing_files(self) -> tuple[str, ...]:
        """Files that the plan probes and that are not on this machine: they are taken as
        written."""
        hooks = [hook for made in self.artifacts.values() for hook in made.program.hooks]
        return tuple(dict.fromkeys(h.path for h in hooks if h.path and h.identity is None))


# ---------------------------------------------------------------- what is to be compiled


def draw_blueprint(
    source: str | bytes, kernels: Sequence[RecordedKernel], options: BuildOptions
) -> Blueprint:
    """What the plan at a path (`-`: standard input) or in bytes comes to on each kernel, and what
    is to be compiled for it. Needs no compiler. Raises PlanError for a plan that is none."""
    content, file = (source, "<plan>") if isinstance(source, bytes) else read_source(source)
    planned: list[PlannedRow] = []
    artifacts: dict[str, Artifact[Any]] = {}
    all_settings = tuple(_list_settings(options))
    plans = [
        load_plan_of(content, file, settings=one.params, target=one.target, additions=one.additions)
        for one in all_settings
    ]
    for plan, settings in zip(plans, all_settings, strict=True):
        planned += plan_rows(plan, settings, kernels)
    for one in planned:
        if one.row.key is not None and one.artifact is not None:
            artifacts.setdefault(one.row.key, one.artifact)
    bundle = Bundle(
        created=options.created,
        expires=options.expires,
        builder=installed_version() or "0",
        compiler=compiled.read_compiler_version(),
        arch=kernels[0].facts.arch,
        plan_name=plans[0].metadata.name,
        plan_file=PurePath(file).name,
        plan_text=content,
        settings=all_settings,
        matrix=tuple(one.row for one in planned),
        programs={},
    )
    return Blueprint(bundle=bundle, planned=tuple(planned), artifacts=artifacts)


def _list_settings(options: BuildOptions) -> Iterator[Settings]:
    """Each combination of the values, without a command and then with one. Raises PlanError for too
    many."""
    params, targets = _combine(options.params), _combine(options.target)
    commands = (False, True) if options.with_command else (False,)
    additions = _choose(options.additions)
    count = len(params) * len(targets) * len(additions) * len(commands)
    if count > _MOST_SETTINGS:
        message = (
            f"these values give {count:,} combinations, and a bundle has at most {_MOST_SETTINGS}"
        )
        raise PlanError([of_command_line(message, "build several bundles")])
    for each in itertools.product(params, targets, additions, commands):
        one_params, one_target, added, command = each
        yield Settings(params=one_params, target=one_target, additions=added, command=command)


def _choose(additions: Mapping[str, str]) -> list[dict[str, str]]:
    """None of them, each, and all: a run gives what it wants of them."""
    counts = range(len(additions) + 1)
    chosen = (some for count in counts for some in itertools.combinations(additions, count))
    return [{name: additions[name] for name in names} for names in chosen]


def _combine(values: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


# ---------------------------------------------------------------- compiling


def compile_blueprints(
    blueprints: Sequence[Blueprint], report: CompileProgress = lambda _done, _total: None
) -> list[Bundle]:
    """The bundles with all their programs. Raises HostError where one cannot be compiled, or
    without a compiler; then the others are given up. Raises PlanError for kernels of several
    architectures, and for more programs than a bundle can have."""
    _require_compiler()
    for blueprint in blueprints:
        _require_one_arch(blueprint.bundle.matrix)
        _require_few_programs(blueprint)
    artifacts = {key: made for one in blueprints for key, made in one.artifacts.items()}
    programs = _compile_programs(artifacts, report)
    return [
        replace(one.bundle, programs={key: programs[key] for key in sorted(one.artifacts)})
        for one in blueprints
    ]


def _compile_programs(
    artifacts: Mapping[str, Artifact[Any]], report: CompileProgress
) -> dict[str, BundledProgram]:
    programs: dict[str, BundledProgram] = {}
    stopping = Event()
    waiting = list(artifacts.items())
    size = max(1, min(_MOST_TOGETHER, -(-len(waiting) // _COMPILERS)))
    with ThreadPoolExecutor(_COMPILERS) as pool:
        running = [
            pool.submit(_compile_batch, dict(waiting[start : start + size]), stopping)
            for start in range(0, len(waiting), size)
        ]
        try:
            for future in as_completed(running):
                programs |= future.result()
                report(len(programs), len(artifacts))
        except BaseException:
            stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
    return programs


def _require_compiler() -> None:
    if compiled.read_compiler_version() == "absent":
        message = "there is no compiler here: Python's module bcc is not installed"
        hint = "install python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora)"
        raise HostError([Finding(code="PP089", message=message, hint=hint)])


def _require_one_arch(matrix: Sequence[MatrixRow]) -> None:
    by_arch = {row.arch: row.kernel for row in matrix}
    if len(by_arch) > 1:
        named = ", ".join(f"{kernel} is of {arch}" for arch, kernel in sorted(by_arch.items()))
        message = f"the kernels are of several architectures: {named}"
        raise PlanError([of_command_line(message, "build a bundle for each")])


def _require_few_programs(blueprint: Blueprint) -> None:
    count = len(blueprint.artifacts)
    if count > MOST_PROGRAMS:
        message = (
            f"the bundle of {blueprint.bundle.plan_name} would have {count:,} programs, and a "
            f"bundle has at most {MOST_PROGRAMS:,}"
        )
        hint = "build several bundles, each for some of the values or kernels"
        raise PlanError([of_command_line(message, hint)])


def _compile_batch(
    artifacts: Mapping[str, Artifact[Any]], stopping: Event
) -> dict[str, BundledProgram]:
    """The programs, which one process compiles. Raises HostError, naming a kernel. `stopping`: the
    build has failed, or was interrupted, which ends such processes too."""
    try:
        programs = compiled.compile_for_others(list(artifacts.values()))
    except HostError as error:
        if len(artifacts) > 1:
            return _compile_singly(artifacts, stopping)
        [artifact] = artifacts.values()
        raise HostError(
            replace(finding, message=f"for {artifact.program.kernel}: {finding.message}")
            for finding in error.findings
        ) from None
    return {
        key: BundledProgram(
            program=program,
            slots=tuple(number.name for number in artifact.numbers),
            shape=describe_shape(artifact),
        )
        for (key, artifact), program in zip(artifacts.items(), programs, strict=True)
    }


def _compile_singly(
    artifacts: Mapping[str, Artifact[Any]], stopping: Event
) -> dict[str, BundledProgram]:
    """The same one by one, to see which it is that cannot be compiled."""
    programs: dict[str, BundledProgram] = {}
    for key, artifact in artifacts.items():
        if stopping.is_set():
            break
        programs |= _compile_batch({key: artifact}, stopping)
    return programs
