"""`probeplan plans`: what is printed, for people and for programs."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.cli.discover import plan_table, plans
from orchestrator.plan.findings import Finding
from orchestrator.run import shipped
from orchestrator.run.shipped import shipped_plans
from orchestrator.run.suitability import Suitability

PLAN = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata:
  name: mine
  summary: {summary}
  equivalents: [memleak]
probes: {{switch: {{attach: "tracepoint:sched:sched_switch", emit: [pid]}}}}
"""


def a_folder(tmp_path: Path, summary: str = "Who switches?", name: str = "mine.yaml") -> str:
    (tmp_path / name).write_text(PLAN.format(summary=json.dumps(summary)))
    return str(tmp_path)


def out(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["plans", *words]) == code
    return capsys.readouterr().out


def test_the_site_s_plans_are_listed_first_by_the_names_that_run_takes(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_folder(tmp_path, name="ours.yaml")
    a_folder(tmp_path, summary="Other reads?", name="slow-io.yaml")
    for bundle in ("packed.ppb", "opens.ppb"):
        (tmp_path / bundle).write_text("")
    (tmp_path / "broken.yaml").write_text("{")
    monkeypatch.setattr(shipped, "SITE_PLANS", tmp_path)
    monkeypatch.setattr(plans, "SITE_PLANS", tmp_path)
    assert main(["plans"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "This site"
    assert [re.split(r" {2,}", line)[1] for line in lines[2:4]] == ["ours", "slow-io"]
    assert sum(" slow-io " in line for line in lines) == 1
    assert f"bundles in {tmp_path}: opens, packed" in said.err
    assert "opens" not in {re.split(r" {2,}", line)[1] for line in lines if "  " in line}
    assert "slow-io is this site's plan here, and hides the shipped one" in said.err
    assert "broken.yaml is not listed" in said.err
    shown = json.loads(out(capsys, "switches", "--format", "json"))
    assert [(one["name"], one["area"]) for one in shown if one["area"] == "site"] == [
        ("ours", "site")
    ]


def test_all_plans_are_listed_by_area_with_the_question_first(capsys) -> None:
    lines = out(capsys).splitlines()
    assert lines[0] == "Files (fs)"
    assert re.split(r" {2,}", lines[1]) == ["question", "plan", "same as", "cost"]
    first = "Which files are read and written most, and by whom?"
    assert re.split(r" {2,}", lines[2])[:2] == [first, "busy-files"]
    for name in shipped_plans():
        assert any(re.search(rf"  {name}( |$)", line) for line in lines)


def test_a_plan_is_one_line_where_no_terminal_reads_it(capsys) -> None:
    [line] = [line for line in out(capsys, "tcp").splitlines() if " tcp-events " in line]
    assert "Which connections are being opened, accepted and closed?" in line


def test_few_plans_are_shown_with_params_points_and_the_command(capsys) -> None:
    text = out(capsys, "memleak")
    assert "\nprobeplan run heap-outstanding\n  cost: microseconds" in text
    assert "\n  --set min_size=0B  ignore smaller objects\n" in text
    assert "rawtracepoint:kfree" in text


def test_json_has_all_that_is_known(capsys) -> None:
    entries = json.loads(out(capsys, "runqlat", "--format", "json"))
    assert [entry["name"] for entry in entries] == ["run-queue-latency"]
    assert entries[0]["question"] == "How long do tasks wait for a CPU?"
    assert entries[0]["equivalents"] == ["runqlat"]
    assert "here" not in entries[0]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_match_is_exit_code_1_with_the_nearest(form: str, capsys) -> None:
    assert main(["plans", "memry", "leak", "--format", form]) == 1
    printed = capsys.readouterr()
    assert printed.out == ("[]\n" if form == "json" else "")
    assert printed.err.startswith("no plan matches 'memry leak'\n  hint: did you mean")
    assert "kernel-outstanding" in printed.err


def test_an_escape_in_a_word_does_not_reach_the_terminal(capsys) -> None:
    assert main(["plans", "\x1b[31mzzz"]) == 1
    assert "\x1b" not in capsys.readouterr().err


# ---------------------------------------------------------------- a terminal


@pytest.mark.parametrize("columns", [40, 60, 80, 110, 150, 300])
def test_no_line_is_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(plan_table, "_measure_columns", lambda: columns)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out(capsys)).splitlines()
    assert max(map(len, lines)) <= max(columns, 52)  # a name is never broken
    assert any(line.split()[-1:] == ["cost"] for line in lines) == (columns >= 120)
    assert any(" tcp-connect-latency " in f"{line} " for line in lines)


# ---------------------------------------------------------------- this host


def judge(monkeypatch: pytest.MonkeyPatch, **refused: str) -> None:
    def verdicts(entries: Any) -> Any:
        for entry in entries:
            reason = refused.get(entry.name.replace("-", "_"), "")
            finding = Finding(code="PP080", message=reason)
            yield (
                entry.name,
                Suitability(
                    backend="" if reason else "bcc",
                    reason=reason,
                    findings=(finding,) * bool(reason),
                ),
            )

    monkeypatch.setattr(plans, "_judge_entries", verdicts)


def test_here_says_which_backend_runs_it_or_why_none_does(monkeypatch, capsys) -> None:
    judge(monkeypatch, tcp_accepts="this kernel cannot probe functions")
    assert main(["plans", "tcp", "--here"]) == 0
    printed = capsys.readouterr()
    by_plan = {line.split("  ")[1].strip(): line for line in _squeeze(printed.out)}
    assert "no: this kernel cannot probe functions" in by_plan["tcp-accepts"]
    assert "yes, by bcc" in by_plan["tcp-life"]
    assert "probeplan doctor PLAN" in printed.err


def _squeeze(text: str) -> list[str]:
    lines = (re.sub(r" {2,}", "  ", line) for line in text.splitlines())
    return [line for line in lines if line.count("  ") >= 2]


def test_here_in_json_has_the_findings(monkeypatch, capsys) -> None:
    judge(monkeypatch, opens="lockdown")
    [entry] = json.loads(out(capsys, "opensnoop", "--here", "--format", "json"))
    assert (entry["here"]["can_run"], entry["here"]["backend"]) == (False, None)
    assert entry["here"]["findings"][0]["code"] == "PP080"


# ---------------------------------------------------------------- folders


def test_plans_of_a_folder_are_found_too_and_named_by_their_file(tmp_path: Path, capsys) -> None:
    folder = a_folder(tmp_path)
    entries = json.loads(out(capsys, "memleak", "--in", folder, "--format", "json"))
    assert [entry["name"] for entry in entries][-1] == f"{folder}/mine.yaml"
    assert "Other folders\n" in out(capsys, "--in", folder)


def test_a_hostile_plan_of_a_folder_is_inert(tmp_path: Path, capsys) -> None:
    """What it says of itself is text: it is no command for the terminal or for CI, it does not take
    a shipped plan's name, and its file's name is escaped."""
    folder = a_folder(
        tmp_path, "::error::x ##[group]y <script> $(reboot)", "a\n::error::\x1b[31m.yaml"
    )
    text = out(capsys, "memleak", "--in", folder)
    assert not re.search(r"^\s*::|##\[|\x1b", text, re.MULTILINE)
    assert r"a\n::error::\x1b[31m.yaml" in text
    assert "kernel-outstanding" in text


@pytest.mark.parametrize("summary", ["\\e[31m red", "\\u202e reordered"])
def test_a_plan_with_control_characters_is_not_listed_and_named(
    summary: str, tmp_path: Path, capsys
) -> None:
    (tmp_path / "bad.yaml").write_text(PLAN.format(summary=f'"{summary}"'))
    assert main(["plans", "memleak", "--in", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "bad.yaml" not in printed.out
    assert re.search(r"note: .*/bad\.yaml is not listed: the text contains the", printed.err)


def test_a_folder_that_is_not_there_is_an_error(capsys) -> None:
    assert main(["plans", "--in", "/no/such/folder"]) == 2
    assert "/no/such/folder" in capsys.readouterr().err


def test_special_files_of_a_folder_are_not_opened(tmp_path: Path, capsys) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "pipe" not in out(capsys, "memleak", "--in", str(tmp_path))


# ---------------------------------------------------------------- what a start costs


def test_finding_a_plan_reads_no_yaml_and_draws_by_no_library() -> None:
    """Only imports that show: ≤ 0.3 s with all that an interpreter needs."""
    import subprocess
    import sys

    code = (
        "import sys; from orchestrator.cli import main; main(['plans', 'memleak']); "
        "print(sorted({'yaml', 'rich', 'jsonschema', 'orchestrator.plan.load', "
        "'orchestrator.compile', 'orchestrator.kernel.facts'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
