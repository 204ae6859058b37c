"""`probeplan lint` as a user, an editor and a CI job call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import KERNELS, PLAN_DATA
from tests.support.plans import HEAD, RECIPES, VALID, probe

GOOD = PLAN_DATA / "valid" / "slow-reads.yaml"
BAD = probe("where: a && b\nemit: {}\nsmaple: 1/10")


def lint(*args: object, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "lint", *map(str, args)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    assert "Traceback" not in out + err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def summary(done: subprocess.CompletedProcess[str]) -> str:
    """What was read and found, without what only a kernel can check."""
    return done.stderr.splitlines()[0]


def test_good_plans_say_nothing_and_exit_0() -> None:
    """Nothing on standard output, a summary on standard error."""
    done = lint(GOOD, GOOD)
    assert (done.returncode, done.stdout, summary(done)) == (0, "", "2 plans, no errors")


def test_every_key_of_the_language_passes() -> None:
    """A plan that uses all keys has no error."""
    done = lint(*VALID)
    assert (done.returncode, done.stdout, summary(done)) == (0, "", "2 plans, no errors")


def test_every_problem_is_told_at_its_place(tmp_path: Path) -> None:
    """One line a finding, a hint below it, exit code 2."""
    plan = tmp_path / "bad.yaml"
    plan.write_bytes(BAD)
    done = lint(plan)
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        f"{plan}:8:14: error[PP020]: && is not part of the expression language, in 'a && b'",
        "  hint: write `and`",
        f"{plan}:10:5: error[PP030]: `probes.read` has no key 'smaple'",
        "  hint: did you mean 'sample'?",
    ]
    assert done.stderr == "1 plan, 2 errors\n"


def test_warnings_alone_exit_0(tmp_path: Path) -> None:
    """A warning is reported and counted, and does not fail a build."""
    plan = tmp_path / "warned.yaml"
    plan.write_bytes(probe("let: {comm: args.name}\nemit: {who: comm}"))
    done = lint(plan)
    assert (done.returncode, summary(done)) == (0, "1 plan, no errors, 1 warning")
    assert ": warning[PP070]: " in done.stdout


def test_directories_are_searched_for_plans(tmp_path: Path) -> None:
    """Recursively, in order; YAML that is no plan is left alone, a broken plan is not."""
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "deep.yml").write_bytes(BAD)
    (tmp_path / "a.yaml").write_bytes(GOOD.read_bytes())
    (tmp_path / "workflow.yaml").write_text(
        "on: push\njobs: {lint: {run: probeplan lint plans/}}\n"
    )
    (tmp_path / "notes.txt").write_bytes(BAD)
    done = lint(tmp_path)
    assert (done.returncode, summary(done)) == (2, "2 plans, 2 errors")
    assert all("deep.yml" in line for line in done.stdout.splitlines() if "error" in line)


def test_pipes_in_a_directory_are_passed_over_and_dead_links_told(tmp_path: Path) -> None:
    """A pipe would make lint wait for ever; a link to nowhere is someone's mistake."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "gone.yaml")
    (tmp_path / "plan.yaml").write_bytes(GOOD.read_bytes())
    done = lint(tmp_path)
    assert (done.returncode, summary(done)) == (2, "2 plans, 1 error")
    assert "link.yaml: error[PP001]" in done.stdout


def test_a_directory_without_plans_is_an_error(tmp_path: Path) -> None:
    """A gate must not pass because it checked nothing."""
    done = lint(tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}: error[PP012]: no plans and no checks in the directory" in done.stdout


def test_json_holds_every_part_of_a_finding(tmp_path: Path) -> None:
    """A list of records, empty when all is well."""
    plan = tmp_path / "bad.yaml"
    plan.write_bytes(BAD)
    done = lint("--format", "json", plan)
    assert json.loads(done.stdout)[1] == {
        "file": str(plan),
        "line": 10,
        "column": 5,
        "severity": "error",
        "code": "PP030",
        "message": "`probes.read` has no key 'smaple'",
        "hint": "did you mean 'sample'?",
    }
    assert json.loads(lint("--format", "json", GOOD).stdout) == []


def test_github_annotations_are_escaped(tmp_path: Path) -> None:
    """Percent signs, line ends, and in fields colons and commas, cannot end a command."""
    plan = tmp_path / "a,b:c%d.yaml"
    plan.write_bytes(BAD)
    first, second = lint("--format", "github", plan).stdout.splitlines()
    name = str(plan).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    assert first == (
        f"::error file={name},line=8,col=14,title=PP020::&& is not part of the expression "
        "language, in 'a && b'%0Ahint: write `and`"
    )
    assert second.startswith(f"::error file={name},line=10,col=5,title=PP030::")


def test_standard_input_is_a_plan() -> None:
    """`-` suits editors and pipes."""
    done = lint("-", stdin=BAD)
    assert done.returncode == 2
    assert done.stdout.startswith("<stdin>:8:14: error[PP020]")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "PP005"),
        (b"\x00" * 100, "PP003"),
        (b"\xff\xfe\x00", "PP003"),
        (HEAD.encode().replace(b"example", b"ex\xc3(mple"), "PP003"),
        (b"a: &a [x]\nb: &b [*a,*a]\n" + b"c: [" + b"*b," * 20_000 + b"]", "PP010"),
        (b"\x7fELF\x02\x01\x01", "PP003"),
        (b"a: [1, 2", "PP004"),
    ],
)
def test_bad_files_are_findings(tmp_path: Path, content: bytes, code: str) -> None:
    """Empty, binary, mis-encoded, exploding: exit 2, one finding with the file's name."""
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(content)
    done = lint(plan)
    assert done.returncode == 2
    assert done.stdout.startswith(str(plan))
    assert f"error[{code}]" in done.stdout


def test_a_file_of_100_mb_is_refused_by_its_size(tmp_path: Path) -> None:
    """It is not read to the end: memory for it is not there (address space of 400 MB)."""
    plan = tmp_path / "huge.yaml"
    with plan.open("wb") as file:
        file.write(GOOD.read_bytes())
        file.truncate(100 << 20)
    done = subprocess.run(
        ["prlimit", "--as=419430400", sys.executable, "-m", "orchestrator.cli", "lint", plan],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (2, "1 plan, 1 error\n")
    assert "error[PP002]: the file is larger than 1 MiB" in done.stdout


def test_missing_files_are_findings_beside_the_others(tmp_path: Path) -> None:
    """One bad path does not hide the findings of the next."""
    plan = tmp_path / "bad.yaml"
    plan.write_bytes(BAD)
    done = lint(tmp_path / "none.yaml", plan, tmp_path / ("x" * 300))
    assert done.returncode == 2
    assert done.stdout.count("error[PP001]") == 2
    assert done.stdout.count("error[PP030]") == 1


@pytest.mark.root
def test_an_unreadable_file_is_a_finding(tmp_path: Path) -> None:
    """Permission denied is reported as such, and what to do about it."""
    plan = tmp_path / "secret.yaml"
    plan.write_bytes(GOOD.read_bytes())
    plan.chmod(0o000)
    code = (
        "import os, sys; from orchestrator.cli import main; import orchestrator.cli.lint; "
        f"os.setuid(65534); sys.exit(main(['lint', {str(plan)!r}]))"
    )
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error[PP001]: cannot read" in done.stdout
    assert "Permission denied" in done.stdout


def test_names_that_are_not_utf8_are_printed() -> None:
    """A file name is bytes; it comes out escaped, not as a crash."""
    done = lint(os.fsdecode(b"\xff.yaml"), PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "\\udcff.yaml" in done.stdout


def test_no_path_at_all_is_a_usage_error() -> None:
    """Exit 2 and a word on what is missing."""
    done = lint()
    assert (done.returncode, done.stdout) == (2, "")
    assert "name plans or directories" in done.stderr


def test_plans_behind_kernel_are_told_to_stand_before_it() -> None:
    """`--kernel FACTS PLAN` takes the plan for facts."""
    done = lint("--kernel", "some.facts", "plan.yaml")
    assert done.returncode == 2
    assert "before --kernel" in done.stderr


def test_codes_are_explained() -> None:
    """`--explain` prints meaning, cure and example of a code; without a known one, all codes and
    the nearest one."""
    shown = lint("--explain", "pp022").stdout
    assert shown.startswith("PP022: unknown name\n")
    assert "What to do: " in shown
    assert "where: retvall < 0" in shown
    done = lint("--explain", "PP85")
    assert done.returncode == 2
    assert "there is no code 'PP85'" in done.stderr
    assert "did you mean" in done.stderr
    assert lint("--explain").stdout == done.stdout
    assert len(done.stdout.splitlines()) > 80


def test_params_can_be_set() -> None:
    """--set is judged like the plan's own values."""
    latency = next(path for path in RECIPES if path.stem == "latency-of")
    assert lint(latency, "--set", "function=entry:vfs_read").returncode == 2
    assert lint(latency, "--set", "function=function:vfs_read").returncode == 0
    assert "not KEY=VALUE" in lint(latency, "--set", "function").stderr


FACTS = KERNELS / "6.1.facts.xz"
MISTYPED = probe("where: comm > 3 and args.count > 5\nemit: {}", attach="syscall:read")


def test_types_that_fit_on_no_kernel_are_found_without_one(tmp_path: Path) -> None:
    """Once: with a kernel, the finding about the same place is not repeated for it."""
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(MISTYPED)
    for kernels in ((), ("--kernel", "all")):
        done = lint(plan, *kernels)
        assert done.returncode == 2
        assert done.stdout.splitlines() == [
            f"{plan}:8:12: error[PP084]: `>` between string[16] and s32",
            '  hint: use ==, !=, startswith(s, "…") or glob(s, "*…")',
        ]


def test_what_only_a_kernel_can_check_is_counted(tmp_path: Path) -> None:
    """In one line, with the option that checks it; in a field for programs."""
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(MISTYPED)
    left = "not checked without a kernel: 1 argument, 1 attach point; add --kernel debian:6.1"
    assert lint(plan).stderr.splitlines() == ["1 plan, 1 error", left]
    assert lint(plan, "--kernel", FACTS).stderr == "1 plan, 1 error\n"
    report = json.loads(lint(plan, "--format", "report").stdout)
    assert report["unchecked"] == {"arguments": 1, "attach_points": 1}
    assert (report["plans"], [finding["code"] for finding in report["findings"]]) == (1, ["PP084"])
    checked = json.loads(lint(plan, "--format", "report", "--kernel", FACTS).stdout)
    assert checked["unchecked"] == {"arguments": 0, "attach_points": 0}


def test_kernels_have_names(tmp_path: Path) -> None:
    """As if their files were named; an unknown name lists those that are known."""
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(probe("emit: {}", attach="function:no_such_function"))
    assert lint(plan, "--kernel", "debian:6.1").stdout == lint(plan, "--kernel", FACTS).stdout
    assert lint(plan, "--kernel", "all").stdout.count("error[PP080]: on ") == 4
    refused = lint(plan, "--kernel", "debian:9")
    assert refused.returncode == 2
    assert (
        "known: debian:5.10, debian:6.1, debian:6.12, debian:7.x" in refused.stdout + refused.stderr
    )


def test_plans_are_checked_against_recorded_kernels(tmp_path: Path) -> None:
    """A symbol that a kernel lacks is reported offline, with the kernel's release."""
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(probe("emit: {}", attach="function:no_such_function"))
    done = lint(plan, "--kernel", FACTS)
    assert done.returncode == 2
    assert f"{plan}:7:13: error[PP080]: on 6.1." in done.stdout


@pytest.mark.parametrize(
    ("metric", "code", "place"),
    [
        ("{count: true, by: [f, comm]}", "PP110", "10:7"),
        ("{count: true, by: [g], keys: 1M}", "PP091", "10:7"),
    ],
    ids=["key", "memory"],
)
def test_what_no_backend_can_run_is_an_error(
    tmp_path: Path, metric: str, code: str, place: str
) -> None:
    """As for `explain`: keys that do not fit on the stack, memory beyond limits.memory."""
    plan = tmp_path / "plan.yaml"
    lines = ['let: {f: "str(args.filename, 512)", g: "str(args.filename, 200)"}', "metrics:"]
    plan.write_bytes(probe("\n".join([*lines, f"  n: {metric}"]), attach="syscall:openat"))
    done = lint(plan, "--kernel", FACTS)
    assert done.returncode == 2
    assert f"{plan}:{place}: error[{code}]: on 6.1." in done.stdout
    assert lint(plan).returncode == 0


OPTIONAL = """attach_all:
  - entry:tcp_connect
  - {to: "entry:%s", optional: true, let: {port: %s}}
let: {port: args.sk.__sk_common.skc_num}
metrics: {n: {count: true, by: [port]}}"""


@pytest.mark.parametrize(
    ("function", "port", "said"),
    [
        ("tcp_close", "args.skk.__sk_common.skc_num", "did you mean 'sk'?"),
        ("tcp_close", "args.sk.__sk_common.skc_nun", "did you mean 'skc_num'"),
        ("tcp_close", "args.sk.__sk_common.skc_num", ""),
        ("no_such_function", "args.skk", ""),
    ],
    ids=["argument", "member", "right", "absent"],
)
def test_a_name_that_an_optional_attach_point_does_not_know_is_warned_of(
    tmp_path: Path, function: str, port: str, said: str
) -> None:
    """With its place; not where the attach point itself is what the kernel lacks."""
    plan = tmp_path / "plan.yaml"
    text = probe(OPTIONAL % (function, port)).replace(b"    attach: function:vfs_read\n", b"")
    plan.write_bytes(text)
    done = lint(plan, "--kernel", FACTS, KERNELS / "6.12.facts.xz")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("warning[PP082]: on 6.") == (2 if said else 0)
    assert said in done.stdout
    if said:
        assert f"{plan}:9:" in done.stdout
        assert f"entry:{function} is left out: " in done.stdout


def test_what_one_of_the_kernels_knows_is_not_warned_of(tmp_path: Path) -> None:
    """task_struct's `state` was renamed to `__state`: the item is for those that have it."""
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(
        HEAD.encode()
        + b"""probes:
  p:
    attach_all:
      - {to: rawtracepoint:sched_wakeup, let: {state: 0}}
      - {to: rawtracepoint:sched_switch, optional: true, let: {state: args.prev.state}}
    where: state == 0
    metrics: {n: {count: true}}
"""
    )
    old, new = KERNELS / "5.10.facts.xz", KERNELS / "6.12.facts.xz"
    assert "PP082" in lint(plan, "--kernel", new).stdout
    assert lint(plan, "--kernel", old, new).stdout == ""


def test_a_plan_that_waits_for_a_param_is_not_refused_by_kernels() -> None:
    """It cannot be resolved yet: a warning says so, and how to have it checked."""
    latency = next(path for path in RECIPES if path.stem == "latency-of")
    done = lint(latency, "--kernel", FACTS)
    assert done.returncode == 0
    assert "warning[PP068]: not checked against kernels" in done.stdout


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    """A wrong or missing file under --kernel is the user's to fix: exit 2."""
    junk = tmp_path / "junk.facts"
    junk.write_bytes(b"junk")
    done = lint(GOOD, "--kernel", junk)
    assert done.returncode == 2
    assert str(junk) in done.stderr
    assert lint(GOOD, "--kernel", tmp_path / "none").returncode == 2


# ---------------------------------------------------------------- checks

CHECK = """\
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: quiet, summary: Tests make nothing durable}
plan: fsync
workload: {run: [make, test]}
expect: {syncs: sync.calls == 0}
"""


def test_checks_are_linted_beside_plans(tmp_path: Path) -> None:
    (tmp_path / "check.yaml").write_text(CHECK)
    (tmp_path / "plan.yaml").write_bytes(GOOD.read_bytes())
    done = lint(tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert summary(done) == "1 plan, 1 check, no errors"


def test_a_check_is_refused_at_its_place_and_two_of_one_name_are_one_too_many(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.yaml").write_text(CHECK)
    (tmp_path / "b.yaml").write_text(CHECK)
    done = lint(tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}/b.yaml:3:18: error[PP210]" in done.stdout
    (tmp_path / "b.yaml").write_text(CHECK.replace("sync.calls", "sync.cals"))
    done = lint(tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}/b.yaml:6:17: error[PP071]: there is no metric 'sync.cals'" in done.stdout
    assert summary(done) == "2 checks, 1 error"


def test_the_plan_of_a_check_is_checked_against_kernels_and_policies(tmp_path: Path) -> None:
    body = "{probes: {sync: {attach: 'function:no_such', metrics: {calls: {count: true}}}}}"
    file = tmp_path / "a.yaml"
    file.write_text(CHECK.replace("plan: fsync", f"plan: {body}"))
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: probeplan/v1\nkind: Policy\ndeny_kinds: [function]\n")
    assert lint(file).returncode == 0
    assert f"{file}:4:" in lint(file, "--kernel", FACTS).stdout
    assert "PP121" in lint(file, "--policy", policy).stdout


def test_every_attach_point_that_a_kernel_lacks_is_reported(tmp_path: Path) -> None:
    """Of attach_all, not the first alone."""
    plan = tmp_path / "plan.yaml"
    items = "attach_all: [function:no_such_a, tracepoint:sched:no_such_b]\n    emit: {}\n"
    plan.write_text(f"{HEAD}probes:\n  p:\n    {items}")
    done = lint(plan, "--kernel", "debian:6.1")
    assert [line.split(": ")[0] for line in done.stdout.splitlines() if "PP080" in line] == [
        f"{plan}:6:18",
        f"{plan}:6:38",
    ]


def test_types_that_a_profile_may_lack_are_said_to_be_left_out(tmp_path: Path) -> None:
    """A profile has no types of ACPI: a host may know the argument."""
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(probe("emit: {x: args.handle}", attach="function:acpi_evaluate_object"))
    done = lint(plan, "--kernel", "debian:6.1")
    assert "error[PP082]" in done.stdout
    assert "or it was left out of this recording" in done.stdout
