"""The man pages, made of what `--help` says: one for probeplan and one for each command."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.cli import COMMANDS, PROGRAM, make_whole_parser

__all__ = ["list_man_pages"]

ROOT = Path(__file__).resolve().parent.parent
_MAN = ROOT / "man"
_TITLES = {"examples": "EXAMPLES", "exit codes": "EXIT STATUS"}
_FILES = {
    "/etc/probeplan/policy.yaml": "what this host allows plans to do (probeplan-policy(1))",
    "/var/cache/probeplan": "programs that were compiled, and plans that were prepared",
    "/var/lib/probeplan": "results of unattended runs",
}


def list_man_pages() -> dict[Path, str]:
    """The text of each page, by its path."""
    parser = make_whole_parser()
    commands = _subcommands(parser)
    pages = {f"{PROGRAM}-{name}": _command_page(name, command) for name, command in commands}
    pages[PROGRAM] = _program_page(parser)
    return {_MAN / f"{name}.1": text for name, text in pages.items()}


def _subcommands(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return list(action.choices.items())
    return []


def _program_page(parser: argparse.ArgumentParser) -> str:
    lines = [*_head(PROGRAM, "kernel probes as code"), _synopsis(f"{PROGRAM} COMMAND [options]")]
    lines += [".SH DESCRIPTION", _text(parser.description or ""), *_prose(parser)]
    lines.append(".SH COMMANDS")
    for name, (_, summary) in COMMANDS.items():
        lines += [".TP", rf"\fB{_literal(f'{PROGRAM}-{name}')}\fR(1)", _text(summary)]
    lines += [*_options(parser), *_sections(parser), ".SH FILES"]
    for path, meaning in _FILES.items():
        lines += [".TP", rf"\fI{_literal(path)}\fR", _text(meaning)]
    return "\n".join([*lines, *_see_also(*(f"{PROGRAM}-{name}" for name in COMMANDS))])


def _command_page(name: str, parser: argparse.ArgumentParser) -> str:
    summary = COMMANDS[name][1]
    lines = [*_head(f"{PROGRAM}-{name}", summary), _synopsis(_usage(parser))]
    lines += [".SH DESCRIPTION", _text(parser.description or ""), *_prose(parser)]
    lines += _options(parser)
    for inner, command in _subcommands(parser):
        lines += [f".SH {_literal(inner.upper())}", _synopsis_line(_usage(command))]
        lines += [_text(command.description or ""), *_prose(command), *_options(command, ".SS")]
        lines += _sections(command, ".SS")
    lines += _sections(parser)
    if ".SH EXIT STATUS" not in lines:
        lines += [".SH EXIT STATUS", rf"As of all commands: see \fB{PROGRAM}\fR(1)."]
    return "\n".join([*lines, *_see_also(PROGRAM)])


# ---------------------------------------------------------------- parts


def _head(name: str, summary: str) -> list[str]:
    heading = re.search(r"^## (\S+) \((\S+)\)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    version, date = heading.groups() if heading else ("", "")
    title = _literal(name.upper())
    return [
        '.\\" Generated from --help by scripts/generate_docs.py: see `make docs`.',
        f'.TH {title} 1 "{date}" "{PROGRAM} {version}" "User Commands"',
        ".SH NAME",
        rf"{_literal(name)} \- {_text(summary)}",
    ]


def _usage(parser: argparse.ArgumentParser) -> str:
    if parser.usage:
        return parser.usage
    formatter = parser._get_formatter()
    positionals = (
        "COMMAND"
        if isinstance(action, argparse._SubParsersAction)
        else formatter._format_args(action, _metavar(action))
        for action in parser._get_positional_actions()
    )
    return " ".join([parser.prog, "[options]", *positionals])


def _synopsis(usage: str) -> str:
    return f".SH SYNOPSIS\n{_synopsis_line(usage)}"


def _synopsis_line(usage: str) -> str:
    """The program and its command in bold."""
    words = usage.split(" ")
    count = next((i for i, word in enumerate(words) if not word.islower()), len(words))
    program, rest = " ".join(words[:count]), " ".join(words[count:])
    return rf"\fB{_literal(program)}\fR {_literal(rest)}".rstrip()


def _options(parser: argparse.ArgumentParser, macro: str = ".SH") -> Iterator[str]:
    for group in parser._action_groups:
        shown = [action for action in group._group_actions if _is_shown(action)]
        if not shown:
            continue
        title = {"positional arguments": "arguments"}.get(group.title or "", group.title or "")
        yield f"{macro} {_literal(title.upper() if macro == '.SH' else title)}"
        for action in shown:
            yield from (".TP", _invocation(parser, action), _text(_help(parser, action)))


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and not isinstance(action, argparse._SubParsersAction)


def _invocation(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    formatter = parser._get_formatter()
    if not action.option_strings:
        return rf"\fI{_literal(formatter._format_args(action, _metavar(action)))}\fR"
    flags = ", ".join(rf"\fB{_literal(flag)}\fR" for flag in action.option_strings)
    if action.nargs == 0:
        return flags
    return rf"{flags} \fI{_literal(formatter._format_args(action, _metavar(action)))}\fR"


def _metavar(action: argparse.Action) -> str:
    if action.metavar:
        return str(action.metavar)
    if action.choices:
        return "|".join(map(str, action.choices))
    return action.dest.upper() if action.option_strings else action.dest


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""


# ---------------------------------------------------------------- epilogs


def _blocks(parser: argparse.ArgumentParser) -> list[str]:
    return [block for block in re.split(r"\n{2,}", (parser.epilog or "").strip("\n")) if block]


def _titled(block: str) -> tuple[str, str] | None:
    """The section of a block such as "exit codes:" with its lines; None of other text."""
    for title, section in _TITLES.items():
        if block.startswith(f"{title}:"):
            rest = block[len(title) + 1 :]
            return section, rest.strip("\n") if rest.startswith("\n") else rest.strip()
    return None


def _prose(parser: argparse.ArgumentParser) -> Iterator[str]:
    for block in _blocks(parser):
        if _titled(block) is None:
            yield from (".PP", _body(block))


def _sections(parser: argparse.ArgumentParser, macro: str = ".SH") -> Iterator[str]:
    for block in _blocks(parser):
        if (titled := _titled(block)) is not None:
            yield from (f"{macro} {titled[0]}", _body(titled[1]))


def _body(text: str) -> str:
    """Lines as they are where some are indented or in columns, else a paragraph."""
    lines = text.splitlines()
    if any(re.search(r"^ | {2,}\S", line) for line in lines):
        return "\n".join([".nf", *map(_literal_line, lines), ".fi"])
    return "\n".join(map(_text, lines))


def _see_also(*names: str) -> list[str]:
    shown = ",\n".join(rf".BR {_literal(name)} (1)" for name in names)
    return [".SH SEE ALSO", shown, ""]


# ---------------------------------------------------------------- roff


def _literal(text: str) -> str:
    """Text in which each character is itself: hyphens, too, can be searched for and copied."""
    return text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")


def _text(text: str) -> str:
    """A line or a paragraph that does not begin with what roff would take for a request."""
    return _guard(_literal(" ".join(text.split())))


def _literal_line(line: str) -> str:
    return _guard(_literal(line)) if line.strip() else ".sp"


def _guard(text: str) -> str:
    return rf"\&{text}" if text.startswith(".") else text
