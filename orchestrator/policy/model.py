"""A policy as typed, frozen values: the most that plans may do on a host.

It is read by the same document reader as a plan, so that every refusal can name the line of the
rule behind it. Nothing here looks at a file system or a kernel: `orchestrator.policy.rules` does.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, cast

from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.document.parse import parse_document
from orchestrator.plan.document.schema import POLICY_SCHEMA, check_schema
from orchestrator.plan.findings import Finding, Position, has_errors
from orchestrator.plan.model import Redact
from orchestrator.plan.probes import parse_redact
from orchestrator.plan.reader import DocumentReader
from orchestrator.signatures.model import SignerLists
from orchestrator.values import dataclass

__all__ = ["Ceiling", "ListEntry", "Policy", "SignatureRules", "parse_policy"]

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


def parse_policy(content: bytes, file: str) -> tuple[Policy | None, list[Finding]]:
    """The policy in `content`, or None and every reason why it is not one."""
    document, findings = parse_document(content, file)
    if document is None:
        return None, findings
    faults = [finding for _, finding in check_schema(document, POLICY_SCHEMA, thorough=False)]
    if other := [finding for finding in faults if finding.code == "PP035"]:
        return None, other  # not a policy at all: further findings would mislead
    findings += faults
    if has_errors(findings):
        return None, findings
    collector = FindingCollector(document=document)
    policy = _policy_from(DocumentReader(document.data, {}, collector))
    findings += collector.findings
    return (None if has_errors(findings) else policy), findings


def _policy_from(reader: DocumentReader) -> Policy:
    document, data = reader.collector.document, reader.data
    allowed: UserStrings = "allow"
    user_strings = reader.quantity(("user_strings",), _user_strings_from, allowed)
    return Policy(
        file=document.file,
        sha256=hashlib.sha256(document.source).hexdigest(),
        summary=data.get("summary", ""),
        owner=data.get("owner", ""),
        ceilings={key: _ceiling_from(reader, key) for key in data.get("limits", {})},
        allow_kinds=_entries_from(reader, "allow_kinds"),
        deny_kinds=_entries_from(reader, "deny_kinds"),
        allow_symbols=_entries_from(reader, "allow_symbols"),
        deny_symbols=_entries_from(reader, "deny_symbols"),
        user_strings=user_strings,
        allow_user=_entries_from(reader, "allow_user"),
        kernel_memory=data.get("kernel_memory", "any" if user_strings == "allow" else "typed"),
        unsafe_return=data.get("unsafe_return", "deny"),
        plans=_entries_from(reader, "plans"),
        allow_params=_entries_from(reader, "allow_params"),
        allow_limits=_entries_from(reader, "allow_limits"),
        allow_targets=_entries_from(reader, "allow_targets"),
        max_runs=data.get("max_runs"),
        allow_backends=_entries_from(reader, "allow_backends"),
        signatures=SignatureRules(**data["signatures"]) if "signatures" in data else None,
        positions={key: document.value_position((key,)) for key in data},
    )


def _ceiling_from(reader: DocumentReader, key: str) -> Ceiling:
    _, read = LIMIT_READERS[key]
    path = ("limits", key)
    value = reader.quantity(path, cast(Any, read), None)
    return Ceiling(value=value, position=reader.place(path))


def _entries_from(reader: DocumentReader, key: str) -> tuple[ListEntry, ...]:
    return tuple(
        ListEntry(text=text, position=reader.place((key, index)))
        for index, text in enumerate(reader.get((key,), ()))
    )


def _user_strings_from(text: str) -> UserStrings:
    if text in ("allow", "deny"):
        return cast(Literal["allow", "deny"], text)
    return parse_redact(text)
