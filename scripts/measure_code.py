"""How the package is laid out, in figures: folders, functions, names, comments, docstrings, tests.

usage: python scripts/measure_code.py [PACKAGE [TESTS]]

Prints one `name: value` line per figure. Reads files only; runs on any Python package.
"""

import ast
import io
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main(package: str = "orchestrator", tests: str = "tests") -> None:
    """Print the figures of `package`, and how many of its modules `tests` has a file for."""
    modules = {path: ast.parse(path.read_text()) for path in sorted(Path(package).rglob("*.py"))}
    for name, value in figures(modules, Path(tests)):
        print(f"{name}: {value}")


def figures(modules: dict[Path, ast.Module], tests: Path) -> Iterator[tuple[str, str]]:
    """All figures of the modules (path to syntax tree), in the order in which they are printed."""
    code = {path: tree for path, tree in modules.items() if path.name != "__init__.py"}
    per_folder = Counter(path.parent for path in code)
    yield "modules", str(len(code))
    yield "modules per folder, median / max", _median_max(list(per_folder.values()))
    lengths = [len(path.read_text().splitlines()) for path in code]
    yield "lines per module, median / 90th percentile", _median_p90(lengths)
    functions = [node for tree in code.values() for node in _functions(tree)]
    sizes = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    yield "lines per function, median / 90th percentile", _median_p90(sizes)
    names = [name for node in functions if (name := node.name.strip("_")) and not _is_dunder(node)]
    yield "one-word function names", _share(sum("_" not in name for name in names), len(names))
    types = Counter(name for tree in code.values() for name in _type_names(tree))
    repeated = sorted(name for name, count in types.items() if count > 1)
    yield "type names with several definitions", f"{len(repeated)} of {len(types)}"
    yield "the most repeated", ", ".join(f"{n} ({c})" for n, c in types.most_common(8) if c > 1)
    public = [node for tree in code.values() for node in _public(tree)]
    documented = sum(ast.get_docstring(node) is not None for node in public)
    yield "public definitions documented", _share(documented, len(public))
    comments, lines = map(sum, zip(*(_comment_lines(path) for path in code), strict=True))
    yield "comment lines per 100 code lines", f"{100 * comments / lines:.1f}"
    yield "modules with a test file of their name", _tested(code, tests)


def _functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _is_dunder(node: Function) -> bool:
    return node.name.startswith("__") and node.name.endswith("__")


def _type_names(tree: ast.Module) -> Iterator[str]:
    """Classes, and aliases that look like types (CamelCase = …), without leading underscores."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name.strip("_")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id.strip("_")
            if name[:1].isupper() and not name.isupper() and not isinstance(node.value, ast.Call):
                yield name


def _public(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            inner = [one for one in node.body if isinstance(one, Function)]
            yield from (one for one in inner if not one.name.startswith("_"))


def _comment_lines(path: Path) -> tuple[int, int]:
    """Lines with a comment, and lines with code."""
    comments, code = set(), set()
    skipped = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in skipped:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(comments), len(code)


def _tested(code: Sequence[Path] | dict[Path, ast.Module], tests: Path) -> str:
    """A module a/b.py counts as tested by any test_b.py, or test_a_b.py."""
    there = {path.stem.removeprefix("test_") for path in tests.rglob("test_*.py")}
    found = sum(bool({path.stem, f"{path.parent.name}_{path.stem}"} & there) for path in code)
    return f"{found} of {len(code)}"


def _median_max(values: Sequence[int]) -> str:
    return f"{statistics.median(values):g} / {max(values)}"


def _median_p90(values: Sequence[int]) -> str:
    return f"{statistics.median(values):g} / {statistics.quantiles(values, n=10)[-1]:.0f}"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f} %)"


if __name__ == "__main__":
    main(*sys.argv[1:])
