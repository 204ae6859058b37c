"""The checks of other people's programs (examples/projects) hold, and a planted change breaks the
expectation that is about it."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.plugin_sessions import PLUGIN
from tests.support.product import Ran
from tests.support.projects import NGINX, PLUGGY, find_project

EXAMPLES = ROOT / "examples" / "projects"


def check(file: Path, *settings: str, code: int) -> dict[str, tuple[str, list[int]]]:
    """Verdicts with the values that were judged, by expectation."""
    options = [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "check", str(file), *options],
        check=False,
        capture_output=True,
        timeout=240,
        cwd=ROOT,
        env={**os.environ, "CI": ""},
    )
    assert done.returncode == code, (done.returncode, done.stderr.decode())
    return {
        line["expectation"]: (
            line["verdict"],
            [value for series in line["series"] for value in series["values"]],
        )
        for line in Ran.of(done.stdout).of_kind("check.verdict")
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The sources of pluggy, to be changed."""
    return shutil.copytree(find_project(PLUGGY), tmp_path / "project")


#: As it could come into a project by mistake, once in a run of its tests.
PLANTED = """
import os, tempfile
with tempfile.TemporaryFile() as _file:
    os.fsync(_file.fileno())
os.system("true")
for _number in range(50):
    try:
        open(f"settings.{_number}")
    except OSError:
        pass
"""


def test_the_tests_of_pluggy_hold_and_a_planted_change_does_not(project: Path) -> None:
    file = EXAMPLES / "project-tests.yaml"
    settings = (f"project={project}", f"python={sys.executable}")
    unchanged = check(file, *settings, code=0)
    assert {name: verdict for name, (verdict, _) in unchanged.items()} == dict.fromkeys(
        ("nothing-durable", "no-shells", "failed-opens"), "ok"
    )
    with (project / "src" / "pluggy" / "__init__.py").open("a") as source:
        source.write(PLANTED)
    changed = check(file, *settings, code=1)
    [failed, *more] = unchanged["failed-opens"][1]
    assert [failed] * len(more) == more
    assert changed["nothing-durable"] == ("fail", [1, 1])
    assert changed["no-shells"] == ("fail", [1, 1])
    verdict, values = changed["failed-opens"]
    assert verdict == "fail"
    assert min(values) >= failed + 50


def test_each_test_of_pluggy_is_held_by_the_plugin(project: Path) -> None:
    """All pass as they do unmeasured; one that syncs is the only one to fail."""
    tests = "testing/test_multicall.py"
    with (project / tests).open("a") as file:
        file.write("\n\nimport os\n\ndef test_planted(tmp_path):\n    ")
        file.write("with (tmp_path / 'f').open('w') as file: os.fsync(file.fileno())\n")
    options = ["-p", "hold_all_tests", "-p", "no:cacheprovider", "-q", "--probeplan-require"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, *options, tests],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{EXAMPLES}:{project / 'src'}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
    )
    assert re.search(r"^FAILED \S+::test_planted - ", done.stdout, re.MULTILINE), done.stdout
    [passed] = re.findall(r"^1 failed, (\d+) passed in", done.stdout, re.MULTILINE)
    assert int(passed) >= 15
    assert f"sync.calls == 0  0, 1   == 0   {int(passed) + 1}" in done.stdout, done.stdout


@pytest.fixture
def nginx(tmp_path: Path) -> Path:
    """The check of nginx with its configuration, to be changed."""
    return shutil.copytree(EXAMPLES, tmp_path / "projects")


def test_a_request_to_nginx_costs_what_it_may_and_planted_work_shows(nginx: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = (f"nginx={find_project(NGINX) / 'usr' / 'sbin' / 'nginx'}", f"port={port}")
    file, configuration = nginx / "nginx-requests.yaml", nginx / "nginx.conf"
    unchanged = check(file, *settings, code=0)
    assert unchanged["opens"] == ("ok", [1, 1, 1])
    assert unchanged["no-log"] == ("ok", [0, 0, 0])
    text = configuration.read_text().replace("access_log off;", "access_log access.log;")
    configuration.write_text(text.replace("root .;", "root .; disable_symlinks on;"))
    changed = check(file, *settings, code=1)
    assert changed["no-log"] == ("fail", [1, 1, 1])
    assert changed["opens"][0] == "fail"
    assert min(changed["opens"][1]) > 1
