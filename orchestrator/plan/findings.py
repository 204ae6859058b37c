"""Findings: what is wrong with a plan, where, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Position:
    """A place in a file: `line` and `column` count from 1; 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def shifted(self, columns: int) -> "Position":
        """The place `columns` characters further right on the same line."""
        return Position(file=self.file, line=self.line, column=self.column + columns)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


NOWHERE = Position(file="<plan>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem: a stable code (`PP0xx`), its place, what is wrong, and a hint at the cure."""

    code: str
    message: str
    position: Position = NOWHERE
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{self.position}: {self.severity}[{self.code}]: {self.message}{hint}"


def of_command_line(message: str, hint: str = "") -> Finding:
    """What is wrong with a command line, or with what it asks for."""
    position = Position(file="<command line>")
    return Finding(code="PP092", message=message, position=position, hint=hint)


class PlanError(Exception):
    """A plan that cannot be used; `findings` says why, all at once."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda f: (f.position, f.code)))
        super().__init__("\n".join(map(str, self.findings)))


class HostError(Exception):
    """This host cannot run this plan (exit code 3); `findings` say why and what to do."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


def has_errors(findings: Iterable[Finding]) -> bool:
    """True when a finding is an error and not only a warning."""
    return any(finding.severity == "error" for finding in findings)
