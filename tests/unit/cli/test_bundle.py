"""bundle: what it prints, what it writes, and that nothing half done is left."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.backends.process_family import list_family
from orchestrator.bundle.file import read_bundle
from orchestrator.cli import main
from orchestrator.cli.bundle.moments import read_created, read_expires
from orchestrator.plan.findings import PlanError
from tests.support.compiling import compile_to_nothing
from tests.support.paths import KERNELS, ROOT
from tests.support.recorded import HEAD
from tests.support.settling import until

STOCK = str(KERNELS / "6.1.facts.xz")
NO_KPROBES = str(KERNELS / "6.18-no-kprobes.facts.xz")
DAY = 86_400


def bundle_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "orchestrator.cli", "bundle", *words]


# ---------------------------------------------------------------- --check


def test_the_matrix_as_text_has_all_that_decides_what_a_host_does(capsys) -> None:
    assert main(["bundle", "vfs-reads", "--kernel", STOCK, NO_KPROBES, "--check"]) == 0
    text = capsys.readouterr().out
    assert re.search(
        r"^  6\.1: bcc, program [0-9a-f]{12}, [0-9.]+ MiB of kernel memory$", text, re.M
    )
    assert re.search(r"^    function:vfs_read +fentry$", text, re.M)
    assert re.search(
        r"^    without trampolines +program [0-9a-f]{12}, function:vfs_read dynamic event$",
        text,
        re.M,
    )
    assert re.search(r"^    not read: function:vfs_read: .*CONFIG_KPROBES=y", text, re.M)
    *_, header, row = text.splitlines()
    assert header.split() == ["plan", "6.1", "6.18-no-kprobes"]
    assert re.fullmatch(r"vfs-reads  bcc [0-9a-f]{12}  bcc [0-9a-f]{12}", row)


def test_kernels_on_which_a_plan_comes_to_the_same_are_shown_together(capsys) -> None:
    kernels = [STOCK, str(KERNELS / "6.12.facts.xz")]
    assert main(["bundle", "vfs-reads", "--kernel", *kernels, "--check"]) == 0
    assert "\n  6.1, 6.12: bcc, " in capsys.readouterr().out


def test_the_matrix_as_json_has_a_row_for_each_kernel_variant_and_setting(capsys) -> None:
    words = ["bundle", "vfs-reads", "--kernel", STOCK, "--check", "--format", "json"]
    assert main([*words, "--with-command", "--target", "pid=1"]) == 0
    [plan] = json.loads(capsys.readouterr().out)
    assert (plan["plan"], plan["file"]) == ("vfs-reads", "vfs-reads.yaml")
    assert [
        (row["settings"]["command"], row["fetching"], row["trampolines"]) for row in plan["rows"]
    ] == [
        (command, fetching, trampolines)
        for command in (False, True)
        for fetching in ("as recorded", "none")
        for trampolines in ("as recorded", "none")
    ]
    first = plan["rows"][0]
    assert first["settings"]["target"] == {"pid": "1"}
    assert first["mechanisms"] == {"function:vfs_read": "fentry"}
    assert first["alternatives"] == {"read": "function:vfs_read"}
    assert len({row["program"] for row in plan["rows"]}) == 8


def test_the_matrix_as_markdown_is_a_table_and_folded_details(capsys) -> None:
    words = ["bundle", "vfs-reads", "opens", "--kernel", STOCK, "--check", "--format", "markdown"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["| plan | 6.1 |", "| --- | --- |"]
    assert re.fullmatch(r"\| vfs-reads \| bcc [0-9a-f]{12} \|", lines[2])
    assert lines.count("</details>") == 2


def test_a_kernel_that_nothing_serves_fails_with_the_reason(tmp_path: Path, capsys) -> None:
    words = ["bundle", "file-life", "--kernel", STOCK, NO_KPROBES]
    reason = "file-life.yaml:24:13: error[PP080]: 'security_inode_create'"
    assert main([*words, "--check"]) == 1
    shown = capsys.readouterr()
    assert "file-life: nothing serves 6.18-no-kprobes" in shown.err
    assert reason in shown.out
    assert main([*words, "-o", str(tmp_path / "x.ppb")]) == 1
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main([*words, "--check", "--allow-missing"]) == 0


def test_a_mechanism_that_is_preferred_and_not_taken_has_its_reason(capsys) -> None:
    words = ["bundle", "file-life", "--kernel", STOCK, "--check"]
    assert main(words) == 0
    reason = "not fentry: the kernel's BTF lacks this function, or has two of its name"
    assert f"entry:security_inode_create  dynamic event ({reason})\n" in capsys.readouterr().out
    assert main([*words, "--format", "json"]) == 0
    [plan] = json.loads(capsys.readouterr().out)
    assert plan["rows"][0]["rejected"] == {"entry:security_inode_create": reason}


def test_a_probed_file_that_is_not_here_is_named(tmp_path: Path, capsys) -> None:
    plan = tmp_path / "p.yaml"
    plan.write_text(
        f"{HEAD}probes: {{p: {{attach: 'uprobe:/no/such:main', emit: [pid]}}}}\n", encoding="utf-8"
    )
    assert main(["bundle", str(plan), "--kernel", STOCK, "--check"]) == 0
    assert capsys.readouterr().err.count("note: /no/such is not on this machine") == 1


# ---------------------------------------------------------------- files


def test_a_bundle_is_written_and_described(monkeypatch, tmp_path: Path, capsys) -> None:
    compile_to_nothing(monkeypatch)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    file = tmp_path / "x.ppb"
    words = ["bundle", "execs", "--kernel", STOCK, "-o", str(file), "--expires", "2023-12-24"]
    assert main(words) == 0
    bundle = read_bundle(file.read_bytes(), str(file))
    assert (bundle.created, bundle.expires) == (1_700_000_000, 1_703_376_000)
    size = len(file.read_bytes())
    assert f"{file}: 2 programs, {size:,} bytes: bcc on 6.1" in capsys.readouterr().err


def test_several_plans_are_written_to_a_directory(monkeypatch, tmp_path: Path) -> None:
    compile_to_nothing(monkeypatch)
    folder = tmp_path / "new"
    assert main(["bundle", "opens", "vfs-reads", "--kernel", STOCK, "-o", str(folder)]) == 0
    assert {file.name for file in folder.iterdir()} == {"opens.ppb", "vfs-reads.ppb"}


def test_a_plan_comes_from_standard_input(tmp_path: Path) -> None:
    """It is read once, although each setting compiles it."""
    plan = (ROOT / "plans/fs/opens.yaml").read_bytes()
    done = subprocess.run(
        bundle_command("-", "--kernel", STOCK, "--check", "--target", "pid=1", "--target", "pid=2"),
        input=plan,
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert b"plan opens target pid=2" in done.stdout


def test_the_plans_of_a_directory_are_found_and_its_checks_are_not(tmp_path: Path, capsys) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "opens.yaml").write_bytes((ROOT / "plans/fs/opens.yaml").read_bytes())
    (tmp_path / "check.yaml").write_text("apiVersion: probeplan/v1\nkind: ProbeCheck\n")
    (tmp_path / "other.yaml").write_text("a: 1\n")
    words = ["--kernel", STOCK, "--check", "--format", "json"]
    assert main(["bundle", str(tmp_path), *words]) == 0
    assert [plan["file"] for plan in json.loads(capsys.readouterr().out)] == ["opens.yaml"]
    (tmp_path / "a" / "opens.yaml").unlink()
    assert main(["bundle", str(tmp_path), *words]) == 2
    assert f"no plans in the directory '{tmp_path}'" in capsys.readouterr().err


def test_the_findings_of_all_plans_are_reported_at_once(tmp_path: Path, capsys) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("apiVersion: probeplan/v1\nkind: ProbePlan\n")
    assert main(["bundle", str(tmp_path), "--kernel", STOCK, "--check"]) == 2
    error = capsys.readouterr().err
    assert "a.yaml" in error
    assert "b.yaml" in error


def test_two_plans_of_one_name_are_refused_before_anything_is_compiled(tmp_path, capsys) -> None:
    (tmp_path / "opens.yaml").write_bytes((ROOT / "plans/fs/opens.yaml").read_bytes())
    words = ["bundle", "opens", str(tmp_path / "opens.yaml"), "--kernel", STOCK]
    assert main([*words, "-o", str(tmp_path / "out")]) == 2
    assert "two plans would be written to" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_recordings_of_one_name_are_refused(tmp_path: Path, capsys) -> None:
    other = tmp_path / "6.1.facts.xz"
    other.write_bytes(Path(STOCK).read_bytes())
    assert main(["bundle", "opens", "--kernel", STOCK, str(other), "--check"]) == 2
    assert "two recordings are called '6.1'" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_found_before_anything_is_compiled(
    monkeypatch, tmp_path: Path, capsys
) -> None:
    texts = compile_to_nothing(monkeypatch)
    place = tmp_path / "missing" / "x.ppb"
    assert main(["bundle", "opens", "--kernel", STOCK, "-o", str(place)]) == 2
    assert "No such file or directory" in capsys.readouterr().err
    assert not texts


def test_without_a_compiler_that_works_the_exit_code_is_3(tmp_path: Path) -> None:
    """A module bcc that cannot be loaded, as after an upgrade of Python."""
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").write_text("raise ImportError('no libbcc.so.0')")
    file = tmp_path / "x.ppb"
    done = subprocess.run(
        bundle_command("opens", "--kernel", STOCK, "-o", str(file)),
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "PROBEPLAN_CACHE": "off"},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 3
    assert "no libbcc.so.0; install python3-bpfcc" in done.stderr
    assert not file.exists()


@pytest.mark.slow
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Files may have 512 bytes, and the bundle has more."""
    file = tmp_path / "x.ppb"
    file.write_text("the old one")
    limited = ["prlimit", "--fsize=512", *bundle_command("opens", "--kernel", STOCK)]
    done = subprocess.run(
        [*limited, "-o", str(file)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert f"'{file}': File too large" in done.stderr
    assert file.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [file]


def test_a_build_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL while the first programs are compiled."""
    building = subprocess.Popen(
        bundle_command("opens", "--kernel", STOCK, "-o", str(tmp_path / "x.ppb")),
        env={**os.environ, "PROBEPLAN_CACHE": "off"},
        cwd=ROOT,
    )
    try:
        assert until(lambda: len(list_family(building.pid)) > 1)
    finally:
        building.kill()
    assert building.wait() == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- moments


def test_created_is_the_epoch_that_is_given() -> None:
    assert read_created({"SOURCE_DATE_EPOCH": "17"}) == 17
    assert read_created({}) > 1_700_000_000


@pytest.mark.parametrize("text", ["", "now", "-1", "1.5", "٣", "9" * 30])
def test_an_epoch_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="SOURCE_DATE_EPOCH is"):
        read_created({"SOURCE_DATE_EPOCH": text})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-03", 2 * DAY),
        ("1970-01-03T01:00", 2 * DAY + 3600),
        ("1970-01-03T01:00Z", 2 * DAY + 3600),
        ("1970-01-03T01:00+02:00", 2 * DAY - 3600),
    ],
)
def test_a_date_is_its_start_in_utc(text: str, seconds: int) -> None:
    assert read_expires(text, DAY) == seconds


@pytest.mark.parametrize("text", ["", "soon", "30d", "2027-02-30"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="is no date"):
        read_expires(text, 0)


def test_a_bundle_cannot_expire_before_it_is_built() -> None:
    with pytest.raises(PlanError, match=r"not after the moment of building, 1970-01-02T00:00Z"):
        read_expires("1970-01-02", DAY)
