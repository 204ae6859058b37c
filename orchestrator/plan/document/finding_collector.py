"""Collects the findings of the stages between document and plan."""

from collections.abc import Iterable
from dataclasses import field

from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.parse import Document
from orchestrator.plan.findings import Finding, Position, Severity
from orchestrator.values import dataclass


@dataclass(slots=True)
class FindingCollector:
    """Collects findings. `useless` holds the paths that the schema refused: what is missing below
    them was reported already."""

    document: Document
    refused_paths: frozenset[DocumentPath] = frozenset()
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        code: str,
        message: str,
        position: Position,
        hint: str = "",
        severity: Severity = "error",
    ) -> None:
        """Add one finding."""
        self.findings.append(
            Finding(code=code, message=message, position=position, hint=hint, severity=severity)
        )

    def extend(self, findings: Iterable[Finding]) -> None:
        """Add findings that an exception carried."""
        self.findings.extend(findings)

    def has_refused(self, path: DocumentPath) -> bool:
        """True when something at or below `path` was refused, so that its absence means nothing."""
        return any(bad[: len(path)] == path for bad in self.refused_paths)
