"""Every command that the documentation shows is one that the programs take.

Commands that neither attach nor take long are run; the others go through the parser of the command
line. Words such as PLAN and FILE stand for what the reader has.
"""

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli import COMMANDS, main
from tests.support.paths import ROOT
from tests.unit.docs.pages import PAGES, blocks, code_spans

DOCUMENTS = (*PAGES, ROOT / "README.md", ROOT / "plans/README.md", ROOT / "examples/README.md")
MAKE_TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _shown(page: Path) -> Iterator[str]:
    for block in blocks(page, "console", "sh"):
        prompts = block.language == "sh" or "$ " in block.text
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield line[2:]
            elif prompts and block.language == "sh" and line and not line.startswith("#"):
                yield line
    for span in code_spans(page):
        if re.match(r"(?:probeplan|make|python|scripts/\S+|\.ci/\S+) ?\b", span) and " " in span:
            yield span


COMMANDS_SHOWN = sorted({(page.name, text) for page in DOCUMENTS for text in _shown(page)})


def _variants(text: str) -> list[list[str]]:
    """The words of a command; one list for each of the choices that are written `show|check`."""
    text = text.replace("\\|", "|").replace("…", "")
    text = re.sub(r"\[([^\]]*)\]", "", text)  # what may be left out
    text = re.sub(r"\s[|>].*$|\s#.*$", "", text)  # what the shell does with its output
    words = shlex.split(text)
    choices = [word.split("|") if re.fullmatch(r"\w+(\|\w+)+", word) else [word] for word in words]
    most = max(map(len, choices), default=0)
    return [[choice[i % len(choice)] for choice in choices] for i in range(most)]


def _parse(words: list[str]) -> None:
    """As `probeplan` would."""
    if not words or words[0].startswith("-"):
        return
    assert words[0] in COMMANDS, f"no command {words[0]!r}"
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[words[0]][0]).add_arguments(parser)
    if words[1:] not in ([], ["--help"]) or words[0] not in _NEED_ARGUMENTS:
        parser.parse_args([word for word in words[1:] if word != "--help"])


#: Programs that are not ours, and not looked into.
OTHERS = {"apt", "apt-get", "dpkg", "echo", "git", "mkdir", "pipx", "ssh-keygen"}
#: In prose a command may be named without what it needs.
_NEED_ARGUMENTS = {"completion", "explain", "run", "stop", "pause", "resume", "policy"}


@pytest.mark.parametrize(("page", "text"), COMMANDS_SHOWN)
def test_a_command_is_one(
    page: str, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for variant in _variants(text):
        assigned = [word for word in variant if re.fullmatch(r"[A-Z_]+=.*", word)]
        program, *rest = [word for word in variant if word not in assigned]
        if program == "probeplan":
            _parse(rest)
            if _runs_here(rest):
                assert main(rest) == 0, capsys.readouterr()
        elif program == "make":
            assert set(rest) <= MAKE_TARGETS, page
            _check_paths([word for text in assigned for word in text.partition("=")[2].split()])
        elif program in ("python", "python3", ".venv/bin/python"):
            _check_python(rest)
        elif program == "ansible-playbook":
            _check_playbooks(rest)
        elif program.startswith(("scripts/", ".ci/", "examples/")):
            assert (ROOT / program).exists()
        elif program.startswith("ansible-"):
            assert (Path(sys.executable).parent / program).exists()
            _check_paths(rest)
        else:
            assert program in OTHERS, f"{page}: {text}"


def _runs_here(words: list[str]) -> bool:
    """Whether a command needs neither root, nor time, nor files that only the reader has."""
    if words[:1] == ["lint"] and "--kernel" not in words and "--policy" not in words:
        return "--explain" in words or any((ROOT / word).exists() for word in words[1:])
    return words[1:] == ["--help"] or words in (["--help"], ["--version"])


def _check_playbooks(rest: list[str]) -> None:
    """Those of the collection are there."""
    for word in rest:
        if word.startswith("probeplan.fleet."):
            assert (ROOT / "ansible" / "playbooks" / f"{word.rpartition('.')[2]}.yml").exists()


def _check_python(rest: list[str]) -> None:
    if rest[0] == "-m":
        assert rest[1] in ("pip", "venv") or importlib.util.find_spec(rest[1]), rest
    else:
        _check_paths(rest[:1])


def _check_paths(words: list[str]) -> None:
    folders = ("tests/", "scripts/", "plans/", "ansible/", "examples/")
    paths = [word for word in words if word.startswith(folders)]
    assert all((ROOT / path).exists() for path in paths), paths


def test_commands_were_found() -> None:
    texts = [text for _, text in COMMANDS_SHOWN]
    assert "make quick" in texts
    assert any(text.startswith("probeplan run ") for text in texts)
    assert any(text.startswith("probeplan lint --explain") for text in texts)
