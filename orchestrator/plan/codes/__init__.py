"""Every code that a finding can carry (`lint --explain` prints them)."""

from collections.abc import Mapping

from orchestrator.plan.codes import (
    backend,
    bundles,
    checks,
    document,
    expressions,
    kernel,
    meaning,
    policy,
    schema,
    unattended,
)
from orchestrator.plan.codes.finding_code import FindingCode

__all__ = ["CODES", "GROUPS", "FindingCode"]

#: Title of a group → its codes, in the order in which a plan is read.
GROUPS: Mapping[str, tuple[FindingCode, ...]] = {
    "The file and its YAML": document.CODES,
    "Keys and values": schema.CODES,
    "Expressions": expressions.CODES,
    "Probes, spans, metrics and params": meaning.CODES,
    "On a kernel": kernel.CODES,
    "Backends": backend.CODES,
    "Policies": policy.CODES,
    "Checks": checks.CODES,
    "Bundles": bundles.CODES,
    "Unattended runs": unattended.CODES,
}
CODES: Mapping[str, FindingCode] = {
    entry.code: entry for entries in GROUPS.values() for entry in entries
}
