"""Plans are compiled ahead into the cache, and what cannot be is reported."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.backends import cache_directory as directories
from orchestrator.backends.bcc.compiler import clang
from orchestrator.cli import main
from orchestrator.cli.install import prepare
from orchestrator.kernel.facts import KernelFacts
from orchestrator.run import shipped
from tests.support.recorded import HEAD, recorded

PLAN = HEAD + "probes:\n  p:\n    attach: function:vfs_read\n    emit: {got: retval}\n"


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KernelFacts:
    """6.1, which can probe functions; nothing is mounted, and nothing was compiled before."""
    monkeypatch.setattr(clang, "_latest", {})
    facts = recorded("6.1")
    monkeypatch.setattr(prepare, "live_facts", lambda: facts)
    monkeypatch.setattr(prepare, "mount_tracefs", lambda: None)
    monkeypatch.setattr(prepare, "policies_in_force", lambda _args: ())
    monkeypatch.setattr(os, "nice", lambda _step: 19)
    monkeypatch.setattr(directories, "SYSTEM_DIRECTORY", tmp_path / "probeplan")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return facts


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the compiler is given."""
    usual = clang.compile_texts
    texts: list[str] = []

    def compile_texts(jobs: list[tuple[str, list[str]]]) -> object:
        texts.extend(text for text, _ in jobs)
        return usual(jobs)

    monkeypatch.setattr(clang, "compile_texts", compile_texts)
    return texts


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., str]:
    def write(name: str = "mine", text: str = PLAN) -> str:
        file = tmp_path / f"{name}.yaml"
        file.write_text(text.replace("name: t,", f"name: {name},"))
        return str(file)

    return write


def test_a_plan_is_compiled_once(
    plan: Callable[..., str], compiled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["prepare", plan()]) == 0
        assert capsys.readouterr().out == "1 plans: 1 prepared\n"
    assert len(compiled) == 1


def test_runs_with_a_command_have_another_program(
    plan: Callable[..., str], compiled: list[str]
) -> None:
    assert main(["prepare", plan(), "--with-command"]) == 0
    assert len(compiled) == 2
    assert compiled[0] != compiled[1]


def test_a_run_finds_what_was_prepared(plan: Callable[..., str], compiled: list[str]) -> None:
    """By the digest of the text that it would compile."""
    from orchestrator.plan.load import load_plan
    from orchestrator.run.prepare import prepare as prepare_run

    assert main(["prepare", plan()]) == 0
    choice = prepare_run(load_plan(Path(plan()).read_bytes()), recorded("6.1")).choice
    assert choice.artifact.backend == "bcc"
    choice.backend.try_artifact(choice.artifact)
    assert len(compiled) == 1


def test_what_a_named_plan_lacks_is_reported_and_the_others_are_prepared(
    plan: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = plan("lacking", text=PLAN.replace("vfs_read", "no_such_function"))
    assert main(["prepare", lacking, plan(), "--json"]) == 3
    first, second = json.loads(capsys.readouterr().out)
    assert (first["state"], second["state"]) == ("unsupported", "prepared")
    assert "no_such_function" in first["reason"]


def test_without_names_what_the_kernel_lacks_is_no_failure(
    plan: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = plan("lacking", text=PLAN.replace("vfs_read", "no_such_function"))
    monkeypatch.setattr(prepare, "shipped_plans", lambda: {lacking: 0, plan(): 0})
    assert main(["prepare"]) == 0
    assert capsys.readouterr().out.endswith("2 plans: 1 unsupported, 1 prepared\n")


def test_the_site_s_plans_are_prepared_too_and_a_broken_one_keeps_the_others_from_nothing(
    plan: Callable[..., str],
    compiled: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "ours.yaml").write_text(PLAN.replace("name: t,", "name: ours,"))
    (folder / "broken.yaml").write_text("{")
    (folder / "packed.ppb").write_text("")
    (folder / "opens.ppb").write_text("")  # a bundle hides the shipped plan, and has its programs
    monkeypatch.setattr(shipped, "SITE_PLANS", folder)
    monkeypatch.setattr(prepare, "shipped_plans", lambda: {"opens": folder})
    assert main(["prepare", "--json"]) == 3
    done = {one["plan"]: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert done == {"broken": "failed", "ours": "prepared"}
    assert compiled


def test_no_plan_is_begun_after_the_time(
    plan: Callable[..., str], compiled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", plan(), "--timeout", "1ns"]) == 3
    assert "mine: no time: --timeout was over" in capsys.readouterr().out
    assert compiled == []


def test_a_compiler_that_fails_is_reported(
    plan: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object) -> None:
        raise clang.CompileError("out of memory")

    monkeypatch.setattr(clang, "compile_texts", fail)
    assert main(["prepare", plan()]) == 3
    assert "failed: " in capsys.readouterr().out


def test_an_invalid_plan_compiles_nothing(
    plan: Callable[..., str], compiled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", plan(), plan("broken", text="kind: ProbePlan\n")]) == 2
    assert compiled == []
    assert "broken.yaml:" in capsys.readouterr().err


def test_the_compiler_runs_at_the_lowest_priority(
    plan: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    monkeypatch.setattr(os, "nice", steps.append)
    assert main(["prepare", plan()]) == 0
    assert steps == [19]


def test_settings_are_of_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--set", "a=1"]) == 2
    assert "name the plan" in capsys.readouterr().err
