"""From the bytes of a bundle's file to what a command may use of it, in one order for all commands:
signature, form, times, architecture, plan."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.backends import offer_instead
from orchestrator.backends.protocol import Artifact, Backend
from orchestrator.bundle.file import read_bundle
from orchestrator.bundle.model import Bundle
from orchestrator.bundle.programs import BundledPrograms
from orchestrator.bundle.validity import check_bundle_arch, check_bundle_times
from orchestrator.output.log import format_timestamp
from orchestrator.plan.findings import HostError
from orchestrator.policy.model import Policy
from orchestrator.values import dataclass
from orchestrator.version import installed_version

if TYPE_CHECKING:
    from orchestrator.policy.signed_files import Acceptance

__all__ = ["OpenedBundle", "is_never_shipped", "open_bundle", "plan_position"]

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedBundle:
    """A bundle that may be used here. `file`: its name; `sha256`: of its bytes; `acceptances`: by
    what the policies accept it; `programs`: the backend that attaches its programs."""

    file: str
    sha256: str
    bundle: Bundle
    acceptances: "tuple[Acceptance, ...]"
    programs: BundledPrograms

    @property
    def plan_file(self) -> str:
        """The name of its plan's file, for positions in findings."""
        return plan_position(self.file, self.bundle)

    def offer_backends(self) -> Mapping[str, Backend[Any]]:
        """All backends, with the bundle's programs in the place of the compiler."""
        return offer_instead(self.programs)

    def describe(self, artifact: Artifact[Any]) -> dict[str, Any]:
        """What records say of it where `artifact` is attached, as in the log schema."""
        is_ours = artifact.backend == self.programs.NAME
        return {
            "file": self.file,
            "sha256": self.sha256,
            "builder": self.bundle.builder,
            "created": format_timestamp(self.bundle.created * _NS),
            "key": self.programs.find_attached_key(artifact) if is_ours else None,
        }


def open_bundle(
    content: bytes, file: str, policies: Sequence[Policy], arch: str, now: float | None = None
) -> OpenedBundle:
    """The bundle in `content`, the bytes of `file`, for a host of this `arch`, in uname's words.
    `now`: seconds since the epoch; None: the clock's.

    Raises HostError where a policy does not accept its signature, or has no rules for signatures;
    where it has expired or is newer than the clock, or is for another architecture; PlanError for
    what is no bundle.
    """
    acceptances = _ask_policies(content, file, policies) if policies else ()
    bundle = read_bundle(content, file, release=installed_version())
    check_bundle_times(bundle, time.time() if now is None else now, file)
    check_bundle_arch(bundle, arch, file)
    return OpenedBundle(
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        bundle=bundle,
        acceptances=acceptances,
        programs=BundledPrograms(bundle, file),
    )


def _ask_policies(
    content: bytes, file: str, policies: Sequence[Policy]
) -> "tuple[Acceptance, ...]":
    """By what the policies accept the bundle. Raises HostError where one does not."""
    from orchestrator.policy.signed_files import (  # most hosts have no policy
        check_signatures,
        find_unjudged_programs,
    )

    acceptances = check_signatures(content, file, policies, is_never_shipped, "bundle")
    if unjudged := find_unjudged_programs(file, policies):
        raise HostError(unjudged)
    return acceptances


def plan_position(file: str, bundle: Bundle) -> str:
    """The name of the plan's file in the bundle's `file`, for positions in findings."""
    return f"{file}:{bundle.plan_file}"


def is_never_shipped(_content: bytes) -> bool:
    """Its programs do not come with probeplan, even where its plan does."""
    return False
