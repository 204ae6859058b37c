"""docs/architecture.md shows the tree and the layers as they are."""

import re
import tomllib

from tests.support.paths import ROOT
from tests.unit.docs.pages import DOCS, rows, section

PAGE = (DOCS / "architecture.md").read_text()


def test_the_tree_has_every_folder_of_the_package_and_no_other() -> None:
    tree = section(PAGE, "## The folders").partition("```text\n")[2].partition("```")[0]
    shown: list[str] = []
    path: list[str] = []
    for line in tree.splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()  # type: ignore[union-attr]
        if name.endswith("/"):
            path = [*path[: len(indent) // 2], name.rstrip("/")]
            shown.append("/".join(path))
    package = ROOT / "orchestrator"
    folders = {found.parent for found in package.rglob("*.py")} | {package / "backends/bcc/headers"}
    there = {str(folder.relative_to(ROOT)) for folder in folders}
    assert {name for name in shown if name.startswith("orchestrator")} == there
    assert all((ROOT / name).is_dir() for name in shown)


def test_rooms_are_listed_in_the_order_in_which_they_may_import() -> None:
    listed = [re.findall(r"`(\w+)`", row[0]) for row in rows(section(PAGE, "## The rooms"))]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contract["contracts"][0]["layers"]
    assert listed == [
        [part.strip().removeprefix("orchestrator.") for part in layer.split("|")]
        for layer in layers
    ]
