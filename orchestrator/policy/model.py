"""A policy as typed, frozen values: what plans may do on a host at most.

It is read as a plan is, by the same document reader, so that every refusal can name the line that
it goes by. Nothing here looks at a file system or a kernel: `orchestrator.policy.rules` does.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.document.parse import parse_document
from orchestrator.plan.document.schema import POLICY_SCHEMA, check_schema
from orchestrator.plan.findings import Finding, Position, has_errors
from orchestrator.plan.model import Redact
from orchestrator.plan.probes import parse_redact
from orchestrator.plan.reader import DocumentReader

__all__ = ["Ceiling", "Entry", "Policy", "parse_policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that a limit may be, in the units of `Limits`."""

    value: Any
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a list, as written: a kind, a glob, a digest, a backend."""

    text: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy. `ceilings` by the name of the limit; lists that are empty rule nothing.
    `places` says where a key's value stands. `user_strings` is what becomes of strings from user
    memory: they may be shown, may not be read, or are redacted."""

    file: str
    sha256: str
    summary: str = ""
    owner: str = ""
    ceilings: Mapping[str, Ceiling] = field(default_factory=dict)
    allow_kinds: tuple[Entry, ...] = ()
    deny_kinds: tuple[Entry, ...] = ()
    allow_symbols: tuple[Entry, ...] = ()
    deny_symbols: tuple[Entry, ...] = ()
    user_strings: Literal["allow", "deny"] | Redact = "allow"
    plans: tuple[Entry, ...] = ()
    max_runs: int | None = None
    allow_backends: tuple[Entry, ...] = ()
    places: Mapping[str, Position] = field(default_factory=dict)

    def place(self, key: str) -> Position:
        """Where the value of `key` stands; the file as a whole when it is left out."""
        return self.places.get(key, Position(file=self.file))


def parse_policy(content: bytes, file: str) -> tuple[Policy | None, list[Finding]]:
    """The policy in `content`, or None and every reason why there is none."""
    document, findings = parse_document(content, file)
    if document is None:
        return None, findings
    faults = [finding for _, finding in check_schema(document, POLICY_SCHEMA, thorough=False)]
    if other := [finding for finding in faults if finding.code == "PP035"]:
        return None, other  # no policy at all: what else does not fit would mislead
    findings += faults
    if has_errors(findings):
        return None, findings
    collector = FindingCollector(document=document)
    policy = _build(DocumentReader(document.data, {}, collector))
    findings += collector.findings
    return (None if has_errors(findings) else policy), findings


def _build(reader: DocumentReader) -> Policy:
    document, data = reader.collector.document, reader.data
    return Policy(
        file=document.file,
        sha256=hashlib.sha256(document.source).hexdigest(),
        summary=data.get("summary", ""),
        owner=data.get("owner", ""),
        ceilings={key: _ceiling(reader, key) for key in data.get("limits", {})},
        allow_kinds=_entries(reader, "allow_kinds"),
        deny_kinds=_entries(reader, "deny_kinds"),
        allow_symbols=_entries(reader, "allow_symbols"),
        deny_symbols=_entries(reader, "deny_symbols"),
        user_strings=reader.quantity(("user_strings",), _user_strings, "allow"),
        plans=_entries(reader, "plans"),
        max_runs=data.get("max_runs"),
        allow_backends=_entries(reader, "allow_backends"),
        places={key: document.value_position((key,)) for key in data},
    )


def _ceiling(reader: DocumentReader, key: str) -> Ceiling:
    _, read = LIMIT_READERS[key]
    path = ("limits", key)
    value = reader.quantity(path, cast(Any, read), None)
    return Ceiling(value=value, position=reader.place(path))


def _entries(reader: DocumentReader, key: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(text=text, position=reader.place((key, index)))
        for index, text in enumerate(reader.get((key,), ()))
    )


def _user_strings(text: str) -> Literal["allow", "deny"] | Redact:
    if text in ("allow", "deny"):
        return cast(Literal["allow", "deny"], text)
    return parse_redact(text)
