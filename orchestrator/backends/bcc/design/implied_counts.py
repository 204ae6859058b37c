"""Metrics for which an event's disposition says all, so that nothing more needs to be counted."""

from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.compile.program import Body, MetricSpec, MetricUse, Program, SpanProgram


def counts_all(spec: MetricSpec, use: MetricUse, body: Body) -> bool:
    """Whether every accepted event of the hook counts in this metric: no key that can find no
    room, no filter, no value that cannot be read. `accepted` is then its count of events."""
    if spec.key or use.where is not None:
        return False
    if use.value is None:
        return True
    return spec.kind != "count" and not may_be_null(use.value, body)


def span_counts_all(program: Program, span: SpanProgram, number: int) -> bool:
    """The same of a span's metric, which all the hooks that end the span feed."""
    return all(
        counts_all(span.metrics[number], use.end.metrics[number], hook.body)
        for hook in program.hooks
        for use in hook.body.spans
        if use.span == span.index and use.end is not None
    )
