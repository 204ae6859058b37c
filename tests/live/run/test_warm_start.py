"""A run like an earlier one attaches what that one attached, and reads no plan for it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.live.run.test_counts import backends
from tests.support.bundled_runs import build_file
from tests.support.paths import ROOT
from tests.support.product import Ran
from tests.support.signing import allow_line, make_key, sign_file

CALLS = 700
WORKLOAD = [
    sys.executable,
    "-S",
    "-c",
    f"import os\nfor _ in range({CALLS}): os.getppid()",
]
PLAN = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: warm, summary: Calls of getppid}
params:
  wanted: {type: int, default: -1, summary: A number}
probes:
  calls:
    attach: tracepoint:syscalls:sys_enter_getppid
    let: {nr: args.__syscall_nr}
    where: nr != params.wanted
    emit: {nr: nr}
    metrics: {n: {count: true, by: [nr]}}
"""
#: Runs probeplan with another cache, and writes down what was imported before the probes record.
DRIVER = """
import sys
python = set(sys.modules)
import json
from pathlib import Path
from orchestrator.backends import cache_directory
cache_directory.SYSTEM_DIRECTORY = Path(sys.argv[1])
import orchestrator.cli.run
from orchestrator.cli import main
from orchestrator.run import lifecycle
arm = lifecycle.arm
def note_imports(*given):
    Path(sys.argv[2]).write_text(json.dumps(list(set(sys.modules) - python)))
    return arm(*given)
lifecycle.arm = note_imports
sys.exit(main(sys.argv[3:]))
"""
#: What a run that is warm does without, as beginnings of names.
NOT_NEEDED = (
    "jsonschema",
    "yaml",
    "structlog",
    "numpy",
    "rich",
    "bcc",
    "lzma",
    "subprocess",
    "orchestrator.kernel.btf_blob",
    "orchestrator.run.loop",
    "orchestrator.run.report.finish",
    "orchestrator.run.report.records",
    "orchestrator.run.report.verdict",
    "orchestrator.plan.load",
    "orchestrator.plan.build",
    "orchestrator.plan.semantics",
    "orchestrator.plan.document.parse",
    "orchestrator.plan.document.schema",
    "orchestrator.plan.expression.parse",
    "orchestrator.compile.lower",
    "orchestrator.compile.type_hook",
    "orchestrator.compile.points",
    "orchestrator.compile.expressions.typing",
    "orchestrator.backends.bcc.artifact",
    "orchestrator.backends.bcc.emit.source",
    "orchestrator.backends.tracefs.design.lowering",
    "orchestrator.run.prepare",
)


class Warm:
    """Runs of one plan with a separate cache."""

    def __init__(self, folder: Path) -> None:
        self.cache, self.plan = folder / "cache", folder / "plan.yaml"
        self._imports = folder / "imports"
        self.plan.write_text(PLAN)

    def run(
        self, *options: str, command: Sequence[str] = WORKLOAD, given: str = ""
    ) -> tuple[Ran, bool]:
        """What the run logged, and whether it read the plan; `given` on its standard input."""
        self._imports.unlink(missing_ok=True)
        driver = [sys.executable, "-c", DRIVER, str(self.cache), str(self._imports)]
        argv = [*driver, "run", str(self.plan), *options, "--no-canary", "--", *command]
        done = subprocess.run(
            argv, cwd=ROOT, capture_output=True, check=False, input=given.encode()
        )
        assert done.returncode == 0, done.stderr.decode()
        return Ran.of(done.stdout), "orchestrator.plan.load" in self.imported

    @property
    def imported(self) -> set[str]:
        """The modules that were there when the last run was armed."""
        return set(json.loads(self._imports.read_text()))

    @property
    def kept(self) -> list[Path]:
        """What is kept of prepared plans."""
        return sorted(self.cache.glob("prepared-*"))


@pytest.fixture
def warm(tmp_path: Path) -> Warm:
    return Warm(tmp_path)


def fixed(ran: Ran) -> list[dict[str, Any]]:
    """All lines, without what is different in each run."""
    moving = ("ts", "run_id", "time_unix_nano", "pid", "tid", "cpu")
    lines = [
        *ran.of_kind("run.started"),
        *ran.of_kind("probe.attached"),
        *ran.of_kind("event.recorded"),
    ]
    return [{name: value for name, value in line.items() if name not in moving} for line in lines]


@backends
def test_a_second_run_sees_the_same_without_the_language_or_a_compiler(
    backend: str, warm: Warm
) -> None:
    (first, first_read), (second, second_read) = (warm.run("--backend", backend) for _ in range(2))
    assert (first_read, second_read) == (True, False)
    assert [name for name in sorted(warm.imported) if name.startswith(NOT_NEEDED)] == []
    assert len(second.data("calls")) == CALLS
    assert fixed(second) == fixed(first)
    assert second.cells("calls", "n") == first.cells("calls", "n")
    # Other programs of the host may call too: they fire, and are not the target.
    for part in ("emit", "metrics"):
        assert second.ledger("calls")[part] == first.ledger("calls")[part]


def test_whatever_the_run_depends_on_is_looked_at_again(warm: Warm, tmp_path: Path) -> None:
    tracefs = ("--backend", "tracefs")
    assert warm.run(*tracefs)[1]
    assert warm.run(*tracefs, "--set", "wanted=-2")[1]
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: probeplan/v1\nkind: Policy\nlimits: {events: 1k}\n")
    assert warm.run(*tracefs, "--policy", str(policy))[1]
    ran, read = warm.run(*tracefs, "--policy", str(policy))
    assert not read
    assert [one["file"] for one in ran.of_kind("run.started")[0]["policies"]] == [str(policy)]
    policy.write_text("apiVersion: probeplan/v1\nkind: Policy\nlimits: {events: 2k}\n")
    assert warm.run(*tracefs, "--policy", str(policy))[1]
    warm.plan.write_text(PLAN + "# changed\n")
    assert warm.run(*tracefs)[1]
    assert not warm.run(*tracefs)[1]


def test_a_policy_in_a_pipe_is_read_once(warm: Warm) -> None:
    policy = "apiVersion: probeplan/v1\nkind: Policy\nlimits: {events: 1k}\n"
    options = ("--backend", "tracefs", "--policy", "-")
    (first, first_read), (second, second_read) = (warm.run(*options, given=policy) for _ in "12")
    assert (first_read, second_read) == (True, False)
    for ran in (first, second):
        [used] = ran.of_kind("run.started")[0]["policies"]
        assert used["file"] == "<stdin>"


def test_a_policy_that_forbids_the_plan_forbids_it_when_it_is_warm(
    warm: Warm, tmp_path: Path
) -> None:
    warm.run("--backend", "tracefs")
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: probeplan/v1\nkind: Policy\ndeny_kinds: [tracepoint]\n")
    with pytest.raises(AssertionError, match="PP12"):
        warm.run("--backend", "tracefs", "--policy", str(policy))


def test_damaged_and_foreign_files_are_not_used(warm: Warm) -> None:
    warm.run("--backend", "tracefs")
    (kept,) = warm.kept
    content = kept.read_bytes()
    kept.write_bytes(content.replace(b"sys_enter_getppid", b"sys_enter_getpgid"))
    assert warm.run("--backend", "tracefs")[1]
    warm.cache.chmod(0o777)
    assert warm.run("--backend", "tracefs")[1]
    warm.cache.chmod(0o700)
    assert not warm.run("--backend", "tracefs")[1]


def test_what_is_left_out_by_number_and_name_is_kept_and_paths_are_looked_up_again(
    warm: Warm,
) -> None:
    """A path may lead to another file or cgroup in the next run."""
    left_out = ("not.comm=nothing", "not.pid=1", "not.uid=4294967294")
    words = ["--backend", "bcc", *(word for one in left_out for word in ("--target", one))]
    runs = [warm.run(*words) for _ in range(2)]
    assert [(read, len(ran.data("calls"))) for ran, read in runs] == [(True, CALLS), (False, CALLS)]
    for path in (f"exe={os.path.realpath(sys.executable)}", "not.exe=/bin/true"):
        runs = [warm.run("--backend", "bcc", "--target", path) for _ in range(2)]
        assert [(read, len(ran.data("calls"))) for ran, read in runs] == [(True, CALLS)] * 2


def test_a_bundle_serves_programs_and_what_is_left_out(warm: Warm, tmp_path: Path) -> None:
    """Their numbers are this host's: no program is compiled."""
    plan = PLAN.replace("probes:", "target: {exe: EXE, not: {pid: 1, exe: /bin/true}}\nprobes:")
    text = plan.replace("EXE", os.path.realpath(sys.executable)).encode()
    warm.plan = build_file(tmp_path / "x.ppb", text, ["6.1", "6.12"], command=True)
    for ran, read in [warm.run("--backend", "bcc") for _ in range(2)]:
        assert read  # files are named
        assert ran.of_kind("run.started")[0]["bundle"]["key"]
        assert len(ran.data("calls")) == CALLS


def test_a_second_run_of_a_bundle_is_warm_too_and_looks_for_no_compiler(
    warm: Warm, tmp_path: Path
) -> None:
    """Its programs are for other kernels; what is kept is what this host made of the plan."""
    warm.plan = build_file(tmp_path / "x.ppb", PLAN.encode(), ["6.1", "6.12"], command=True)
    (first, first_read), (second, second_read) = (warm.run("--backend", "bcc") for _ in range(2))
    assert (first_read, second_read) == (True, False)
    unpacking = "lzma"  # a bundle is an .xz file
    needless = tuple(name for name in NOT_NEEDED if name != unpacking)
    needless += ("orchestrator.backends.bcc.compiler.clang",)
    assert [name for name in sorted(warm.imported) if name.startswith(needless)] == []
    assert len(second.data("calls")) == CALLS
    assert fixed(second) == fixed(first)
    assert second.of_kind("run.started")[0]["bundle"]["key"]
    warm.plan.write_bytes(warm.plan.read_bytes()[:-1])
    with pytest.raises(AssertionError, match="PP240"):
        warm.run("--backend", "bcc")


def test_signatures_are_checked_in_each_run_against_the_signers_of_then(
    warm: Warm, tmp_path: Path
) -> None:
    """A plan that is signed is warm too. What was accepted is not kept."""
    ann, bob = (make_key(tmp_path, name) for name in ("ann", "bob"))
    signers, policy = tmp_path / "signers", tmp_path / "policy.yaml"
    signers.write_text(allow_line("ann@example.com", ann))
    policy.write_text(
        "apiVersion: probeplan/v1\nkind: Policy\n"
        f"signatures: {{required: true, signers: {signers}}}\n"
    )
    options = ("--backend", "tracefs", "--policy", str(policy))
    sign_file(ann, warm.plan)
    assert warm.run(*options)[1]
    ran, read = warm.run(*options)
    assert not read
    [accepted] = ran.of_kind("run.started")[0]["signatures"]
    assert (accepted["status"], accepted["principal"]) == ("accepted", "ann@example.com")
    signers.write_text(allow_line("bob@example.com", bob))
    with pytest.raises(AssertionError, match="PP132"):
        warm.run(*options)
    sign_file(bob, warm.plan)
    [accepted] = warm.run(*options)[0].of_kind("run.started")[0]["signatures"]
    assert accepted["principal"] == "bob@example.com"
    warm.plan.with_name("plan.yaml.sig").unlink()
    with pytest.raises(AssertionError, match="PP131"):
        warm.run(*options)


def test_another_process_is_a_number_that_is_filled_in(warm: Warm, tmp_path: Path) -> None:
    """The command lets a process that was named call, and waits for its end: no other task of the
    target calls."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    waiting = f"open({str(gate)!r}).read()\nimport os\nfor _ in range({CALLS}): os.getppid()"
    reads = []
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-S", "-c", waiting]) as named:
            opening = (
                f"open({str(gate)!r}, 'w').close()\n"
                f"while open('/proc/{named.pid}/stat').read().rpartition(') ')[2][0] != 'Z': pass"
            )
            target = ("--target", f"pid={named.pid}", "--backend", "bcc")
            ran, read = warm.run(*target, command=[sys.executable, "-S", "-c", opening])
        reads.append(read)
        assert ran.of_kind("run.started")[0]["target"]["pid"] == [named.pid]
        assert {line["pid"] for line in ran.of_kind("event.recorded")} == {named.pid}
        assert len(ran.data("calls")) == CALLS
    assert reads == [True, False]
    assert len(warm.kept) == 1


def test_nothing_is_kept_of_a_plan_that_shows_digests(warm: Warm) -> None:
    """Their salt is drawn for each run."""
    warm.plan.write_text(
        PLAN.replace("getppid", "chdir").replace("emit: {nr: nr}", "emit: {f: str(args.filename)}")
        + "    redact: hash\n"
    )
    for _ in range(2):
        assert warm.run("--backend", "bcc", command=["true"])[1]
    assert warm.kept == []
