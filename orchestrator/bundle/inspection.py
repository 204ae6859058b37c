"""A bundle as `lint` looks at it: every finding, on whatever host."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.backends import offer_instead
from orchestrator.backends.protocol import Backend
from orchestrator.bundle.file import read_bundle
from orchestrator.bundle.model import Bundle
from orchestrator.bundle.opening import is_never_shipped, plan_position
from orchestrator.bundle.programs import BundledPrograms
from orchestrator.bundle.validity import check_bundle_times
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.policy.model import Policy
from orchestrator.policy.signed_files import find_signature_problems, find_unjudged_programs
from orchestrator.values import dataclass
from orchestrator.version import installed_version

__all__ = ["InspectedBundle", "inspect_bundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedBundle:
    """A bundle (None: it is none) and what is wrong with it."""

    file: str
    bundle: Bundle | None
    findings: list[Finding]

    @property
    def plan_file(self) -> str:
        """The name of its plan's file, for positions in findings."""
        return plan_position(self.file, self.bundle) if self.bundle else self.file

    def offer_backends(self) -> Mapping[str, Backend[Any]] | None:
        """All backends, with its programs in the place of the compiler; None without a bundle."""
        return offer_instead(BundledPrograms(self.bundle, self.file)) if self.bundle else None


def inspect_bundle(content: bytes, file: str, policies: Sequence[Policy]) -> InspectedBundle:
    """The bundle in `content`, the bytes of `file`, and every finding: what `policies` say of its
    signature, its form, and a warning where it cannot be used at this time."""
    findings = find_signature_problems(content, file, policies, is_never_shipped, "bundle")
    findings += find_unjudged_programs(file, policies)
    try:
        bundle = read_bundle(content, file, release=installed_version())
    except PlanError as error:
        return InspectedBundle(file=file, bundle=None, findings=[*findings, *error.findings])
    try:
        check_bundle_times(bundle, time.time(), file)
    except HostError as error:
        findings += [replace(finding, severity="warning") for finding in error.findings]
    return InspectedBundle(file=file, bundle=bundle, findings=findings)
