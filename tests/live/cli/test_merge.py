"""`probeplan merge` of real results of this kernel, by both backends: exact counts."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from tests.live.cli.test_run import BACKENDS, ran
from tests.live.run.test_policy import SPEAK, SPEAK_PROBE, a_plan, a_policy
from tests.support.requirements import needs_a_kernel
from tests.support.results import checked_result

pytestmark = needs_a_kernel

PLAN = """apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: merged-closes, summary: closes of descriptors that are not open}
limits: {duration: 60s, cpu: 100%}
probes:
  close:
    attach: tracepoint:syscalls:sys_enter_close
    where: args.fd >= 900
    metrics:
      calls: {count: true, by: [args.fd], top: 1}
      numbers: {histogram: args.fd}
      total: {sum: args.fd}
"""


def close(path: Path, backend: str, calls: dict[int, int]) -> dict[str, Any]:
    """The result of a run that sees so many closes of each descriptor."""
    program = (
        "import ctypes\nclose = ctypes.CDLL(None).close\n"
        f"for fd, count in {calls}.items():\n    for _ in range(count): close(fd)"
    )
    (path / "plan.yaml").write_text(PLAN)
    out = path / f"{backend}{len(list(path.iterdir()))}"
    words = (str(path / "plan.yaml"), "--backend", backend, "--out", str(out))
    code, _, errors = ran("run", *words, "--", sys.executable, "-c", program)
    assert code == 0, errors
    return checked_result(out)


def test_real_runs_add_up_to_the_unit_by_backend_and_in_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs by each backend. COMMAND is a part of the settings: one for all."""
    calls = {900: 3, 901: 40, 950: 2}
    results = [close(tmp_path, backend, calls) for backend in (*BACKENDS, *BACKENDS)]
    assert main(["merge", str(tmp_path), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    [group] = document["groups"]
    assert (group["runs"], document["hosts"]["all"]) == (4, 1)
    metrics = {metric["metric"]: metric for metric in group["metrics"]}
    cells = metrics["calls"]["cells"]
    assert {cell["key"]["args.fd"]: cell["value"] for cell in cells} == {
        fd: 4 * count for fd, count in calls.items()
    }
    [histogram], [total] = metrics["numbers"]["cells"], metrics["total"]["cells"]
    assert (histogram["count"], histogram["percentiles"]["p50"]) == (180, 911.5)
    assert total["value"] == 4 * sum(fd * count for fd, count in calls.items())
    by_mechanism = {row["mechanisms"]: row["count"] for row in metrics["numbers"]["by_kernel"]}
    assert by_mechanism == {
        results[0]["mechanisms"]["close"][0]: 90,
        results[1]["mechanisms"]["close"][0]: 90,
    }


def test_keys_that_a_policy_hashes_are_one_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three calls a run; each run draws a salt, so its digests are no one else's."""
    plan = a_plan(tmp_path, SPEAK_PROBE + "    metrics: {asked: {count: true, by: [text, comm]}}\n")
    policy = a_policy(tmp_path, "user_strings: hash\nallow_user: [conditions]\n")
    for backend in BACKENDS:
        out = str(tmp_path / backend)
        code, _, errors = ran(
            *("run", plan, "--policy", policy, "--backend", backend, "--out", out, "--", *SPEAK)
        )
        assert code == 0, errors
        [metric] = checked_result(tmp_path / backend)["metrics"]
        assert (metric["hashed"], len(metric["cells"])) == (["text"], 2)
    assert main(["merge", str(tmp_path), "--format", "json"]) == 0
    [group] = json.loads(capsys.readouterr().out)["groups"]
    [cell] = group["metrics"][0]["cells"]
    assert (cell["key"]["text"], cell["redacted"], cell["value"]) == ("redacted", True, 6)
