"""From a layout to a session: an instance of our own, with all events or none."""

from pathlib import Path

from orchestrator.backends.protocol import Artifact, AttachOptions, SkippedHook
from orchestrator.backends.tracefs.attach.optional_hooks import without_refused
from orchestrator.backends.tracefs.attach.session import TracefsSession
from orchestrator.backends.tracefs.counts.event_costs import price_events
from orchestrator.backends.tracefs.design.layout import Layout
from orchestrator.backends.tracefs.design.writes import names_of, stopping, writes
from orchestrator.backends.tracefs.instance.threads import own_threads, seeds
from orchestrator.backends.tracefs.instance.trace_instance import Instance, Refused
from orchestrator.compile.program import ResolvedTarget
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError

__all__ = ["attach"]


def attach(
    artifact: Artifact[Layout], facts: KernelFacts, options: AttachOptions
) -> TracefsSession:
    """Attach everything or nothing; optional hooks that the kernel refuses are left out."""
    layout = artifact.detail
    skipped: list[SkippedHook] = []
    while True:
        instance = _instance(facts, options)
        try:
            _make(instance, layout, artifact.program.target, options)
            prices = price_events(layout, instance)
        except Refused as refused:
            instance.close()
            layout = without_refused(layout, refused, skipped)
        except BaseException:
            instance.close()
            raise
        else:
            return TracefsSession(artifact, layout, instance, skipped, prices)


def _instance(facts: KernelFacts, options: AttachOptions) -> Instance:
    if facts.tracing is None:
        raise HostError(
            [
                Finding(
                    code="PP113",
                    message="tracefs is not mounted",
                    hint="mount -t tracefs tracefs /sys/kernel/tracing",
                )
            ]
        )
    return Instance(
        tracefs=Path("/") / facts.tracing,
        names=names_of(options.run_id),
        journal=options.journal,
        unjournal=options.unjournal,
    )


def _make(
    instance: Instance, layout: Layout, target: ResolvedTarget, options: AttachOptions
) -> None:
    pids = seeds(target, options.root_pid) if layout.by_pid else ()
    own = own_threads() if target.exclude_self else ()
    instance.own = tuple(own)
    instance.perform(writes(layout, instance.names, pids=pids, own=own))
    instance.open_pipes()
    for step in stopping(layout, instance.names, own):
        options.stop(str(instance.tracefs / step.path), step.text)
    instance.hold()
