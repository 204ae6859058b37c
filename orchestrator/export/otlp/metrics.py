"""A snapshot of all series as OTLP metrics.

Counters are cumulative monotonic sums, and histograms cumulative, all since the snapshot's
`created_unix_nano`: a collector that missed some snapshots has everything in the next one. Data
points are made ready here, since the SDK's own instruments would have to count each value again.
Units are UCUM's, as OpenTelemetry's conventions have them.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from orchestrator.export.otlp.exponential import (
    MAX_BUCKETS,
    BucketRun,
    convert_to_explicit,
    convert_to_exponential,
)
from orchestrator.export.snapshot import Family, HistogramCounts, Sample, Snapshot
from orchestrator.values import dataclass

__all__ = ["HistogramForm", "make_metrics"]

_UNITS = {"seconds": "s", "bytes": "By", "": "1"}
#: Integers of OTLP are signed and have 64 bits.
_INT64 = 1 << 63
#: Data points of one request: with large histograms some MB, where collectors take 4 to 64.
_POINTS_PER_REQUEST = 1000
_CUMULATIVE = AggregationTemporality.CUMULATIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramForm:
    """How histograms are sent: `exact` with our own edges as bounds, otherwise exponential with at
    most `max_buckets` of each sign."""

    exact: bool = False
    max_buckets: int = MAX_BUCKETS


def make_metrics(
    snapshot: Snapshot,
    resource: Resource,
    scope: InstrumentationScope,
    form: HistogramForm,
) -> Iterator[MetricsData]:
    """One request after the other that together hold the snapshot. Series whose value is unknown
    (NaN) are left out."""
    metrics: list[Metric] = []
    points = 0
    for family in snapshot.families:
        known = [sample for sample in family.samples if not _is_unknown(sample)]
        for start in range(0, len(known), _POINTS_PER_REQUEST):
            samples = known[start : start + _POINTS_PER_REQUEST]
            if points + len(samples) > _POINTS_PER_REQUEST:
                yield _wrap(metrics, resource, scope)
                metrics, points = [], 0
            metrics.append(_make_metric(family, samples, snapshot, form))
            points += len(samples)
    if metrics:
        yield _wrap(metrics, resource, scope)


def _wrap(
    metrics: Sequence[Metric], resource: Resource, scope: InstrumentationScope
) -> MetricsData:
    scoped = ScopeMetrics(scope=scope, metrics=metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scoped], schema_url="")])


def _is_unknown(sample: Sample) -> bool:
    return isinstance(sample.value, float) and math.isnan(sample.value)


def _make_metric(
    family: Family, samples: Sequence[Sample], snapshot: Snapshot, form: HistogramForm
) -> Metric:
    moments: dict[str, Any] = {
        "start_time_unix_nano": snapshot.created_unix_nano,
        "time_unix_nano": snapshot.taken_unix_nano,
    }
    data: Sum | Gauge | Histogram | ExponentialHistogram
    if family.kind == "histogram":
        points: Any = [
            _make_histogram(sample, family.per_unit, form, moments) for sample in samples
        ]
        data = (Histogram if form.exact else ExponentialHistogram)(points, _CUMULATIVE)
    else:
        numbers = [_make_number(sample, family.per_unit, moments) for sample in samples]
        is_counter = family.kind == "counter"
        data = Sum(numbers, _CUMULATIVE, is_monotonic=True) if is_counter else Gauge(numbers)
    unit = _UNITS.get(family.unit, family.unit)
    return Metric(name=family.name, description=family.help, unit=unit, data=data)


def _make_number(sample: Sample, per_unit: int, moments: dict[str, Any]) -> NumberDataPoint:
    value = sample.value
    assert not isinstance(value, HistogramCounts)
    if per_unit != 1 or (isinstance(value, int) and not -_INT64 <= value < _INT64):
        value = value / per_unit
    return NumberDataPoint(attributes=dict(sample.labels), value=value, **moments)


def _make_histogram(
    sample: Sample, per_unit: int, form: HistogramForm, moments: dict[str, Any]
) -> HistogramDataPoint | ExponentialHistogramDataPoint:
    """One histogram. The least and the largest value are not known, nor is the sum of values
    outside of the buckets."""
    values = sample.value
    assert isinstance(values, HistogramCounts)
    counts = dict(values.counts)
    counts |= {-1: values.below} if values.below else {}
    counts |= {values.buckets.count: values.above} if values.above else {}
    total = values.estimated_sum
    unknown: Any = None  # optional in the protocol, but not by the SDK's types
    common: dict[str, Any] = {
        "attributes": dict(sample.labels),
        "count": values.count,
        "sum": unknown if total is None else total / per_unit,
        "min": unknown,
        "max": unknown,
        **moments,
    }
    if form.exact:
        bounded = convert_to_explicit(values.buckets, counts, per_unit=per_unit)
        return HistogramDataPoint(
            bucket_counts=bounded.counts, explicit_bounds=bounded.bounds, **common
        )
    taken = convert_to_exponential(
        values.buckets, counts, per_unit=per_unit, max_buckets=form.max_buckets
    )
    return ExponentialHistogramDataPoint(
        scale=taken.scale,
        zero_count=taken.zero_count,
        positive=_make_buckets(taken.positive),
        negative=_make_buckets(taken.negative),
        flags=0,
        **common,
    )


def _make_buckets(run: BucketRun) -> Buckets:
    return Buckets(offset=run.offset, bucket_counts=run.counts)
