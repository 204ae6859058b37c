"""From a file to a check: its plan, its keys, and what a folder of checks may not have."""

from pathlib import Path

import pytest

from orchestrator.check.document.load import find_repeated_names, inspect_check, load_check
from orchestrator.check.model import Check
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import read_document
from tests.support.checks import HEAD, check_text, good_check, inspect, shown

REST = "workload: {run: [make, test]}\nexpect: {none: sync.calls == 0}\n"


def test_what_is_left_out_has_its_default() -> None:
    check = good_check("write.calls == 0")
    work, expectation = check.workload, check.expectations[0]
    assert (work.ops, work.warmup, work.repeats, work.timeout_ns) == ((1,), 1, 3, 60 * 10**9)
    assert (work.exit, work.cwd, work.stdin, work.steady) == (0, "", "/dev/null", True)
    assert (work.setup, work.serve, work.witness, work.cpu) == ((), None, (), None)
    assert (expectation.of, expectation.each, expectation.severity) == ("median", False, "fail")
    assert check.baseline == check.here / "example.baseline.json"


def test_every_key_is_read() -> None:
    workload = """\
run: [./bulk, $(ops)]
setup: [[a, b], [c]]
teardown: [[d]]
serve: {run: [s], ready: "line:up", stop: SIGQUIT}
ops: [5, 9]
warmup: 0
repeats: 4
timeout: 5m
exit: 3
cwd: $(here)
env: {A: b}
pass_env: [HOME]
stdin: in.txt
user: www-data
cpu: 1
steady: false
witness: [w]"""
    form = "{that: write.calls <= 1, of: max, severity: warn, resolve: strict, summary: why}"
    check = good_check(form, workload=workload)
    work, expectation = check.workload, check.expectations[0]
    assert work.setup == (("a", "b"), ("c",))
    assert work.teardown == (("d",),)
    assert work.serve is not None
    assert (work.serve.run, work.serve.ready, work.serve.stop) == (("s",), "line:up", "SIGQUIT")
    assert (work.ops, work.warmup, work.repeats, work.timeout_ns) == ((5, 9), 0, 4, 300 * 10**9)
    assert (work.exit, work.cwd, work.env, work.pass_env) == (3, "$(here)", {"A": "b"}, ("HOME",))
    assert (work.stdin, work.user, work.cpu, work.steady) == ("in.txt", "www-data", 1, False)
    assert work.witness == ("w",)
    assert (expectation.of, expectation.severity, expectation.resolve) == ("max", "warn", "strict")
    assert expectation.summary == "why"


# ---------------------------------------------------------------- the plan


def test_a_shipped_plan_is_found_by_name_whatever_is_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fsync").mkdir()
    check, findings = inspect(HEAD + "plan: fsync\n" + REST)
    assert check is not None, shown(findings)
    assert (check.plan.metadata.name, check.plan_source) == ("fsync", "fsync")


def test_a_path_is_relative_to_the_check(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "apiVersion: probeplan/v1\nkind: ProbePlan\nmetadata: {name: mine, summary: Mine}\n"
        "probes: {sync: {attach: 'syscall:fsync', metrics: {calls: {count: true}}}}\n"
    )
    file = tmp_path / "check.yaml"
    file.write_text(HEAD + "plan: ./mine.yaml\n" + REST)
    check = load_check(file)
    assert check.plan.metadata.name == "mine"
    assert check.baseline == tmp_path / "example.baseline.json"


def test_findings_in_a_plan_within_a_check_have_their_place_there() -> None:
    probe = "sync:\n      attach: syscal:fsync\n      metrics: {calls: {cuont: 1}}\n"
    plan = f"plan:\n  probes:\n    {probe}"
    _, findings = inspect(HEAD + plan + REST)
    places = [(f.code, f.position.line, f.position.column) for f in findings]
    assert places[:2] == [("PP051", 7, 15), ("PP030", 8, 25)]


def test_a_plan_within_a_check_is_refused_for_what_plans_are_refused_for() -> None:
    _, findings = inspect(HEAD + "plan: {probe: {}}\n" + REST)
    assert [(f.code, f.position.line) for f in findings] == [("PP031", 4), ("PP030", 4)]


@pytest.mark.parametrize(
    ("lines", "code", "line", "words"),
    [
        ("plan: fsinc\n", "PP001", 4, "did you mean 'fsync'"),
        ("plan: ./fsync.yaml\n", "PP001", 0, "cannot read"),
        ("plan: opens\nset: {failed: true}\n", "PP067", 5, "no param 'failed'"),
        ("plan: opens\nset: {failed_only: 3}\n", "PP067", 5, "neither true nor false"),
        ("plan: opens\nset: {failed_only: $(params.x)}\n", "PP065", 5, "no param 'x'"),
        ("plan: opens\nset: {failed_only: $(ops)}\n", "PP064", 5, "only $(params.NAME)"),
        (
            "params: {how: {type: int, default: 3}}\nplan: opens\n"
            "set: {failed_only: $(params.how)}\n",
            "PP067",
            6,
            "'3' is neither true nor false",
        ),
        (
            "plan: {params: {f: {type: attach}}, probes: {open: {attach: $(params.f), "
            "metrics: {opens: {count: true}}}}}\n",
            "PP068",
            4,
            "the plan's param 'f' has no value",
        ),
    ],
)
def test_a_plan_that_cannot_be_used_is_a_finding(
    lines: str, code: str, line: int, words: str
) -> None:
    _, findings = inspect(HEAD + lines + REST.replace("sync.calls", "open.opens"))
    found = next((finding for finding in findings if finding.code == code), None)
    assert found is not None, shown(findings)
    assert words in str(found)
    if line:
        assert (found.position.file, found.position.line) == ("check.yaml", line)


def test_the_plans_params_have_what_set_gives_them() -> None:
    text = HEAD + "plan: page-faults\nset: {sample: 1/1}\n" + REST
    check, findings = inspect(text.replace("sync.calls", "fault.faults"))
    assert check is not None, shown(findings)
    assert check.plan.probes[0].sample == 1


PASSED_ON = """\
params:
  least: {type: duration, default: 1500us}
  name: {type: symbol, default: vfs_read}
  all: {type: bool, default: true}
plan:
  params: {slow: {type: duration}, at: {type: attach}, whole: {type: bool, default: false}}
  probes:
    sync:
      attach: $(params.at)
      where: elapsed > params.slow or params.whole
      metrics: {calls: {count: true}}
set: {slow: $(params.least), at: "function:$(params.name)", whole: $(params.all)}
"""


def test_a_param_of_the_check_reaches_the_plans_params(tmp_path: Path) -> None:
    file = tmp_path / "check.yaml"
    file.write_text(HEAD + PASSED_ON + REST)
    check = load_check(file)
    values = {name: param.value for name, param in check.plan.params.items()}
    assert values == {"slow": 1_500_000, "at": "function:vfs_read", "whole": True}
    check = load_check(file, settings={"least": "2ms", "name": "vfs_write", "all": "false"})
    values = {name: param.value for name, param in check.plan.params.items()}
    assert values == {"slow": 2_000_000, "at": "function:vfs_write", "whole": False}
    assert check.plan.probes[0].items[0].target == "vfs_write"


def test_a_param_without_a_value_is_reported_once_and_not_by_lint(tmp_path: Path) -> None:
    text = HEAD + PASSED_ON.replace(", default: 1500us", "") + REST
    check, findings = inspect(text)
    assert check is not None, shown(findings)
    (tmp_path / "check.yaml").write_text(text)
    with pytest.raises(PlanError) as caught:
        load_check(tmp_path / "check.yaml")
    assert [finding.code for finding in caught.value.findings] == ["PP068"]
    assert "'least' has no value" in str(caught.value)


# ---------------------------------------------------------------- the document


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("run: [make, test]", "run: make test", "PP032", "not a program and its arguments"),
        ("run: [make, test]", "run: []", "PP034", "is empty"),
        ("run: [make, test]", "run: [make, 3]", "PP032", "quote it"),
        ("run: [make, test]", "repeat: 3", "PP031", "lacks the key 'run'"),
        ("run: [make, test]", "run: [make], timeout: soon", "PP034", "a duration"),
        ("run: [make, test]", "run: [make], ops: 0", "PP034", "below 1"),
        ("run: [make, test]", "run: [make], env: {a b: c}", "PP034", "a variable's name"),
        ("run: [make, test]", "run: [make], serve: {run: [a], ready: up}", "PP034", "tcp:HOST"),
        ("none: sync.calls == 0", "", "PP034", "is empty"),
        ("none: sync.calls == 0", "None: sync.calls == 0", "PP034", "an expectation's name"),
        ("none: sync.calls == 0", "none: {that: sync.calls == 0, of: mean}", "PP033", "median"),
        ("none: sync.calls == 0", "none: {of: max}", "PP031", "lacks the key 'that'"),
        ("none: sync.calls == 0", "none: sync.calls ===", "PP020", "cannot parse"),
        ("kind: ProbeCheck", "kind: ProbeChek", "PP035", "ProbeCheck only"),
    ],
)
def test_what_does_not_fit_the_schema_is_a_finding(
    old: str, new: str, code: str, words: str
) -> None:
    text = HEAD + "plan: fsync\n" + REST
    assert old in text
    check, findings = inspect(text.replace(old, new))
    assert check is None
    assert code in [finding.code for finding in findings], shown(findings)
    assert words in shown(findings)


def test_a_required_param_must_have_a_value_to_run(tmp_path: Path) -> None:
    file = tmp_path / "check.yaml"
    before = "params: {build: {type: path}}\n"
    file.write_text(
        check_text("write.calls == 0", before=before, workload="run: [$(params.build)/a]")
    )
    with pytest.raises(PlanError, match=r"PP068.*'build' has no value"):
        load_check(file)
    assert load_check(file, settings={"build": "/opt"}).params["build"].value == "/opt"
    with pytest.raises(PlanError, match=r"PP067.*no param 'bild'"):
        load_check(file, settings={"build": "/opt", "bild": "x"})


def _written(folder: Path, file: str, name: str, more: str = "") -> Check:
    folder.mkdir(exist_ok=True)
    path = folder / file
    path.write_text(HEAD.replace("example", name, 1) + more + "plan: fsync\n" + REST)
    document, findings = read_document(path)
    assert document is not None
    check, findings = inspect_check(document, findings)
    assert check is not None, shown(findings)
    return check


def test_two_checks_of_a_folder_have_two_names_and_two_baselines(tmp_path: Path) -> None:
    first = _written(tmp_path / "x", "a.yaml", "one")
    elsewhere = _written(tmp_path / "y", "a.yaml", "one")
    other = _written(tmp_path / "x", "b.yaml", "two")
    assert find_repeated_names([first, elsewhere, other, first]) == []
    again = _written(tmp_path / "x", "c.yaml", "one")
    sharing = _written(tmp_path / "x", "d.yaml", "three", "baseline: two.baseline.json\n")
    findings = find_repeated_names([first, elsewhere, other, again, sharing])
    assert [(f.code, Path(f.position.file).name, f.position.line) for f in findings] == [
        ("PP210", "c.yaml", 3),
        ("PP210", "d.yaml", 3),
    ]
