"""The shape of the package: what import-linter and ruff do not look at."""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache

from tests.support.paths import ROOT, TESTS

PACKAGE = ROOT / "orchestrator"
MODULES_PER_FOLDER = 20

#: Modules outside backends/ with a word that is a backend's name too, each with what they mean.
SAME_WORD: dict[str, str] = {
    "orchestrator.cli.doctor": "names of features",
    "orchestrator.kernel.features": "names of features",
    "orchestrator.kernel.feature_files": "the file system, in /proc/filesystems",
    "orchestrator.kernel.feature_trials": "the library, to be imported",
}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name; a package by its own."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text())
    return found


# ---------------------------------------------------------------- names


def test_a_type_name_means_one_thing() -> None:
    """Classes and aliases that look like types (CamelCase = …), leading underscores aside."""
    where = defaultdict(list)
    for module, tree in modules().items():
        for name in set(_type_names(tree)):
            where[name].append(module)
    repeated = {name: places for name, places in where.items() if len(places) > 1}
    assert repeated == {}


def _type_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name.strip("_")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id.strip("_")
            if name[:1].isupper() and not name.isupper() and not isinstance(node.value, ast.Call):
                yield name


def test_no_folder_is_crowded() -> None:
    folders = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
    crowded = {f"{f.relative_to(ROOT)}": n for f, n in folders.items() if n > MODULES_PER_FOLDER}
    assert crowded == {}


# ---------------------------------------------------------------- imports


def test_no_modules_import_each_other() -> None:
    """Not even inside functions, where Python would not notice and import-linter does not look."""
    assert [sorted(circle) for circle in _circles(_imports())] == []


def test_circles_are_found() -> None:
    """The test above looks at something: two circles, one of them of a module alone."""
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"d", "e"}, "e": set[str]()}
    assert sorted(map(sorted, _circles(graph))) == [["a", "b", "c"], ["d"]]


def _imports() -> dict[str, set[str]]:
    """Which modules of the package each imports, wherever the import stands, except for types."""
    return {name: set(_imported(tree)) for name, tree in modules().items()}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in _run_time_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module in modules():
            for one in node.names:
                inner = f"{node.module}.{one.name}"
                yield inner if inner in modules() else node.module


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from _run_time_nodes(other)
        else:
            yield child
            yield from _run_time_nodes(child)


def _circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Strongly connected components (Tarjan 1972) of several modules, or of one with itself."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            component = set(stack[at:])
            del stack[at:]
            if len(component) > 1 or name in graph[name]:
                circles.append(component)

    sys.setrecursionlimit(max(sys.getrecursionlimit(), 5000))
    for name in graph:
        if name not in index:
            visit(name)
    return circles


# ---------------------------------------------------------------- backends


def test_only_the_backends_name_the_backends() -> None:
    """Adding a backend changes backends/ and nothing else. tracefs is also a file system, and bcc a
    library: modules that mean those are listed."""
    naming = {name for name, tree in modules().items() if _names_a_backend(tree)}
    naming = {name for name in naming if not name.startswith("orchestrator.backends")}
    assert naming == SAME_WORD.keys()


def _names_a_backend(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Constant) and node.value in ("bcc", "tracefs")
        for node in ast.walk(tree)
    )


def test_the_package_is_where_it_is_looked_for() -> None:
    assert {"orchestrator", "orchestrator.cli", "orchestrator.run.runner"} <= modules().keys()


def test_unit_tests_are_where_the_package_has_its_code() -> None:
    """docs, scripts, shipped and support are about folders outside of the package."""
    here = TESTS / "unit"
    folders = {
        str(path.parent.relative_to(here))
        for path in here.rglob("test_*.py")
        if path.parent != here
    }
    apart = {"docs", "scripts", "shipped", "support"}
    assert {name for name in folders - apart if not (PACKAGE / name).is_dir()} == set()
