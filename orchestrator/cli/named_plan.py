"""The PLAN of a command line, read once: a plan's file or a bundle, as its first bytes show.

What a bundle needs is imported for bundles alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.backends.protocol import Artifact, Backend
from orchestrator.plan.document.source import XZ_MAGIC, read_source
from orchestrator.plan.model import Plan
from orchestrator.policy.model import Policy
from orchestrator.run.choice import Prepared
from orchestrator.run.shipped import find_plan, is_shipped
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.bundle.opening import OpenedBundle
    from orchestrator.policy.signed_files import Acceptance

__all__ = ["NamedPlan", "is_bundle", "load_named_plan", "read_named", "recall_named_plan"]

_MOST_BYTES = (16 << 20) + (64 << 10)  # bundle.stream.MOST_FILE_BYTES; of plans less is accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPlan:
    """A plan, and the bundle that it is from (None: it is from a plan file)."""

    plan: Plan
    bundle: "OpenedBundle | None" = None

    @property
    def backends(self) -> Mapping[str, Backend[Any]] | None:
        """What to choose a backend from, as `prepare` takes it."""
        return self.bundle.offer_backends() if self.bundle else None

    @property
    def acceptances(self) -> "tuple[Acceptance, ...] | None":
        """By what the policies accept the bundle, as `prepare` takes it."""
        return self.bundle.acceptances if self.bundle else None

    def describe_bundle(self, artifact: Artifact[Any]) -> dict[str, Any] | None:
        """What records say of the bundle where `artifact` is attached; None without one."""
        return self.bundle.describe(artifact) if self.bundle else None


def read_named(name: str) -> tuple[bytes, str]:
    """The bytes of the file, or of the shipped plan, called `name`, and the name to report it by.
    Raises PlanError."""
    return read_source(find_plan(name), _MOST_BYTES)


def is_bundle(content: bytes) -> bool:
    """Whether this is a bundle, or at least no plan."""
    return content.startswith(XZ_MAGIC)


def load_named_plan(
    content: bytes,
    file: str,
    policies: Sequence[Policy],
    arch: str,
    overrides: Mapping[str, Mapping[str, str]],
) -> NamedPlan:
    """The plan in `content`, the bytes of `file`, changed by `overrides` (keyword arguments of
    `load_plan`). Raises PlanError, and HostError for a bundle that `policies` or this time refuse,
    or that is for another architecture than `arch`."""
    from orchestrator.plan.load import load_plan_of  # a run that is warm reads no plan

    if not is_bundle(content):
        return NamedPlan(plan=load_plan_of(content, file, **overrides))
    from orchestrator.bundle.opening import open_bundle

    bundle = open_bundle(content, file, policies, arch)
    plan = load_plan_of(bundle.bundle.plan_text, bundle.plan_file, **overrides)
    return NamedPlan(plan=plan, bundle=bundle)


def recall_named_plan(content: bytes, file: str, prepared: Prepared) -> tuple[NamedPlan, Prepared]:
    """The plan in `content`, the bytes of `file`, that was `prepared` earlier. Signatures are
    checked as they are now, and a bundle's programs are this bundle's. Raises HostError where a
    policy accepts it no longer, and for a bundle that may be used no longer."""
    if any(policy.signatures for policy in prepared.policies):
        prepared = _check_again(content, file, prepared)
    if not is_bundle(content):
        return NamedPlan(plan=prepared.plan), prepared
    from orchestrator.bundle.opening import open_bundle

    bundle = open_bundle(content, file, prepared.policies, prepared.facts.arch)
    backends = bundle.offer_backends()
    choice = replace(prepared.choice, backend=backends[prepared.choice.artifact.backend])
    again = replace(prepared, choice=choice, acceptances=bundle.acceptances)
    return NamedPlan(plan=prepared.plan, bundle=bundle), again


def _check_again(content: bytes, file: str, prepared: Prepared) -> Prepared:
    """With the lists of signers as they are now; a bundle's signature is checked when it is
    opened."""
    from orchestrator.policy.file import renew_lists  # for signed plans only

    policies = renew_lists(prepared.policies)
    if is_bundle(content):
        return replace(prepared, policies=policies)
    from orchestrator.policy.signed_files import check_signatures

    acceptances = check_signatures(content, file, policies, is_shipped)
    return replace(prepared, policies=policies, acceptances=acceptances)
