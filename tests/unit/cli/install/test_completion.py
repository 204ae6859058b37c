"""Completion, in the shells that it is for."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from orchestrator.cli import COMMANDS, main
from orchestrator.cli.install import completion
from orchestrator.run.shipped import SITE_PLANS, shipped_plans
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
        f'_describe() {{ print -rl -- "${{(@P)2}}" }}; words=({words}); {function}'
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


def bash_words(*words: str, home: Path) -> list[str]:
    """What bash offers for the last of the words that it made of a line."""
    quoted = " ".join(map(shlex.quote, words))
    script = (
        f"source {COMPLETIONS / 'probeplan.bash'}; COMP_WORDS=({quoted}); "
        f'COMP_CWORD={len(words) - 1}; _probeplan; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    return shell("bash", "--norc", "-c", script, home=home)


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that knows one attach point."""
    program = tmp_path / "bin" / "probeplan"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase tracepoint:sched:x in "$3"*) echo tracepoint:sched:x ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setitem(CLEAN, "PATH", f"{program.parent}:{CLEAN['PATH']}")


@pytest.mark.parametrize("command", ["list", "new"])
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["tracep"], "tracepoint:sched:x"),
        (["tracepoint", ":"], "sched:x"),
        (["tracepoint", ":", "sc"], "sched:x"),
        (["tracepoint", ":", "sched", ":"], "x"),
        (["'tracepoint:sc"], "tracepoint:sched:x"),
    ],
)
@pytest.mark.usefixtures("points")
def test_bash_replaces_what_is_after_the_last_colon(
    command: str, words: list[str], offered: str, tmp_path: Path
) -> None:
    """Its words end at colons, except in a quote, which it replaces whole."""
    assert bash_words("probeplan", command, *words, home=tmp_path) == [offered]


def test_bash_replaces_what_is_after_an_equals_sign(tmp_path: Path) -> None:
    for line, offered in (
        ("probeplan run opens --set failed_only = t", "true"),
        ("probeplan run --target comm = x opens --ba", "--backend"),
    ):
        assert bash_words(*line.split(), home=tmp_path) == [offered]


# ---------------------------------------------------------------- the site's plans


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a site's plans, in which copies of the scripts look."""
    folder, scripts = tmp_path / "site", tmp_path / "scripts"
    folder.mkdir()
    scripts.mkdir()
    for file in COMPLETIONS.iterdir():
        text = file.read_text()
        assert str(SITE_PLANS) in text
        (scripts / file.name).write_text(text.replace(str(SITE_PLANS), str(folder)))
    monkeypatch.setattr(f"{__name__}.COMPLETIONS", scripts)
    return folder


@pytest.mark.parametrize("complete", [complete_in_bash, complete_in_fish])
def test_plans_and_bundles_of_the_site_are_offered(complete, site: Path, tmp_path: Path) -> None:
    """Those that there are when a key is pressed; other files are no plans."""
    assert "slow-io" in complete("probeplan run slow-", tmp_path)
    for name in ("zzsite.yaml", "zzold.ppb", "zzreadme.txt"):
        (site / name).touch()
    assert sorted(complete("probeplan run zz", tmp_path)) == ["zzold", "zzsite"]
    assert complete("probeplan prepare zzs", tmp_path) == ["zzsite"]


def test_names_of_the_site_are_not_evaluated(site: Path, tmp_path: Path) -> None:
    (site / "$(touch made).yaml").touch()
    assert complete_in_bash("probeplan run $", tmp_path) == ["$(touch made)"]
    assert not (tmp_path / "made").exists()


def test_zsh_offers_plans_of_the_site_once(site: Path, tmp_path: Path) -> None:
    for name in ("mine.yaml", "mine.ppb", "with:colon.yaml"):
        (site / name).touch()
    offered = complete_in_zsh("_probeplan_plan_files", "probeplan run", tmp_path)
    assert offered[:2] == ["mine", "with\\:colon"]
    (site / "mine.yaml").unlink()
    (site / "mine.ppb").unlink()
    (site / "with:colon.yaml").unlink()
    offered = complete_in_zsh("_probeplan_plan_files", "probeplan run", tmp_path)
    assert len([text for text in offered if text]) == len(shipped_plans())


@pytest.mark.parametrize("name", completion.FILE_NAMES.values())
def test_each_plan_has_a_line(name: str) -> None:
    """A new plan changes no line of another."""
    text = (COMPLETIONS / name).read_text()
    function = r"^(?:function )?_probeplan_plan_files(?:\(\) \{)?$.*?^(?:}|end)$"
    [offered] = re.findall(function, text, re.DOTALL | re.MULTILINE)
    first = [re.split("[':]", line.strip().removeprefix("'"))[0] for line in offered.splitlines()]
    assert sorted(word for word in first if word in shipped_plans()) == sorted(shipped_plans())
