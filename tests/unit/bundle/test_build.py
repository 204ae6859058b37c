"""Building bundles: each program once, the same input the same bytes, all or nothing."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.backends import compiled as programs_of
from orchestrator.backends.bcc.compiler import clang
from orchestrator.bundle import build
from orchestrator.bundle.build import BuildOptions, compile_blueprints, draw_blueprint
from orchestrator.bundle.file import read_bundle, write_bundle
from orchestrator.bundle.matrix import RecordedKernel
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from orchestrator.run.prepare import prepare
from tests.support.bundled_runs import build_bundle
from tests.support.compiling import compile_to_nothing
from tests.support.paths import KERNELS, ROOT
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import PLANS

TWO = [RecordedKernel(name=name, facts=recorded(name)) for name in ("6.1", "6.12")]
OPTIONS = BuildOptions(created=1_700_000_000)
VFS_READS = str(PLANS["vfs-reads"])


def test_each_program_is_compiled_twice_with_other_placeholders(monkeypatch) -> None:
    """Two kernels with four variants each, of four texts: all programs serve both. The plan is of a
    hot function, and the canary of a run takes the run's own program."""
    texts = compile_to_nothing(monkeypatch)
    reports: list[tuple[int, int]] = []
    bundle = build_bundle(VFS_READS, TWO, OPTIONS, lambda *progress: reports.append(progress))
    assert len(bundle.matrix) == 8
    assert len(bundle.programs) == 4
    assert len(texts) == len(set(texts)) == 2 * 4
    assert reports == [(2, 4), (4, 4)]


def test_runs_with_a_command_have_programs_that_follow_it(monkeypatch) -> None:
    compile_to_nothing(monkeypatch)
    options = BuildOptions(created=1, with_command=True)
    assert len(build_bundle(VFS_READS, TWO, options).programs) == 2 * 4


def test_additions_have_programs_next_to_those_without(monkeypatch) -> None:
    """A run with other additions has none; a bundle without any is written as before."""
    compile_to_nothing(monkeypatch)
    added = {"by": "container", "enrich": "containers"}
    bundle = build_bundle(VFS_READS, TWO, replace(OPTIONS, additions=added))
    plain = build_bundle(VFS_READS, TWO, OPTIONS)
    by, enrich = {"by": "container"}, {"enrich": "containers"}
    assert bundle.programs.keys() > plain.programs.keys()
    assert [dict(one.additions) for one in bundle.settings] == [{}, by, enrich, added]
    assert read_bundle(write_bundle(bundle), "x.ppb") == bundle
    assert b"additions" not in write_bundle(plain)
    facts = TWO[0].facts
    for additions, is_there in (({}, True), (by, True), (added, True), ({"by": "comm"}, False)):
        plan = load_plan(VFS_READS, additions=additions)
        artifact = prepare(plan, facts).choice.artifact
        assert (programs_of.make_program_key(artifact) in bundle.programs) == is_there


def test_a_program_that_no_row_names_does_no_harm(monkeypatch) -> None:
    """Bundles of 0.1.0 have programs that only count, for canaries."""
    compile_to_nothing(monkeypatch)
    bundle = build_bundle(VFS_READS, TWO, OPTIONS)
    [some, *_] = bundle.programs.values()
    old = replace(bundle, builder="0.1.0", programs={**bundle.programs, "0" * 64: some})
    assert read_bundle(write_bundle(old), "old.ppb") == old


def test_a_plan_that_needs_nothing_that_a_kernel_may_lack_has_one_program_less(monkeypatch) -> None:
    """Its probes take no trampolines: only fetching atomics make another text."""
    compile_to_nothing(monkeypatch)
    plan = f"{HEAD}probes: {{p: {{attach: 'syscall:sync', emit: [pid]}}}}\n".encode()
    assert len(build_bundle(plan, TWO, OPTIONS).programs) == 2


def test_a_bundle_has_the_program_that_a_host_would_compile() -> None:
    """Found by its key, filled with the host's numbers, it has the very same instructions."""
    plan = (
        f"{HEAD}target: {{uid: 0}}\n"
        "probes: {p: {attach: 'tracepoint:sched:sched_switch', "
        "emit: [args.next_pid, args.prev_prio]}}"
    )
    bundle = build_bundle(f"{plan}\n".encode(), TWO[:1], OPTIONS)
    artifact = prepare(load_plan(f"{plan}\n".encode()), recorded("6.12")).choice.artifact
    kept = bundle.programs[programs_of.make_program_key(artifact, bundle.compiler)]
    filled = programs_of.fill_artifact(artifact, kept.program)
    assert filled == programs_of.compile_artifact(artifact)
    assert {place.slot for place in kept.program.places} == {0, 1, 2}
    assert [number.name for number in artifact.numbers] == list(kept.slots)


def test_what_is_written_is_what_was_built(monkeypatch) -> None:
    compile_to_nothing(monkeypatch)
    options = BuildOptions(created=5, expires=6, with_command=True, target={"pid": ["1"]})
    bundle = build_bundle(VFS_READS, TWO, options)
    assert read_bundle(write_bundle(bundle), "x.ppb") == bundle


def test_a_plan_in_another_directory_gives_the_same_bytes(monkeypatch, tmp_path: Path) -> None:
    compile_to_nothing(monkeypatch)
    (tmp_path / "vfs-reads.yaml").write_bytes(PLANS["vfs-reads"].read_bytes())
    first, second = (
        write_bundle(build_bundle(str(path), TWO, OPTIONS))
        for path in (PLANS["vfs-reads"], tmp_path / "vfs-reads.yaml")
    )
    assert first == second


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """In two processes with other hash seeds and salts, each with the compiler, none with a
    cache."""
    bundle = [sys.executable, "-m", "orchestrator.cli", "bundle", "execs"]
    recording = str(KERNELS / "6.1.facts.xz")
    fixed = {"SOURCE_DATE_EPOCH": "1700000000", "PROBEPLAN_CACHE": "off"}
    for seed in ("1", "2"):
        subprocess.run(
            [*bundle, "--kernel", recording, "-o", str(tmp_path / f"{seed}.ppb")],
            env={**os.environ, **fixed, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            check=True,
        )
    assert (tmp_path / "1.ppb").read_bytes() == (tmp_path / "2.ppb").read_bytes()


# ---------------------------------------------------------------- refusals


def test_kernels_of_two_architectures_are_shown_together_and_not_built(monkeypatch) -> None:
    texts = compile_to_nothing(monkeypatch)
    kernels = [TWO[0], RecordedKernel(name="arm", facts=recorded("6.1-arm64"))]
    blueprint = draw_blueprint(VFS_READS, kernels, OPTIONS)
    assert {row.arch for row in blueprint.bundle.matrix} == {"x86_64", "aarch64"}
    with pytest.raises(PlanError, match=r"arm is of aarch64, 6\.1 is of x86_64"):
        compile_blueprints([blueprint])
    assert not texts


def test_too_many_combinations_are_refused() -> None:
    values = [str(number) for number in range(65)]
    with pytest.raises(PlanError, match="65 combinations, and a bundle has at most 64"):
        draw_blueprint(VFS_READS, TWO, BuildOptions(target={"pid": values}))


def test_more_programs_than_a_bundle_can_have_are_refused_before_they_are_compiled(monkeypatch):
    texts = compile_to_nothing(monkeypatch)
    monkeypatch.setattr(build, "MOST_PROGRAMS", 3)
    with pytest.raises(PlanError, match=r"bundle of vfs-reads would have 4 programs, .* at most 3"):
        build_bundle(VFS_READS, TWO, OPTIONS)
    assert not texts


def test_without_a_compiler_nothing_is_built(monkeypatch) -> None:
    monkeypatch.setattr(programs_of, "read_compiler_version", lambda: "absent")
    with pytest.raises(HostError, match=r"no compiler here: Python's module bcc"):
        build_bundle(VFS_READS, TWO, OPTIONS)


def test_a_program_that_cannot_be_compiled_ends_the_build_and_names_the_kernel(monkeypatch) -> None:
    def compile_texts(*_):
        raise clang.CompileError("no such luck")

    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    monkeypatch.setattr(clang, "compile_texts", compile_texts)
    with pytest.raises(HostError, match=r"for 6\.\d+\S*: .*could not be compiled: no such luck"):
        build_bundle(VFS_READS, TWO, OPTIONS)


def test_a_program_that_cannot_be_compiled_is_found_among_those_compiled_with_it(monkeypatch):
    compile_to_nothing(monkeypatch)
    compile_texts = clang.compile_texts

    def refuse_one(texts):
        if any("PP_HAVE_FETCH" not in text for text, _ in texts):
            raise clang.CompileError(f"one of {len(texts)}")
        return compile_texts(texts)

    monkeypatch.setattr(clang, "compile_texts", refuse_one)
    plan = f"{HEAD}probes: {{p: {{attach: 'syscall:sync', emit: [pid]}}}}\n".encode()
    kernels = [RecordedKernel(name=name, facts=recorded(name)) for name in ("6.1", "5.10")]
    with pytest.raises(HostError, match=r"one of [12]$") as refused:
        build_bundle(plan, kernels, OPTIONS)
    assert "for 6.1.0" in str(refused.value)


def test_salts_of_hashed_strings_are_in_no_program() -> None:
    """They are drawn for each run."""
    plan = (
        f"{HEAD}probes: {{p: {{attach: 'syscall:openat', redact: hash, "
        "emit: {file: str(args.filename)}}}\n"
    ).encode()
    first, second = (draw_blueprint(plan, TWO, OPTIONS).artifacts.keys() for _ in range(2))
    assert first == second
