"""A check as two sides: which comparisons it may have then, and how it is read."""

from pathlib import Path

import pytest

from orchestrator.check.document.load import load_check
from orchestrator.check.document.load_sides import load_sides
from orchestrator.check.sides import CheckSides, SideChoice
from orchestrator.plan.findings import Finding, PlanError
from tests.support.checks import check_text, inspect, shown

BEFORE = "params: {build: {type: path}, most: {type: int, default: 3}}\n"
RUN = "run: [$(params.build)/server]"
CHOICE = SideChoice(param="build", values=("old", "new"))


def load(
    folder: Path, *expectations: str, choice: SideChoice = CHOICE, workload: str = RUN
) -> CheckSides:
    file = folder / "check.yaml"
    file.write_text(check_text(*expectations, workload=workload, before=BEFORE))
    return load_sides(str(file), choice, {})


def findings_of(folder: Path, *expectations: str, choice: SideChoice = CHOICE) -> list[Finding]:
    with pytest.raises(PlanError) as caught:
        load(folder, *expectations, choice=choice)
    return list(caught.value.findings)


def test_the_sides_differ_in_the_param_alone(tmp_path: Path) -> None:
    sides = load(tmp_path, "write.calls <= baseline")
    assert [side.params["build"].value for side in sides.checks] == ["old", "new"]
    assert sides.base.sha256 == sides.candidate.sha256
    assert sides.base.workload == sides.candidate.workload
    assert sides.base.plan == sides.candidate.plan


@pytest.mark.parametrize(
    "text",
    [
        "workload.wall <= 1.1 * baseline",
        "workload.sys >= 0.9 * baseline",
        "write.took <= 1.1 * baseline",
        "write.latency.p99 <= 1.1 * baseline",
        "wait.time / ops <= baseline + 3*ms",
        "rate >= 0.9 * baseline",
        "0.5 * baseline <= write.took <= 1.1 * baseline",
    ],
)
def test_times_are_compared_between_sides_and_not_with_what_is_stored(
    tmp_path: Path, text: str
) -> None:
    assert load(tmp_path, text).base.expectations[0].that.text == text
    with pytest.raises(PlanError) as caught:
        load_check(tmp_path / "check.yaml", settings={"build": "old"})
    [finding] = caught.value.findings
    assert finding.code == "PP208"
    assert "--ab NAME=A,B" in finding.hint


def test_without_a_run_a_check_may_compare_times_if_it_has_a_param() -> None:
    text = "workload.wall <= 1.1 * baseline"
    assert inspect(check_text(text))[1][0].code == "PP208"
    check, findings = inspect(check_text(text, before=BEFORE))
    assert (check is not None, findings) == (True, []), shown(findings)
    assert inspect(check_text("workload.wall == baseline", before=BEFORE))[1][0].code == "PP212"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("workload.wall == baseline", "PP212", "compared by `==`"),
        ("write.took != baseline", "PP212", "compared by `!=`"),
        ("{that: write.took <= baseline, of: max}", "PP212", "not by `of: max`"),
        ("write.latency.p99 <= 1.03 * baseline", "PP207", "this bound needs 3 %"),
        ("write.latency.p99 <= baseline", "PP207", "this bound needs 0 %"),
        ("rare.calls <= baseline", "PP206", "sampled"),
    ],
)
def test_what_cannot_be_decided_between_sides_is_a_finding(
    tmp_path: Path, text: str, code: str, words: str
) -> None:
    findings = findings_of(tmp_path, text)
    assert [finding.code for finding in findings] == [code], shown(findings)
    assert words in findings[0].message


def test_a_percentile_may_be_compared_as_finely_as_its_buckets_are(tmp_path: Path) -> None:
    load(tmp_path, "write.latency.p99 <= 1.031 * baseline")


def test_what_is_wrong_with_both_sides_is_said_once(tmp_path: Path) -> None:
    findings = findings_of(tmp_path, "write.cals == 0")
    assert [finding.code for finding in findings] == ["PP071"], shown(findings)


@pytest.mark.parametrize(
    ("choice", "code", "words"),
    [
        (SideChoice(param="bild", values=("old", "new")), "PP067", "no param 'bild'"),
        (SideChoice(param="most", values=("3", "many")), "PP067", "'many'"),
    ],
)
def test_what_is_wrong_with_a_value_is_about_the_option(
    tmp_path: Path, choice: SideChoice, code: str, words: str
) -> None:
    findings = findings_of(tmp_path, "write.calls <= 3", choice=choice)
    [finding] = [one for one in findings if one.code == code]
    assert finding.position.file == f"--ab {choice.param}"
    assert words in str(finding)


def test_times_are_repeated_more_often_unless_the_check_says_how_often(tmp_path: Path) -> None:
    def repeats(text: str, workload: str = RUN) -> int:
        return load(tmp_path, text, workload=workload).candidate.workload.repeats

    assert repeats("workload.wall <= 1.1 * baseline") == 20
    assert repeats("workload.wall <= 1.1 * baseline", f"{RUN}\nrepeats: 7") == 7
    assert repeats("write.calls <= baseline") == 3
    assert repeats("workload.wall <= 3*s") == 3


def test_a_param_of_nothing_or_of_the_plan_makes_no_sides(tmp_path: Path) -> None:
    unused = SideChoice(param="most", values=("3", "4"))
    file = tmp_path / "check.yaml"
    text = check_text("write.calls <= baseline", before=BEFORE)
    file.write_text(text)
    with pytest.raises(PlanError, match=r"PP212.*nothing in the workload has the param 'most'"):
        load_sides(str(file), unused, {"build": "old"})
    alike = load_sides(str(file), SideChoice(param="most", values=("3", "3")), {"build": "old"})
    assert alike.base == alike.candidate
    before = "params: {name: {type: string}}\nset: {function: $(params.name)}\n"
    plan = "plan: function-latency\n"
    run = "run: [$(params.name)]"
    file.write_text(check_text("call.latency.p99 <= 3*ms", plan=plan, before=before, workload=run))
    choice = SideChoice(param="name", values=("syscall:read", "syscall:write"))
    with pytest.raises(PlanError, match=r"PP212.*'name' changes the plan"):
        load_sides(str(file), choice, {})
