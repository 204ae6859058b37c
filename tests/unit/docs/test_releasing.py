"""What docs/releasing.md says of versions holds for the version at hand."""

import re
import tomllib

from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    """Or with what is not released yet."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    heading = re.search(r"^## (?!Unreleased)(\S+)", changelog, re.MULTILINE)
    assert heading
    assert heading[1] == PROJECT["version"]


def test_the_changelog_of_the_debian_package_begins_with_it_too() -> None:
    first = (ROOT / "debian" / "changelog").read_text().partition("\n")[0]
    assert first.startswith(f"probeplan ({PROJECT['version']}) ")


def test_names_that_hold_versions_are_where_the_page_says() -> None:
    page = (ROOT / "docs" / "releasing.md").read_text()
    for name, path in re.findall(r"`([A-Z]+)` in `([\w/]+\.py)`", page):
        assert re.search(rf"^{name}\b", (ROOT / path).read_text(), re.MULTILINE), (name, path)


def test_the_table_of_markers_has_every_marker() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    page = (ROOT / "docs" / "testing.md").read_text()
    names = [re.split(r"[(:]", marker)[0] for marker in options.get("markers", ())]
    assert all(f"`{name}`" in page for name in names)
