"""What a start imports: nothing of unattended runs for others, and for them nothing that only the
end or a refusal needs."""

import subprocess
import sys

import pytest

NEEDED_LATER = (
    *("datetime", "decimal", "fractions", "structlog", "numpy", "rich", "yaml", "hmac"),
    *("orchestrator.cli.unattended.report", "orchestrator.run.unattended.unmade"),
    *("orchestrator.run.unattended.quarantine", "orchestrator.run.unattended.result_pruning"),
    *("orchestrator.run.report.records", "orchestrator.run.report.host_identity"),
    *("orchestrator.plan.load", "orchestrator.run.prepare", "orchestrator.run.loop"),
)


@pytest.mark.parametrize(
    ("module", "beginnings"),
    [
        ("orchestrator.cli.run", ("orchestrator.run.unattended", *NEEDED_LATER)),
        ("orchestrator.cli.unattended.flow", NEEDED_LATER),
    ],
)
def test_a_start_imports_only_what_it_needs(module: str, beginnings: tuple[str, ...]) -> None:
    code = f"import sys, {module}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = done.stdout.split()
    assert module in imported
    assert [name for name in imported if name.startswith(beginnings)] == []
