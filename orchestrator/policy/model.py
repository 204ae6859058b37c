"""A policy as typed, frozen values: the most that plans may do on a host.

Every rule knows its place in the file, so that a refusal can name it. Nothing here looks at a file
system or a kernel: `orchestrator.policy.rules` does.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from orchestrator.plan.findings import Position
from orchestrator.plan.model import Redact
from orchestrator.signatures.model import SignerLists
from orchestrator.values import dataclass

__all__ = ["Ceiling", "ListEntry", "Policy", "SignatureRules", "UserStrings"]

#: What becomes of strings that are user data.
UserStrings = Literal["allow", "deny"] | Redact


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that a limit may be, in the units of `Limits`."""

    value: Any
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEntry:
    """One entry of a rule's list, as written: a kind, a glob, a digest, a backend."""

    text: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRules:
    """Whose signatures on plans count. `required`: without one, a plan does not run. `shipped`:
    whether that holds for the plans that come with probeplan (`signed`), or not (`trusted`).
    `signers` and `revoked` are absolute paths ("": none); `lists` are their contents, None where
    they could not be read, and then `unreadable` says why."""

    signers: str
    revoked: str = ""
    required: bool = False
    shipped: Literal["signed", "trusted"] = "signed"
    lists: SignerLists | None = None
    unreadable: str = "they have not been read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy. `ceilings` by the name of the limit; an empty list restricts nothing, but for
    what the command line may set (`orchestrator.policy.overrides`).
    `positions`: by key, where its value is in the file. `user_strings`: strings from user memory
    may be shown (`allow`), must not be read (`deny`), or are redacted. `allow_user`: what else of
    user data may leave all the same. `kernel_memory`: which kernel memory may be read.
    `unsafe_return`: whether plans may accept that a return probe kills programs. `signatures`: who
    may sign plans; None: signatures are not looked at."""

    file: str
    sha256: str
    summary: str = ""
    owner: str = ""
    ceilings: Mapping[str, Ceiling] = field(default_factory=dict)
    allow_kinds: tuple[ListEntry, ...] = ()
    deny_kinds: tuple[ListEntry, ...] = ()
    allow_symbols: tuple[ListEntry, ...] = ()
    deny_symbols: tuple[ListEntry, ...] = ()
    user_strings: UserStrings = "allow"
    allow_user: tuple[ListEntry, ...] = ()
    kernel_memory: Literal["typed", "any"] = "any"
    unsafe_return: Literal["allow", "deny"] = "deny"
    plans: tuple[ListEntry, ...] = ()
    allow_params: tuple[ListEntry, ...] = ()
    allow_limits: tuple[ListEntry, ...] = ()
    allow_targets: tuple[ListEntry, ...] = ()
    max_runs: int | None = None
    allow_backends: tuple[ListEntry, ...] = ()
    signatures: SignatureRules | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)

    @property
    def kernel_memory_key(self) -> str:
        """The key that says which kernel memory may be read: `user_strings` where the other is left
        out."""
        return "kernel_memory" if "kernel_memory" in self.positions else "user_strings"

    @property
    def requires_signatures(self) -> bool:
        """Whether a plan needs a signature to run."""
        return self.signatures is not None and self.signatures.required

    def position_of(self, key: str) -> Position:
        """Where the value of `key` is in the file; the file as a whole when it is left out."""
        return self.positions.get(key, Position(file=self.file))
