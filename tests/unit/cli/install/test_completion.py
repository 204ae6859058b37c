"""Completion, in the shells that it is for."""

import subprocess
from pathlib import Path

import pytest

from orchestrator.cli import COMMANDS, main
from orchestrator.cli.install import completion
from orchestrator.run.shipped import shipped_plans
from tests.support.paths import ROOT

COMPLETIONS = ROOT / "completions"
CLEAN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def shell(*words: str, home: Path) -> list[str]:
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env={**CLEAN, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def complete_in_bash(line: str, home: Path) -> list[str]:
    """What bash offers for the last word of a line, by the function that it is given for it."""
    words = line.split(" ")
    quoted = " ".join(word or "''" for word in words)
    script = (
        f"source {COMPLETIONS / 'probeplan.bash'}; "
        'function_of() { complete -p probeplan | sed "s/.*-F \\([^ ]*\\).*/\\1/"; }; '
        f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        '"$(function_of)"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return shell("bash", "--norc", "-c", script, home=home)


def complete_in_fish(line: str, home: Path) -> list[str]:
    """The same in fish, without descriptions."""
    script = f"source {COMPLETIONS / 'probeplan.fish'}; complete -C '{line}'"
    offered = shell("fish", "--no-config", "-c", script, home=home)
    return [text.partition("\t")[0] for text in offered]


@pytest.mark.parametrize("complete", [complete_in_bash, complete_in_fish])
def test_commands_options_choices_plans_and_files_are_offered(complete, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    assert set(COMMANDS) <= set(complete("probeplan ", tmp_path))
    assert complete("probeplan comp", tmp_path) == ["completion"]
    assert complete("probeplan run --ba", tmp_path) == ["--backend"]
    assert set(complete("probeplan run --backend ", tmp_path)) >= {"auto", "bcc", "tracefs"}
    assert set(complete("probeplan completion ", tmp_path)) == {"bash", "zsh", "fish"}
    offered = set(complete("probeplan run ", tmp_path))
    assert offered >= {*shipped_plans(), "mine.yaml"}
    assert "mine.yaml" in complete("probeplan run --log mi", tmp_path)


def test_zsh_takes_the_function_for_the_program(tmp_path: Path) -> None:
    script = (
        f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump; "
        "print $_comps[probeplan]; autoload +X _probeplan && print loaded"
    )
    assert shell("zsh", "-f", "-c", script, home=tmp_path) == ["_probeplan", "loaded"]
    names = (COMPLETIONS / "_probeplan").read_text()
    assert all(plan in names for plan in shipped_plans())


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_is_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", name]) == 0
    assert capsys.readouterr().out == (COMPLETIONS / completion.FILE_NAMES[name]).read_text()


def test_an_installation_without_the_file_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(completion, "_DIRECTORIES", (tmp_path,))
    assert main(["completion", "fish"]) == 3
    error = capsys.readouterr().err
    assert f"{tmp_path}/probeplan.fish: error[PP001]" in error
    assert "install probeplan again" in error


def complete_in_zsh(function: str, words: str, home: Path) -> list[str]:
    """What a function of ours hands to `_describe`, whose descriptions follow a colon."""
    script = (
        f"source {COMPLETIONS / '_probeplan'} 2>/dev/null; _files() {{ }}; "
        f'_describe() {{ print -l -- "${{(@P)2}}" }}; words=({words}); {function}'
    )
    return shell("zsh", "-f", "-c", script, home=home)


def test_zsh_and_fish_show_a_plans_question(tmp_path: Path) -> None:
    question = "How long do tasks wait for a CPU?"
    assert f"run-queue-latency:{question}" in complete_in_zsh(
        "_probeplan_plan_files", "probeplan run", tmp_path
    )
    script = f"source {COMPLETIONS / 'probeplan.fish'}; complete -C 'probeplan run run-queue-l'"
    assert f"run-queue-latency\t{question}" in shell(
        "fish", "--no-config", "-c", script, home=tmp_path
    )


@pytest.mark.parametrize("complete", [complete_in_bash, complete_in_fish])
def test_params_of_the_plan_on_the_line_are_offered(complete, tmp_path: Path) -> None:
    assert complete("probeplan run slow-io --set thr", tmp_path) == ["threshold=10ms"]
    offered = complete("probeplan explain fs-latency --set ", tmp_path)
    assert {"fs=ext4", "fs=xfs", "threshold=10ms"} <= set(offered)
    assert set(complete("probeplan run opens --set ", tmp_path)) >= {
        "failed_only=false",
        "failed_only=true",
    }
    assert "threshold=10ms" not in complete("probeplan run opens --set ", tmp_path)


def test_params_in_zsh_have_their_summary(tmp_path: Path) -> None:
    words = "probeplan run slow-io --set ''"
    offered = complete_in_zsh("_probeplan_plan_params", words, tmp_path)
    assert [text.partition(":")[0] for text in offered] == ["threshold=10ms"]


@pytest.mark.parametrize("complete", [complete_in_bash, complete_in_fish])
def test_a_default_that_is_a_glob_stays_one_word(complete, tmp_path: Path) -> None:
    [offered] = complete("probeplan run function-calls --set wh", tmp_path)
    assert offered.replace("\\", "") == "what=entry:vfs_r*"


@pytest.mark.parametrize("complete", [complete_in_bash, complete_in_fish])
def test_words_of_plans_are_names_and_tools(complete, tmp_path: Path) -> None:
    assert complete("probeplan plans memle", tmp_path) == ["memleak"]
    assert complete("probeplan plans run-queue-la", tmp_path) == ["run-queue-latency"]


@pytest.mark.parametrize("complete", [complete_in_bash, complete_in_fish])
def test_ids_of_runs_are_offered(complete, tmp_path: Path, monkeypatch) -> None:
    """By their journals; a copy of the script looks into another folder."""
    (tmp_path / "runs").mkdir()
    for name in ("6b03c24a150200.journal", "6b03c24a150200.socket", "77aa.journal"):
        (tmp_path / "runs" / name).touch()
    for file in COMPLETIONS.iterdir():
        text = file.read_text().replace("/run/probeplan", f"{tmp_path}/runs")
        (tmp_path / file.name).write_text(text)
    monkeypatch.setattr(f"{__name__}.COMPLETIONS", tmp_path)
    for command in ("stop", "pause", "resume"):
        assert complete(f"probeplan {command} 6b", tmp_path) == ["6b03c24a150200"]


@pytest.mark.parametrize("complete", [complete_in_bash, complete_in_fish])
@pytest.mark.parametrize("command", ["list", "new"])
def test_attach_points_are_those_that_the_program_lists(
    complete, command: str, tmp_path: Path, monkeypatch
) -> None:
    """The shells ask it, with what is typed so far."""
    program = tmp_path / "bin" / "probeplan"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1 $2" = "list --complete" ] && echo "${3}sched:"\n')
    program.chmod(0o755)
    monkeypatch.setitem(CLEAN, "PATH", f"{program.parent}:{CLEAN['PATH']}")
    offered = complete(f"probeplan {command} tracepoint:", tmp_path)
    assert "tracepoint:sched:" in offered


def test_bash_replaces_what_is_after_the_last_colon(tmp_path: Path, monkeypatch) -> None:
    """Its words end at colons."""
    program = tmp_path / "bin" / "probeplan"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$3" = tracepoint:sc ] && echo tracepoint:sched:x\n')
    program.chmod(0o755)
    monkeypatch.setitem(CLEAN, "PATH", f"{program.parent}:{CLEAN['PATH']}")
    script = (
        f"source {COMPLETIONS / 'probeplan.bash'}; COMP_LINE='probeplan list tracepoint:sc'; "
        "COMP_POINT=${#COMP_LINE}; _probeplan_points sc; true"
    )
    assert shell("bash", "--norc", "-c", script, home=tmp_path) == ["sched:x"]
