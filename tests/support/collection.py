"""The Ansible collection of this source tree, where Ansible and its tests want it."""

import importlib
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible_test

from tests.support.paths import ROOT

__all__ = ["SOURCE", "copy_collection", "load_plugin", "program", "sanity_environment"]

SOURCE = ROOT / "ansible"
_PLACE = Path("ansible_collections", "probeplan", "fleet")

#: ansible-test makes a virtual environment for each test and has pip install exact releases there.
#: Instead, the packages of the environment that runs the tests are lent, and nothing is fetched:
#: this takes the place of the get-pip.py that it would download.
_LEND = """
import sysconfig
from pathlib import Path

packages = Path(sysconfig.get_path("purelib"))
(packages / "lent.pth").write_text({lent!r})
(packages / "pip").mkdir()
for name in ("__init__.py", "__main__.py"):
    (packages / "pip" / name).touch()
"""
_PIP_RELEASE = re.compile(r"\bpip=['\"]([\d.]+)['\"]")


def copy_collection(folder: Path) -> Path:
    """A copy below `folder`, which is then a path of collections; returns the collection's root.
    What ansible-test is to ignore is said for each of its releases, and is the same for the one at
    hand."""
    root = folder / _PLACE
    shutil.copytree(SOURCE, root, ignore=shutil.ignore_patterns("__pycache__"))
    release = ".".join(version("ansible-core").split(".")[:2])
    [known, *_] = sorted((root / "tests" / "sanity").glob("ignore-*.txt"))
    ignored = known.with_name(f"ignore-{release}.txt")
    if not ignored.exists():
        shutil.copy(known, ignored)
    return root


def program(name: str) -> str:
    """One of ansible-core's programs, of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


def sanity_environment(home: Path) -> Mapping[str, str]:
    """What ansible-test is run with: everything that it keeps is below `home`."""
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True)
    lent = "".join(f"{path}\n" for path in (sysconfig.get_path("purelib"), *_system_packages()))
    sources = Path(ansible_test.__path__[0], "_internal").glob("*.py")
    releases = {found for source in sources for found in _PIP_RELEASE.findall(source.read_text())}
    assert releases, "ansible-test names no release of pip"
    for release in releases:
        script = cache / f"get_pip_{release.replace('.', '_')}.py"
        script.write_text(_LEND.format(lent=lent))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return dict(os.environ, HOME=str(home), ANSIBLE_HOME=str(home / ".ansible"), PATH=path)


def _system_packages() -> list[str]:
    """Where the distribution's packages are, which the environment may see."""
    return [path for path in sys.path if path.endswith("dist-packages")]


def load_plugin(name: str) -> Any:
    """A Python module of the collection, such as "module_utils.arguments"."""
    for depth in range(1, len(_PLACE.parts) + 1):
        package = ModuleType(".".join(_PLACE.parts[:depth]))
        package.__path__ = [str(SOURCE)] if depth == len(_PLACE.parts) else []
        sys.modules.setdefault(package.__name__, package)
    return importlib.import_module(f"{'.'.join(_PLACE.parts)}.plugins.{name}")
