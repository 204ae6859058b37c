"""probeplan new."""

from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.cli.discover.schema import modeline

KERNEL = ["--kernel", "debian:6.12"]


def test_a_plan_is_printed_and_passes_lint(tmp_path: Path, capsys) -> None:
    assert main(["new", "tcp_v4_connect", *KERNEL]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{modeline()}\n")
    assert 'attach: "function:tcp_v4_connect"' in text
    (tmp_path / "plan.yaml").write_text(text)
    assert main(["lint", str(tmp_path / "plan.yaml"), *KERNEL]) == 0


def test_a_file_is_overwritten_only_by_force(tmp_path: Path, capsys) -> None:
    file = tmp_path / "plan.yaml"
    assert main(["new", "-o", str(file), *KERNEL]) == 0
    assert f"probeplan run {file}" in file.read_text()
    file.write_text("mine")
    assert main(["new", "-o", str(file), *KERNEL]) == 2
    assert "--force" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main(["new", "-o", str(file), "--force", *KERNEL]) == 0
    assert main(["lint", str(file)]) == 0


@pytest.mark.parametrize(
    ("point", "code", "says"),
    [
        ("tracepoint:kvm:kvm_exit", 3, "no category"),
        ("tracepoint:*", 2, "narrow the glob"),
        ("a b", 2, "no attach point"),
    ],
)
def test_exit_codes(point: str, code: int, says: str, capsys) -> None:
    assert main(["new", point, *KERNEL]) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""
