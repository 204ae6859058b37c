"""The program of a canary: the same attach points and target, and hits are only counted. Of bcc's
programs it is the run's own, with a switch; here making another one costs a few milliseconds.
"""

from dataclasses import replace

from orchestrator.compile.program import Body, Program

__all__ = ["count_only"]


def count_only(program: Program) -> Program:
    """A program with the same attach points and target that only counts hits."""
    probes = tuple(
        replace(
            probe,
            sample=1,
            emit=None,
            metrics=(),
            hooks=tuple(replace(hook, body=_counting_body(hook.body)) for hook in probe.hooks),
        )
        for probe in program.probes
    )
    return replace(program, probes=probes, spans=(), params=(), every_ns=None)


def _counting_body(body: Body) -> Body:
    no_task = body.task == "none"
    return Body(
        lets=(),
        where=(),
        emit=(),
        metrics=(),
        task="none" if no_task else None,
        tests_target=body.tests_target and body.task is None,
    )
