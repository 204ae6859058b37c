"""The sample units, by systemd-analyze: they are well-formed, and no more exposed than need be."""

from pathlib import Path

import pytest

from tests.support.units import UNITS, copy_units, measure_exposure, read_unit, verify_instance

RUNS = ("probeplan@.service", "probeplan-once@.service")
PREPARE = "probeplan-prepare.service"
EXPORTER = "probeplan-export@.service"
TEMPLATES = (*RUNS, PREPARE, "probeplan-once@.timer", "probeplan-export@.socket", EXPORTER)
#: Of `systemd-analyze security`, for the unit that runs plans: it needs CAP_BPF and its like.
ACCEPTED = 5.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("units")
    copy_units(made)
    return made


def test_these_are_all_units() -> None:
    assert sorted(unit.name for unit in UNITS.iterdir()) == sorted(TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_systemd_has_nothing_to_say_about_an_instance(folder: Path, template: str) -> None:
    assert verify_instance(folder, template) == (0, "")


def test_a_fault_in_a_unit_is_found(tmp_path: Path) -> None:
    """So that silence means something."""
    wrong = {f"{EXPORTER}.d/wrong.conf": "[Service]\nNoSuchSetting=yes\n"}
    copy_units(tmp_path, wrong)
    assert "NoSuchSetting" in verify_instance(tmp_path, EXPORTER)[1]


@pytest.mark.parametrize("template", [*RUNS, PREPARE])
def test_what_runs_plans_is_exposed_no_more_than_tracing_needs(folder: Path, template: str) -> None:
    assert measure_exposure(folder, template) <= ACCEPTED


def test_the_exporter_is_exposed_far_less_than_a_run(folder: Path) -> None:
    assert measure_exposure(folder, EXPORTER) < measure_exposure(folder, RUNS[0]) / 2


def test_both_kinds_of_run_are_confined_alike() -> None:
    """What differs is how they are started, and when they end."""
    started = ("Type", "Environment", "ExecStart", "Restart", "RestartSec")
    settings = [dict(read_unit(template)["Service"]) for template in RUNS]
    confined = [
        {key: value for key, value in one.items() if key not in started} for one in settings
    ]
    assert confined[0] == confined[1]


def test_an_instance_is_configured_without_an_edit_of_its_unit() -> None:
    for template, names in (
        (RUNS[0], "OPTIONS"),
        (RUNS[1], "OPTIONS"),
        (EXPORTER, "EXPORT_OPTIONS"),
    ):
        command = read_unit(template)["Service"]["ExecStart"].split()
        assert command[-1] == f"${names}"
        assert command[0] == "/usr/bin/probeplan"


def test_a_missed_run_is_not_made_up() -> None:
    timer = read_unit("probeplan-once@.timer")["Timer"]
    assert (timer["Persistent"], timer["FixedRandomDelay"]) == ("no", "yes")


def test_the_exporter_reads_the_fifo_of_its_socket() -> None:
    """By a descriptor: it could not open it."""
    socket, exporter = read_unit("probeplan-export@.socket"), read_unit(EXPORTER)
    name = socket["Socket"]["FileDescriptorName"]
    assert exporter["Service"]["StandardInput"] == f"fd:{name}"
    assert socket["Socket"]["ListenFIFO"] == "%t/probeplan/export-%i.fifo"
    assert exporter["Service"]["CapabilityBoundingSet"] == ""
    assert exporter["Service"]["DynamicUser"] == "yes"
    assert "AF_INET" in exporter["Service"]["RestrictAddressFamilies"].split()


@pytest.mark.parametrize("template", RUNS)
def test_the_folder_of_the_fifo_outlives_the_run(template: str) -> None:
    service = read_unit(template)["Service"]
    assert (service["RuntimeDirectory"], service["RuntimeDirectoryPreserve"]) == (
        "probeplan",
        "yes",
    )
    assert service["RuntimeDirectoryMode"] == "0700"
