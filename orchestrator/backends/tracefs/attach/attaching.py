"""From an artifact to a session: a private instance with all events, or none."""

import contextlib
from pathlib import Path

from orchestrator.backends.protocol import Artifact, AttachOptions, SkippedHook
from orchestrator.backends.tracefs.attach.optional_hooks import without_refused
from orchestrator.backends.tracefs.attach.session import TracefsSession
from orchestrator.backends.tracefs.counts.event_costs import price_events
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.design.task_events import task_stop_writes
from orchestrator.backends.tracefs.design.writes import (
    attach_writes,
    names_from_run_id,
    stop_writes,
)
from orchestrator.backends.tracefs.instance.task_instance import TaskInstance, make_task_instance
from orchestrator.backends.tracefs.instance.threads import own_threads, target_threads
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance, WriteRefused
from orchestrator.compile.program import ResolvedTarget
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import HostError

__all__ = ["attach"]


def attach(
    artifact: Artifact[EventLayout], facts: KernelFacts, options: AttachOptions
) -> TracefsSession:
    """Attach everything or nothing; optional hooks that the kernel refuses are skipped. Raises
    HostError with the kernel's error text."""
    layout = artifact.detail
    skipped: list[SkippedHook] = []
    while True:
        instance = _make_instance(facts, options)
        made = contextlib.ExitStack()  # undone in reverse
        try:
            tasks = _watch_tasks(instance, layout, artifact.program.target, options)
            if tasks is not None:
                made.callback(tasks.instance.close)
            made.callback(instance.close)
            _perform_attach(instance, layout, artifact.program.target, options)
            prices = price_events(layout, instance)
        except WriteRefused as refused:
            made.close()
            layout = without_refused(layout, refused, skipped)
        except BaseException:
            made.close()
            raise
        else:
            return TracefsSession(artifact.program, layout, instance, tasks, skipped, prices)


def _make_instance(facts: KernelFacts, options: AttachOptions) -> TraceInstance:
    if facts.tracing is None:
        from orchestrator.backends.tracefs.design.artifact import describe_missing_tracefs

        raise HostError([describe_missing_tracefs(facts)])
    return TraceInstance(
        tracefs=Path("/") / facts.tracing,
        names=names_from_run_id(options.run_id),
        journal=options.journal,
        unjournal=options.unjournal,
    )


def _watch_tasks(
    instance: TraceInstance, layout: EventLayout, target: ResolvedTarget, options: AttachOptions
) -> TaskInstance | None:
    """What becomes of tasks is recorded from before the target's numbers are looked up."""
    if not layout.task_buffer_kb:
        return None
    tasks = make_task_instance(instance, target, options.root_pid, layout.task_buffer_kb)
    for step in task_stop_writes(tasks.instance.names):
        options.stop(str(instance.tracefs / step.path), step.text)
    return tasks


def _perform_attach(
    instance: TraceInstance, layout: EventLayout, target: ResolvedTarget, options: AttachOptions
) -> None:
    pids = target_threads(target, options.root_pid) if layout.by_pid else ()
    own = own_threads() if target.exclude_self else ()
    instance.own = tuple(own)
    instance.perform_writes(attach_writes(layout, instance.names, pids=pids, own=own))
    instance.open_pipes()
    for step in stop_writes(layout, instance.names, own):
        options.stop(str(instance.tracefs / step.path), step.text)
    instance.hold_buffer()
