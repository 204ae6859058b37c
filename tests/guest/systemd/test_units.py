"""The units where systemd is the first process, in a booted kernel."""

import re

import pytest

from tests.guest.systemd.conftest import Proved
from tests.guest.systemd.plans import CALLS

pytestmark = [pytest.mark.usual_kernel, pytest.mark.guest]


def test_systemd_is_the_first_process(proved: Proved) -> None:
    assert proved("prepare_host") == {"init": "systemd", "left": []}


def test_a_timer_starts_a_run_again_and_again_and_each_leaves_a_whole_result(
    proved: Proved,
) -> None:
    """By the hardened unit, with tracefs."""
    found = proved("fire_timer_twice")
    assert len(found["runs"]) == 2
    for run in found["runs"]:
        numbers = [run[name] for name in ("counted", "delivered", "events")]
        assert numbers == [CALLS] * 3
        assert (run["backend"], run["outcome"], run["last"]) == (
            "tracefs",
            "stop_when",
            "run.finished",
        )
        assert (run["exit_code"], run["complete"], run["unread_lines"]) == (0, True, 0)
    assert found["unit"] == "inactive"
    assert found["modes"] == ["0o700", "0o700"]
    assert found["left"] == []


def test_the_first_line_starts_an_exporter_without_rights(proved: Proved) -> None:
    found = proved("export_metrics")
    assert found["fifo"] == "0o10600"
    rights = found["rights"]
    assert "0" not in rights.pop("Uid").split()
    assert rights == {
        "CapEff": "0000000000000000",
        "CapBnd": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_a_run_goes_on_when_its_exporter_is_stopped(proved: Proved) -> None:
    """By the hardened unit, with bcc. The case has also seen that the exporter showed each count
    exactly: of the first workload, and once it was back of the third."""
    found = proved("export_metrics")
    assert found["stopped"] == ["inactive", False, False, "active"]
    result = found["result"]
    numbers = [result[name] for name in ("counted", "delivered", "events")]
    assert numbers == [3 * CALLS] * 3
    assert (result["backend"], result["complete"]) == ("bcc", True)
    assert CALLS <= result["unread_lines"] < 2 * CALLS
    lost = re.search(r"([0-9,]+) lines were lost: no process read them", found["said"])
    assert lost
    assert int(lost[1].replace(",", "")) == result["unread_lines"]


def test_stopping_a_service_is_a_success(proved: Proved) -> None:
    found = proved("export_metrics")
    assert found["run"] == ["inactive", "success", "143"]
    assert found["left"] == []


def test_a_killed_run_leaves_nothing_once_its_unit_is_at_rest(proved: Proved) -> None:
    found = proved("kill_runs")
    armed = found["armed"]
    for kind in (r"program \d+", r"p\S*:probeplan_\S+ .*", r"probeplan-\S+", r"\S+\.journal"):
        assert any(re.fullmatch(kind, one) for one in armed), (kind, armed)
    assert found["units"] == [{"Result": "signal"}] * 2
    assert found["left"] == []
