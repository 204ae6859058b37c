"""Find words that docs/style.md asks to avoid. Part of `make check`.

usage: python scripts/check_words.py [PATH ...]      files or folders; default: all

Prints `file:line: 'word': write …` for each and exits with 1 if there is one. The table between the
markers in docs/style.md is the list: patterns in the first column, advice in the second.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STYLE = ROOT / "docs" / "style.md"
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".json", ".toml", ".h", ".c", ".sh", ".service", ".rst"}
NAMES = {"Makefile", "run"}
#: Verbatim from elsewhere, or the list itself.
EXEMPT = ("docs/style.md", "LICENSE", "kernels/")
ALLOWED = "words: ok"
_ROW = re.compile(r"^\| (`.*`) \| (.*) \|$")

Rule = tuple[re.Pattern[str], str]


def main(paths: Sequence[str]) -> int:
    """The exit code: 0 without findings, 1 with."""
    rules = read_rules(STYLE.read_text())
    files = list(list_files())
    if paths:
        roots = [Path(path).resolve() for path in paths]
        files = [file for file in files if any(file.is_relative_to(root) for root in roots)]
    findings = [line for file in files for line in check_file(file, rules, ROOT)]
    print("\n".join(findings), end="\n" if findings else "")
    return 1 if findings else 0


def read_rules(style: str) -> list[Rule]:
    """The rules in the marked table of docs/style.md, as (pattern, advice). Raises ValueError when
    there are none."""
    table = style.partition("<!-- words: begin -->")[2].partition("<!-- words: end -->")[0]
    rows = [match.groups() for line in table.splitlines() if (match := _ROW.match(line))]
    rules = [
        (re.compile(rf"\b(?:{word})\b", re.IGNORECASE), advice)
        for words, advice in rows
        for word in re.findall(r"`([^`]+)`", words.replace(r"\|", "|"))
    ]
    if not rules:
        raise ValueError("docs/style.md has no table of words")
    return rules


def list_files() -> Iterator[Path]:
    """The tracked text files that the rules apply to."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        is_text = path.suffix in SUFFIXES or path.name in NAMES
        if is_text and path.is_file() and not name.startswith(EXEMPT):
            yield path


def check_file(path: Path, rules: Sequence[Rule], root: Path) -> Iterator[str]:
    """One line per finding, with the path below `root`."""
    shown = path.relative_to(root)
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if ALLOWED in line:
            continue
        for pattern, advice in rules:
            for match in pattern.finditer(line):
                if match[0].isupper():  # a constant, such as the user NOBODY
                    continue
                yield f"{shown}:{number}: {match[0]!r}: write {advice}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
