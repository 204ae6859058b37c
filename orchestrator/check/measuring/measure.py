"""Measuring a check: attach once, repeat its workload, and return all that was counted.

Two sides of a check, which differ in the value of one of its params, are measured by the same
probes in turns, so that whatever changes on the machine touches both.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field

from orchestrator.check.measurement import Measurement, Repeat, WorkloadTrouble
from orchestrator.check.measuring.environment import describe_environment
from orchestrator.check.measuring.identity import identify_metrics, identify_probes
from orchestrator.check.measuring.repeater import WorkloadFailed
from orchestrator.check.measuring.stage import Stage, set_stage
from orchestrator.check.measuring.turns import list_turns
from orchestrator.check.model import Check
from orchestrator.kernel.facts import KernelFacts
from orchestrator.policy.model import Policy
from orchestrator.run.choice import Prepared
from orchestrator.run.options import RunOptions
from orchestrator.run.prepare import prepare
from orchestrator.run.signals import Signals
from orchestrator.run.standing.silence import make_silent
from orchestrator.values import dataclass

__all__ = ["RepeatProgress", "measure_check", "measure_sides", "prepare_check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatProgress:
    """A repeat that is over: the `number`-th of `total`, of which those of the warm-up do not
    count. `side`: the number of its side, from 0."""

    number: int
    total: int
    is_warmup: bool
    repeat: Repeat
    side: int = 0


@dataclass(slots=True)
class _Collected:
    repeats: list[Repeat] = field(default_factory=list)
    witness: Repeat | None = None
    trouble: WorkloadTrouble | None = None


def prepare_check(
    check: Check, facts: KernelFacts, policies: Sequence[Policy], *, backend: str = "auto"
) -> Prepared:
    """The plan of a check ready to be attached, with its metrics alone. Raises as `prepare`."""
    plan = make_silent(check.plan, check.workload.longest_stretch_ns)
    return prepare(plan, facts, policies, backend=backend, follow_children=True)


def measure_check(  # noqa: PLR0913  # what a measurement takes, each by its name
    check: Check,
    prepared: Prepared,
    signals: Signals,
    *,
    options: RunOptions,
    on_repeat: Callable[[RepeatProgress], None] = lambda _progress: None,
    environment: Mapping[str, str] = os.environ,
    before_repeats: Callable[[], None] = lambda: None,
) -> Measurement:
    """Repeat the workload of a check, its plan as `prepare_check` made it. `signals`, entered, end
    it; `before_repeats` is called once, before the first repeat that counts. Where the workload
    fails, what was measured until then is returned, with the trouble.

    Raises Interrupted; PlanError for a command that is not there; HostError where the plan cannot
    be attached; CleanupFailed. No process and nothing in the kernel is left by any of them.
    """
    (measurement,) = measure_sides(
        (check,),
        prepared,
        signals,
        options=options,
        on_repeat=on_repeat,
        environment=environment,
        before_repeats=before_repeats,
    )
    return measurement


def measure_sides(  # noqa: PLR0913  # what a measurement takes, each by its name
    sides: Sequence[Check],
    prepared: Prepared,
    signals: Signals,
    *,
    options: RunOptions,
    on_repeat: Callable[[RepeatProgress], None] = lambda _progress: None,
    environment: Mapping[str, str] = os.environ,
    before_repeats: Callable[[], None] = lambda: None,
) -> tuple[Measurement, ...]:
    """Repeat the workloads of one check with different values of its params, in turns (ABBA): one
    measurement for each side. Where one fails, no other goes on. Otherwise as `measure_check`."""
    collected = [_Collected() for _ in sides]
    with set_stage(sides, prepared, signals, options=options, environment=environment) as stage:
        session = stage.probes.session
        program = prepared.choice.artifact.program
        identities = identify_probes(program, session.attached, session.skipped)
        _collect(sides[0], stage, collected, on_repeat, before_repeats)
    metrics = identify_metrics(prepared.plan, program)
    described = describe_environment(prepared, sides[0].here)
    return tuple(
        Measurement(
            repeats=tuple(one.repeats),
            probes=identities,
            metrics=metrics,
            environment=described,
            witness=one.witness,
            trouble=one.trouble,
        )
        for one in collected
    )


def _collect(
    check: Check,
    stage: Stage,
    collected: Sequence[_Collected],
    on_repeat: Callable[[RepeatProgress], None],
    before_repeats: Callable[[], None],
) -> None:
    workload, repeater, makers = check.workload, stage.repeater, stage.makers
    turns = list_turns(workload, len(makers))
    warmups = sum(turn.is_warmup for turn in turns)
    for number, turn in enumerate(turns, 1):
        if number == warmups + 1:
            before_repeats()
        side = collected[turn.side]
        with _noting_trouble(side):
            repeat = repeater.repeat(makers[turn.side][turn.ops], turn.ops)
            progress = RepeatProgress(
                number=number,
                total=len(turns),
                is_warmup=turn.is_warmup,
                repeat=repeat,
                side=turn.side,
            )
            on_repeat(progress)
            if not turn.is_warmup:
                side.repeats.append(repeat)
        if side.trouble is not None:
            return
    if workload.witness:
        first = workload.ops[0]
        for own, side in zip(makers, collected, strict=True):
            with _noting_trouble(side):
                side.witness = repeater.run_witness(own[first], first)


@contextlib.contextmanager
def _noting_trouble(collected: _Collected) -> Iterator[None]:
    try:
        yield
    except WorkloadFailed as failed:
        collected.trouble = failed.trouble
        if failed.repeat is not None and failed.trouble.stage == "run":
            collected.repeats.append(failed.repeat)
