"""Findings: what is wrong with a plan, where, and what to do about it."""

from collections.abc import Iterable, Sequence
from typing import Literal

from orchestrator.plan.printable import make_printable_lines, make_printable_name
from orchestrator.values import dataclass

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position in a file: `line` and `column` count from 1; 0 means the file as a whole. They are
    ordered by file, then by place in it."""

    file: str
    line: int = 0
    column: int = 0

    def __lt__(self, other: "Position") -> bool:
        mine = (self.file, self.line, self.column)
        return mine < (other.file, other.line, other.column)

    def shifted(self, columns: int) -> "Position":
        """The position `columns` characters further right on the same line."""
        return Position(file=self.file, line=self.line, column=self.column + columns)

    def __str__(self) -> str:
        file = make_printable_name(self.file)
        return f"{file}:{self.line}:{self.column}" if self.line else file


NOWHERE = Position(file="<plan>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem: a stable code (`PP0xx`), its position, what is wrong, and a hint at the cure."""

    code: str
    message: str
    position: Position = NOWHERE
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        hint = f"\n  hint: {_indent(self.hint)}" if self.hint else ""
        message = _indent(self.message)
        return f"{self.position}: {self.severity}[{self.code}]: {message}{hint}"


def _indent(text: str) -> str:
    """No line but the first begins at the margin, where a CI system looks for commands."""
    return make_printable_lines(text).replace("\n", "\n  ")


def of_command_line(message: str, hint: str = "") -> Finding:
    """A finding about the command line, or about what it asks for."""
    position = Position(file="<command line>")
    return Finding(code="PP092", message=message, position=position, hint=hint)


class PlanError(Exception):
    """A plan that cannot be used; `findings` has every reason."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda f: (f.position, f.code)))
        super().__init__("\n".join(map(str, self.findings)))


class HostError(Exception):
    """This host cannot run this plan (exit code 3); `findings` has every reason."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


#: Findings that are about this kernel or host, not about the plan: exit code 3 rather than 2.
HOST_CODES = frozenset({"PP080", "PP081", "PP082", "PP083", "PP089"})


def plan_error(code: str, message: str, position: Position, hint: str = "") -> PlanError:
    """One finding as the exception that carries it."""
    return PlanError([Finding(code=code, message=message, position=position, hint=hint)])


def is_about_host(error: PlanError) -> bool:
    """True when all findings are about this kernel or host."""
    return all(finding.code in HOST_CODES for finding in error.findings)


def raise_findings(findings: Sequence[Finding]) -> None:
    """Raise HostError where all findings are about this kernel or host, else PlanError; nothing
    where there are none."""
    if findings:
        error = PlanError(findings)
        raise HostError(error.findings) if is_about_host(error) else error


def has_errors(findings: Iterable[Finding]) -> bool:
    """True when a finding is an error and not only a warning."""
    return any(finding.severity == "error" for finding in findings)
