"""Who sends: the attributes that OTLP gives to all metrics and log records of a process."""

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from orchestrator.version import installed_version

__all__ = ["make_resource", "make_scope"]


def make_resource(host: str, host_id: str | None) -> Resource:
    """The attributes by OpenTelemetry's conventions, and over them those of the variables
    OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME. `host_id`: as in results; None: not known.

    There is no `service.instance.id`: a new one at each start would make all series new ones."""
    attributes = {"service.name": "probeplan", "host.name": host}
    if version := installed_version():
        attributes["service.version"] = version
    if host_id is not None:
        attributes["host.id"] = host_id
    return Resource(attributes).merge(OTELResourceDetector().detect())


def make_scope() -> InstrumentationScope:
    """The name and version under which all of it is recorded."""
    return InstrumentationScope("probeplan", installed_version() or "")
