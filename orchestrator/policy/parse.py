"""From the bytes of a policy to its values, by the document reader that plans are read by."""

import hashlib
from typing import Any, Literal, cast

from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.document.parse import parse_document
from orchestrator.plan.document.schema import POLICY_SCHEMA, check_schema
from orchestrator.plan.findings import Finding, has_errors
from orchestrator.plan.probes import parse_redact
from orchestrator.plan.reader import DocumentReader
from orchestrator.policy.model import Ceiling, ListEntry, Policy, SignatureRules, UserStrings

__all__ = ["parse_policy"]


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
