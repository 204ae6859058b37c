"""`probeplan check`, the whole command: verdicts, exit codes, lines and baselines."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.paths import ROOT
from tests.support.product import Ran

CHECK = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: steps, summary: for tests}
params: {n: {type: int, default: 20}}
plan:
  probes:
    call:
      attach: "tracepoint:raw_syscalls:sys_enter"
      let: {number: args.id}
      metrics: {calls: {count: true, by: [number]}}
    sync: {attach: "syscall:fsync", metrics: {calls: {count: true}}}
workload:
  run: [python3, -c, "import os; [os.getppid() for _ in range($(params.n))]"]
  repeats: 2
expect:
"""
GETPPID = "call.calls[number == SYS_getppid]"


class Folder:
    """A folder with a check, and the command line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.errors = ""

    def check(self, expectations: str, *options: str, text: str = CHECK, code: int) -> Ran:
        file = self.path / "steps.yaml"
        file.write_text(text + "".join(f"  {line}\n" for line in expectations.splitlines()))
        return self.run(str(file), *options, code=code)

    def run(self, *words: str, code: int, environment: dict[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", "check", *words],
            check=False,
            capture_output=True,
            timeout=240,
            cwd=ROOT,
            env={**os.environ, "CI": "", **(environment or {})},
        )
        self.errors = done.stderr.decode()
        assert done.returncode == code, (done.returncode, self.errors)
        return Ran.of(done.stdout)

    @property
    def baseline(self) -> Path:
        return self.path / "steps.baseline.json"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def verdicts(ran: Ran) -> dict[str, str]:
    return {line["expectation"]: line["verdict"] for line in ran.of_kind("check.verdict")}


def series(ran: Ran, name: str) -> dict[str, Any]:
    [line] = [one for one in ran.of_kind("check.verdict") if one["expectation"] == name]
    [only] = line["series"]
    return dict(only)


def test_exact_counts_hold_or_fail(folder: Folder) -> None:
    ran = folder.check(f"same: '{GETPPID} == 20'\nfew: '{GETPPID} <= 19'", code=1)
    assert verdicts(ran) == {"same": "ok", "few": "fail"}
    assert series(ran, "same")["values"] == [20, 20]
    assert series(ran, "same")["exact"] is True
    assert [line["warmup"] for line in ran.of_kind("check.repeat")] == [True, False, False]
    [finished] = ran.of_kind("check.finished")
    assert finished["exit_code"] == 1
    assert "FAIL" in folder.errors
    assert "exact" in folder.errors


def test_a_warning_fails_nothing(folder: Folder) -> None:
    ran = folder.check(f"few: {{that: '{GETPPID} <= 19', severity: warn}}", code=0)
    assert verdicts(ran) == {"few": "fail"}


def test_a_zero_that_nothing_proves_is_inconclusive_and_a_witness_proves_it(
    folder: Folder,
) -> None:
    """On a host where no one calls fsync meanwhile, that is: otherwise it is proven already."""
    witness = CHECK.replace("  repeats: 2", "  repeats: 2\n  witness: [WITNESS]")
    script = "[python3, -c, \"import os; os.fsync(os.open('w', os.O_CREAT | os.O_RDWR))\"]"
    proven = folder.check(
        "none: sync.calls == 0", text=witness.replace("[WITNESS]", script), code=0
    )
    assert verdicts(proven) == {"none": "ok"}
    idle = folder.check(
        "none: sync.calls == 0", text=witness.replace("[WITNESS]", "['true']"), code=4
    )
    assert verdicts(idle) == {"none": "inconclusive"}
    folder.check(
        "none: sync.calls == 0",
        "--on-inconclusive",
        "warn",
        text=witness.replace("[WITNESS]", "['true']"),
        code=0,
    )


def test_a_baseline_is_recorded_once_and_compared_then(folder: Folder) -> None:
    more = f"more: '{GETPPID} <= 1.1 * baseline'"
    assert verdicts(folder.check(more, code=4)) == {"more": "inconclusive"}
    assert not folder.baseline.exists()
    assert verdicts(folder.check(more, "--update", "new", code=0)) == {"more": "ok"}
    recorded = folder.baseline.read_bytes()
    assert json.loads(recorded)
    assert series(folder.check(more, code=0), "more")["baseline"] == 20
    assert verdicts(folder.check(more, "--set", "n=23", code=1)) == {"more": "fail"}
    folder.check(more, "--set", "n=23", "--update", "new", code=1)
    assert folder.baseline.read_bytes() == recorded
    folder.check(more, "--set", "n=23", "--update", "all", code=0)
    assert series(folder.check(more, "--set", "n=23", code=0), "more")["baseline"] == 23
    recorded = folder.baseline.read_bytes()
    failing = CHECK.replace("[python3, -c,", "[python3, -c, 'raise SystemExit(3)',")
    folder.check(more, "--update", "all", text=failing, code=5)
    assert folder.baseline.read_bytes() == recorded


def test_a_workload_that_fails_outranks_what_is_inconclusive(folder: Folder) -> None:
    text = CHECK.replace("[python3, -c,", "[python3, -c, 'raise SystemExit(3)',")
    ran = folder.check("few: call.calls >= 0", text=text, code=5)
    assert verdicts(ran) == {"few": "workload"}
    assert "status 3" in folder.errors


def test_the_exit_code_is_the_most_serious_of_all_checks(folder: Folder) -> None:
    (folder.path / "missing.yaml").write_text(
        CHECK.replace("name: steps", "name: missing").replace("[python3,", "[no-such-program,")
        + "  any: call.calls >= 0\n"
    )
    (folder.path / "steps.yaml").write_text(CHECK + "  any: call.calls >= 0\n")
    ran = folder.run(str(folder.path), code=2)
    assert "no-such-program" in folder.errors
    assert verdicts(ran) == {"any": "ok"}


def test_lines_go_to_a_file(folder: Folder) -> None:
    out = folder.path / "lines.jsonl"
    nothing = folder.check("any: call.calls >= 0", "--out", str(out), code=0)
    assert nothing.lines == []
    assert Ran.of(out.read_bytes()).of_kind("check.finished")


def test_the_example_holds(folder: Folder) -> None:
    ran = folder.run(str(ROOT / "examples" / "checks"), code=0)
    assert set(verdicts(ran).values()) == {"ok"}
    assert series(ran, "syncs")["values"] == [4, 4, 4]


# ---------------------------------------------------------------- why a gate failed

SYNCS = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: steps, summary: for tests}
params: {n: {type: int, default: 2}}
plan:
  probes:
    call:
      attach: "tracepoint:raw_syscalls:sys_enter"
      let: {number: 'label(args.id, "SYS_")'}
      metrics: {calls: {count: true, by: [number]}}
    sync: {attach: "syscall:fsync", metrics: {calls: {count: true, by: [comm]}}}
workload:
  run: [sh, -c, "python3 $(here)/syncs.py $(params.n); exit $?"]
  repeats: 2
expect:
"""
SCRIPT = """
import os, sys
files = [os.open(name, os.O_CREAT | os.O_RDWR) for name in "ab"]
for number in range(int(sys.argv[1])): os.fsync(files[number == 2])
"""


def test_one_more_fsync_is_explained_by_its_process_its_file_and_its_stack(folder: Folder) -> None:
    """Of a child that ends at once: it is held until its stack has names."""
    (folder.path / "syncs.py").write_text(SCRIPT)
    gates = "few: sync.calls <= baseline\nall: call.calls <= baseline"
    ran = folder.check(gates, "--update", "new", text=SYNCS, code=0)
    assert ran.of_kind("check.explained") == []
    ran = folder.check(gates, "--set", "n=3", text=SYNCS, code=1)
    few, every = ran.of_kind("check.explained")
    assert (few["expectation"], few["compared_with"]) == ("few", "baseline")
    [cell] = few["cells"]
    assert cell["key"] == {"comm": "python3"}
    assert (cell["value"], cell["before"], cell["growth"]) == (3, 2, 1)
    assert few["records_seen"] == 3
    first, second, added = few["records"]
    assert first["comm"] == added["comm"] == "python3"
    assert first["data"]["fd"] == second["data"]["fd"] == added["data"]["fd"] - 1
    assert added["data"]["ustack"][0].startswith("fsync+")
    [cell] = every["cells"]
    assert (cell["names"], cell["growth"]) == ({"number": "fsync"}, 1)
    assert [one["data"]["number"] for one in every["records"]] == ["fsync"] * 3
    assert "+1" in folder.errors


def test_a_further_repeat_that_fails_says_so_and_changes_no_verdict(folder: Folder) -> None:
    (folder.path / "syncs.py").write_text(
        SCRIPT + "os.mkdir(f'{sys.path[0]}/{len(os.listdir(sys.path[0]))}')\n"
        "sys.exit(5 if len(os.listdir(sys.path[0])) > 5 else 0)\n"  # 2 files, 1 + 2 + 1 repeats
    )
    ran = folder.check("none: sync.calls == 0", text=SYNCS, code=1)
    assert verdicts(ran) == {"none": "fail"}
    [explained] = ran.of_kind("check.explained")
    assert [cell["growth"] for cell in explained["cells"]] == [2]
    assert explained["records"] == []
    assert "'sh' ended with status 5" in explained["no_records_because"]


def test_a_warning_is_explained_too_and_what_holds_is_not(folder: Folder) -> None:
    (folder.path / "syncs.py").write_text(SCRIPT)
    ran = folder.check(
        "none: {that: sync.calls == 0, severity: warn}\nfew: sync.calls <= 2",
        "--backend",
        "bcc",
        text=SYNCS,
        code=0,
    )
    assert [line["expectation"] for line in ran.of_kind("check.explained")] == ["none"]


def test_all_reports_of_an_invocation_are_of_what_was_measured(folder: Folder) -> None:
    """One check that holds and fails, and one that this kernel cannot attach."""
    missing = CHECK.replace("name: steps", "name: missing").replace("raw_syscalls:", "no_such:")
    (folder.path / "missing.yaml").write_text(f"{missing}  none: call.calls == 0\n")
    expectations = f"exact: {GETPPID} == 20\nfew: {GETPPID} <= 5"
    (folder.path / "steps.yaml").write_text(
        CHECK + "".join(f"  {line}\n" for line in expectations.splitlines())
    )
    options = ("junit", "openmetrics", "bmf", "csv")
    paths = {name: folder.path / f"report.{name}" for name in options}
    words = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    (folder.path / "summary").touch()
    environment = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(folder.path),
        "GITHUB_STEP_SUMMARY": str(folder.path / "summary"),
    }
    folder.run(str(folder.path), *words, code=3, environment=environment)

    suites = {one.get("name"): one for one in ElementTree.parse(paths["junit"]).getroot()}  # noqa: S314  # it is our own
    assert [suites["steps"].get(name) for name in ("tests", "failures", "errors")] == [
        "2",
        "1",
        "0",
    ]
    assert suites["missing"].get("errors") == "1"
    exact = {"value": 20, "lower_value": 20, "upper_value": 20}
    assert json.loads(paths["bmf"].read_text()) == {"steps": {"exact": exact, "few": exact}}
    metrics = paths["openmetrics"].read_text()
    assert 'probeplan_check_value{check="steps",expectation="exact"} 20\n' in metrics
    assert 'expectation="none",probeplan_check_verdict="unmeasured"} 1\n' in metrics
    assert not paths["csv"].exists()  # a row would not be whole
    lines = [line for line in folder.errors.splitlines() if line.startswith("::")]
    assert lines[0].startswith("::error file=steps.yaml,line=18,col=3,title=steps%3A few%3A fail::")
    assert lines[1].startswith(
        "::error file=missing.yaml,line=4,col=18,title=missing::not measured"
    )
    summary = (folder.path / "summary").read_text()
    assert summary.index("### missing") < summary.index("| few | 20 | exact |")

    csv = ("--csv", str(paths["csv"]))
    for _ in range(2):
        folder.run(str(folder.path / "steps.yaml"), *csv, code=1)
    header, *rows = paths["csv"].read_text().splitlines()
    assert header == "time,commit,steps.exact,steps.few"
    assert [row.split(",")[2:] for row in rows] == [["20", "20"]] * 2
