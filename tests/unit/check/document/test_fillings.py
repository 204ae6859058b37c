"""`$(…)` in workloads: what is replaced, what is left alone, what is refused."""

import pytest

from orchestrator.check.document.fillings import fill_text, fill_workload, fillings_of
from tests.support.checks import check_text, inspect, shown

PARAMS = "params: {build: {type: path, default: /opt/new}, odd: {type: string, default: $(ops)}}\n"
WORKLOAD = """\
setup: [[rm, -f, $(scratch)/t.db]]
run: [$(params.build)/bulk, "$(ops)", "$(params.odd)", "$(date)"]
env: {DB: $(scratch)/t.db}
cwd: $(here)
stdin: $(here)/in
ops: 7
serve: {run: [./server, $(scratch)], ready: "file:$(scratch)/up"}
witness: [$(here)/sync]"""


def test_every_text_of_a_workload_is_filled() -> None:
    check, findings = inspect(check_text("write.calls == 0", before=PARAMS, workload=WORKLOAD))
    assert check is not None, shown(findings)
    filled = fill_workload(check.workload, fillings_of(check, scratch="/s", ops=7))
    here = str(check.here)
    assert filled.setup == (("rm", "-f", "/s/t.db"),)
    assert filled.run == ("/opt/new/bulk", "7", "$(ops)", "$(date)")
    assert filled.env == {"DB": "/s/t.db"}
    assert (filled.cwd, filled.stdin) == (here, f"{here}/in")
    assert filled.serve is not None
    assert filled.serve.run == ("./server", "/s")
    assert filled.serve.ready == "file:/s/up"
    assert filled.witness == (f"{here}/sync",)
    assert filled.ops == (7,)


@pytest.mark.parametrize(
    ("ready", "is_good"),
    [("$(params.port)", True), ("$(ops)", False), ("$(params.port)0", False), ("http", False)],
)
def test_the_port_of_a_server_may_be_a_param(ready: str, is_good: bool) -> None:
    workload = f'run: [make]\nserve: {{run: [a], ready: "tcp:127.0.0.1:{ready}"}}'
    before = "params: {port: {type: int, default: 18080}}\n"
    check, findings = inspect(check_text("write.calls == 0", before=before, workload=workload))
    assert ([finding.code for finding in findings] == []) is is_good, shown(findings)
    if is_good and check is not None and check.workload.serve is not None:
        filled = fill_workload(check.workload, fillings_of(check, scratch="/s", ops=1))
        assert filled.serve is not None
        assert filled.serve.ready == "tcp:127.0.0.1:18080"


def test_a_value_is_not_searched_for_more() -> None:
    assert fill_text("$(a)$(b)", {"a": "$(b)", "b": "x $(a)"}) == "$(b)x $(a)"


@pytest.mark.parametrize(
    ("workload", "line", "words"),
    [
        ("run: [$(build)/server]", 7, "'$(build)' is not defined"),
        ("run: [$(params.buidl)/server]", 7, "did you mean 'params.build'"),
        ("run: [make, $(params.buidl)]", 7, "did you mean"),
        ('run: ["$(scratch"]', 7, "is not defined"),
        ("run: [make]\ncwd: $(home)", 8, "$(scratch)"),
        ("run: [make]\nstdin: $(home)/x", 8, "is not defined"),
        ("run: [make]\nsetup: [[$(x)]]", 8, "is not defined"),
        ("run: [make]\nteardown: [[make], [$(x)]]", 8, "is not defined"),
        ("run: [make]\nwitness: [$(x)]", 8, "is not defined"),
        ('run: [make]\nserve: {run: [a], ready: "tcp:$(x):80"}', 8, "is not defined"),
        ("run: [make]\nserve: {run: [$(x)], ready: 'line:x'}", 8, "is not defined"),
    ],
)
def test_what_is_not_defined_is_refused(workload: str, line: int, words: str) -> None:
    text = check_text("sync.calls == 0", before=PARAMS, workload=workload, plan="plan: fsync\n")
    check, findings = inspect(text)
    assert check is None
    assert [finding.code for finding in findings] == ["PP209"], shown(findings)
    assert words in str(findings[0])
    assert findings[0].position.line == line


def test_a_near_name_in_an_argument_is_only_warned_of() -> None:
    check, findings = inspect(check_text("write.calls == 0", workload="run: [make, $(scrath)/x]"))
    assert check is not None
    assert [(f.code, f.severity) for f in findings] == [("PP209", "warning")]
