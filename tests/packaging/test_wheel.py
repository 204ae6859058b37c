"""The package as built and installed, away from the source tree: it brings all that it reads."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from orchestrator.kernel.recorded.profiles import PROFILES
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

SOURCES = ("orchestrator", "schema", "plans", "kernels", "completions", "man")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
#: To find the installed package and nothing of the source tree.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that building leaves nothing among them."""
    copy = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip wheel` makes, with the setuptools at hand: nothing is fetched."""
    target = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(tree))
    (made,) = target.glob("probeplan-*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment's folder of commands. The packages that probeplan needs are lent by
    the environment that runs the tests."""
    place = tmp_path_factory.mktemp("installed")
    make = [sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", place]
    subprocess.run(make, check=True)
    _pip("--python", str(place / "bin" / "python"), "install", "--no-deps", str(wheel))
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin"


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr


def _run(installed: Path, *command: str) -> str:
    done = subprocess.run(
        [installed / command[0], *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _files(folder: Path, top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_holds_every_file_of_the_package(wheel: Path, tree: Path) -> None:
    """Modules, C headers, the guests' init script, schemas, completions, plans and their README:
    whatever is there."""
    wanted = _files(tree / "orchestrator", tree)
    for folder, suffixes in (("schema", ".json"), ("plans", (".yaml", ".md")), ("completions", "")):
        found = _files(tree / folder, tree)
        wanted |= {f"orchestrator/{name}" for name in found if name.endswith(suffixes)}
    wanted |= {f"orchestrator/kernels/{file}" for file in PROFILES.values()}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert not {name for name in wanted if name not in held}
    assert {name.partition("/")[0].partition("-")[0] for name in held} == {
        "orchestrator",
        "probeplan",
    }


def test_man_pages_and_completions_are_where_shells_and_man_look(installed: Path) -> None:
    share = installed.parent / "share"
    assert {page.name for page in (share / "man/man1").iterdir()} == {
        page.name for page in (ROOT / "man").iterdir()
    }
    for shell, file in (
        ("bash", "bash-completion/completions/probeplan.bash"),
        ("zsh", "zsh/site-functions/_probeplan"),
        ("fish", "fish/vendor_completions.d/probeplan.fish"),
    ):
        assert (share / file).read_text() == _run(installed, "probeplan", "completion", shell)


def test_an_installed_probeplan_reads_its_own_files(installed: Path) -> None:
    """Not those of the source tree, wherever that is."""
    code = (
        "from orchestrator.plan.document.schema import schema_path; "
        "print(schema_path('x').parents[1]); "
        "from orchestrator.run.shipped import shipped_plans; print(len(shipped_plans())); "
        "import orchestrator; print(orchestrator.__file__)"
    )
    _, plans, package = _run(installed, "python", "-c", code).split()
    assert int(plans) == len(list((ROOT / "plans").rglob("*.yaml")))
    assert package.startswith(str(installed.parent))


def test_installed_plans_are_in_order(installed: Path) -> None:
    """`lint` finds its schema and nothing to complain of."""
    (plans,) = installed.parent.glob("lib/python*/site-packages/orchestrator/plans")
    _run(installed, "probeplan", "lint", str(plans))


def test_installed_kernel_profiles_need_no_file(installed: Path) -> None:
    _run(installed, "probeplan", "lint", "slow-io", "--kernel", "all")
    shown = _run(installed, "probeplan", "facts", "--show", "debian:6.1")
    assert shown.startswith("debian:6.1: 6.1")


def test_an_installed_probeplan_finds_plans_and_schemas(installed: Path) -> None:
    """By the index in the package; the schema's path is that of the installed file."""
    found = json.loads(_run(installed, "probeplan", "plans", "memleak", "--format", "json"))
    assert {entry["name"] for entry in found} == {"heap-outstanding", "kernel-outstanding"}
    path = Path(_run(installed, "probeplan", "schema", "--path", "plan").strip())
    assert path.is_relative_to(installed.parent)
    assert path.read_text() == _run(installed, "probeplan", "schema", "plan")


def test_an_installed_probeplan_makes_reports(installed: Path, tmp_path: Path) -> None:
    """With the libraries that are in the package, and their licences next to them."""
    result, page = ROOT / "tests/data/results/bcc.json", tmp_path / "page.html"
    _run(installed, "probeplan", "report", str(result), "-o", str(page))
    assert 'id="library-echarts"' in page.read_text()
    (vendor,) = installed.parent.glob("lib/python*/site-packages/orchestrator/html_report/vendor")
    assert {"echarts.LICENSE", "d3.LICENSE", "d3-flamegraph.LICENSE"} <= _files(vendor, vendor)


def test_pytest_loads_the_plugin_of_an_installed_probeplan(installed: Path) -> None:
    options = ("-p", "no:cacheprovider", "-c", "/dev/null")
    assert "@pytest.mark.probeplan(plan, " in _run(
        installed, "python", "-m", "pytest", "--markers", *options
    )


@pytest.mark.root
@pytest.mark.parametrize(
    ("backend", "plan"), [("bcc", "opens"), ("tracefs", "page-faults --set sample=1/1")]
)
def test_an_installed_probeplan_runs_a_shipped_plan_by_name(
    installed: Path, backend: str, plan: str
) -> None:
    """From another directory, with a command that is seen."""
    command = ("probeplan", "run", *plan.split(), "--backend", backend, "--duration", "20s")
    lines = _run(installed, *command, "--", "cat", "/etc/hostname").splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["comm"] for record in records if record["event"] == "event.recorded"][
        -1
    ] == "cat"
    assert records[-1]["event"] == "run.finished"
    assert records[-1]["complete"] is True
