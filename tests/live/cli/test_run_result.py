"""What `probeplan run --out DIR` keeps in result.json."""

import sys
from pathlib import Path

import pytest

from orchestrator.run.report.host_identity import hash_machine_id
from tests.live.cli.test_run import BACKENDS, FACTS, ran
from tests.support.requirements import needs_a_kernel
from tests.support.results import checked_result

pytestmark = needs_a_kernel


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_keep_the_cells_that_top_leaves_out(tmp_path: Path, backend: str) -> None:
    """Three descriptors are closed once, twice and three times; `top` shows two of them. The result
    says where and with which settings."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "apiVersion: probeplan/v1\nkind: ProbePlan\nmetadata: {name: closes, summary: x}\n"
        "params: {least: {type: int, default: 0}}\n"
        "limits: {duration: 60s}\nprobes:\n  close:\n"
        "    attach: tracepoint:syscalls:sys_enter_close\n    where: args.fd >= params.least\n"
        "    metrics: {calls: {count: true, by: [args.fd], top: 2}}\n"
    )
    out = tmp_path / "out"
    calls = "import ctypes\nfor fd in 901, 902, 902, 903, 903, 903: ctypes.CDLL(None).close(fd)"
    code, lines, _ = ran(
        *("run", str(plan), "--backend", backend, "--out", str(out), "--set", "least=900"),
        *("--label", "ring 1", "--", sys.executable, "-c", calls),
    )
    assert code == 0
    [logged] = [line for line in lines if line["event"] == "metric.reported"]
    assert [cell["value"] for cell in logged["cells"]] == [3, 2]
    assert logged["cells_omitted"] == 1
    assert lines[0]["label"] == "ring 1"
    result = checked_result(out)
    [metric] = result["metrics"]
    assert [(*cell["key"].values(), cell["value"]) for cell in metric["cells"]] == [
        (903, 3),
        (902, 2),
        (901, 1),
    ]
    assert (result["backend"], result["label"]) == (backend, "ring 1")
    assert list(result["mechanisms"]) == ["close"]
    assert len(result["mechanisms"]["close"]) == 1
    assert result["settings"]["params"] == {"least": 900}
    assert result["cpus"] == len(FACTS.online_cpus)
    machine_id = Path("/etc/machine-id")  # an image that was never booted has none
    known = machine_id.read_text().strip() if machine_id.exists() else ""
    assert result["host_id"] == hash_machine_id(known)
