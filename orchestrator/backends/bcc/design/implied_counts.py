"""Metrics whose number of events follows from the ledger, so that no extra counter is needed."""

from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.compile.program import Body, MetricSpec, MetricUse, Program, SpanProgram


def counts_all(spec: MetricSpec, use: MetricUse, body: Body) -> bool:
    """Whether every accepted event of the hook counts in this metric: it has no key, which could be
    refused by a full map, no filter, and no value that can be null. Its number of events is then
    `accepted`."""
    if spec.key or use.where is not None:
        return False
    if use.value is None:
        return True
    return spec.kind != "count" and not may_be_null(use.value, body)


def span_counts_all(program: Program, span: SpanProgram, number: int) -> bool:
    """The same for metric number `number` of a span, which every hook that ends the span feeds."""
    return all(
        counts_all(span.metrics[number], use.end.metrics[number], hook.body)
        for hook in program.hooks
        for use in hook.body.spans
        if use.span == span.index and use.end is not None
    )
