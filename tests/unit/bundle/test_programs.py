"""The backend whose programs are a bundle's: found by the text that the host would compile, filled
with its numbers, and no mixture of mechanisms."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.backends.bcc.attach import attaching
from orchestrator.backends.bcc.attach.attachments import TrampolineRefused
from orchestrator.backends.bcc.compiler.places import OpenPlace, OpenProgram
from orchestrator.backends.protocol import Artifact, AttachOptions
from orchestrator.bundle.build import BuildOptions
from orchestrator.bundle.matrix import RecordedKernel
from orchestrator.bundle.model import Bundle
from orchestrator.bundle.programs import BundledPrograms
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import no
from orchestrator.plan.findings import Finding, HostError
from orchestrator.plan.load import load_plan
from orchestrator.run.prepare import resolve
from tests.support.bundled_runs import build_bundle
from tests.support.compiling import compile_to_nothing
from tests.support.paths import ROOT
from tests.support.recorded import HEAD, recorded

PLAN = f"{HEAD}probes: {{p: {{attach: 'entry:vfs_read', emit: [pid, comm]}}}}\n".encode()
TWO = (
    f"{HEAD}probes:\n  p: {{attach: 'entry:vfs_read', emit: [pid]}}\n"
    "  q: {attach: 'entry:vfs_write', emit: [pid]}\n"
).encode()
SWITCH = (
    f"{HEAD}probes: {{p: {{attach: 'tracepoint:sched:sched_switch', emit: [args.next_pid]}}}}\n"
).encode()
OPTIONS = AttachOptions(run_id="r")
HOST = recorded("6.12")


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_to_nothing(monkeypatch)


def bundle_of(plan: bytes, **options: Any) -> Bundle:
    kernels = [RecordedKernel(name="6.1", facts=recorded("6.1"))]
    return build_bundle(plan, kernels, BuildOptions(created=1, **options))


def program_of(plan: bytes, facts: KernelFacts = HOST, **overrides: Mapping[str, str]) -> Program:
    return resolve(load_plan(plan, **overrides), facts).program


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> list[Artifact[Any]]:
    """What was tried to be attached, on a host that refuses trampolines."""
    artifacts: list[Artifact[Any]] = []

    def attach_compiled(artifact: Artifact[Any], _code: object, _options: object) -> str:
        artifacts.append(artifact)
        for hook, plan in zip(artifact.program.hooks, artifact.hooks, strict=True):
            if plan.mechanism == "fentry":
                finding = Finding(code="PP089", message="no trampoline here")
                raise TrampolineRefused(hook, HostError([finding]))
        return "attached"

    monkeypatch.setattr(attaching, "attach_compiled", attach_compiled)
    return artifacts


def test_a_host_needs_no_compiler_to_be_served_by_a_program_of_another_kernel() -> None:
    """Its own numbers are other ones."""
    host = HOST.with_features({"bcc": no("it is not installed")})
    host.recorded = False
    programs = BundledPrograms(bundle_of(SWITCH), "x.ppb")
    program = program_of(SWITCH, host)
    assert programs.unsupported(program, host, user_space=False) == ()
    artifact = programs.emit(program, host)
    programs.try_artifact(artifact)
    assert artifact.numbers
    assert programs.find_attached_key(artifact) == programs.find_key(artifact)


def test_without_its_program_the_bundle_says_what_is_wanted_and_in_what_the_nearest_differs() -> (
    None
):
    programs = BundledPrograms(bundle_of(PLAN), "x.ppb")
    program = program_of(PLAN, target={"comm": "cat"})
    [finding] = programs.unsupported(program, HOST, user_space=False)
    assert finding.code == "PP244"
    assert finding.position.file == "x.ppb"
    first, second, *rest = finding.message.splitlines()
    assert "wants" in first
    assert "p by fentry, fetching atomics used" in first
    assert second.endswith("differs in:")
    assert rest == [
        "- target: wanted comm cat, not probeplan itself, and there it is not probeplan itself"
    ]
    assert "probeplan facts > HOST.facts.xz" in finding.hint
    with pytest.raises(HostError) as caught:
        programs.emit(program, HOST)
    assert caught.value.findings == (finding,)


def test_a_run_with_a_command_is_told_how_bundles_are_built_for_it() -> None:
    program = resolve(load_plan(PLAN), HOST, follow_children=True).program
    for with_command, is_told in ((False, True), (True, False)):
        bundle = bundle_of(PLAN, with_command=with_command)
        without = BundledPrograms(replace(bundle, programs={}), "x.ppb")
        [finding] = without.unsupported(program, HOST, user_space=False)
        assert ("--with-command" in finding.hint) is is_told


def test_the_release_that_made_the_bundle_is_named_where_it_is_another() -> None:
    bundle = replace(bundle_of(PLAN), builder="0.0.1")
    programs = BundledPrograms(bundle, "x.ppb")
    program = program_of(PLAN, target={"comm": "cat"})
    [finding] = programs.unsupported(program, HOST, user_space=False)
    assert "it was made by probeplan 0.0.1, and this is " in finding.message


def test_programs_of_one_shape_and_another_text_are_called_so() -> None:
    bundle = bundle_of(PLAN)
    renamed = {f"{index:064x}": one for index, one in enumerate(bundle.programs.values())}
    programs = BundledPrograms(replace(bundle, programs=renamed), "x.ppb")
    [finding] = programs.unsupported(program_of(PLAN), HOST, user_space=False)
    assert "has this shape: another build of probeplan wrote its text" in finding.message


def test_a_bundle_of_another_architecture_has_no_program() -> None:
    programs = BundledPrograms(replace(bundle_of(PLAN), arch="aarch64"), "x.ppb")
    [finding] = programs.unsupported(program_of(PLAN), HOST, user_space=False)
    assert finding.code == "PP243"


def test_what_the_kernel_lacks_is_said_before_what_the_bundle_lacks() -> None:
    host = HOST.with_features({"ringbuf": no("it is too old")})
    programs = BundledPrograms(bundle_of(PLAN), "x.ppb")
    [finding] = programs.unsupported(program_of(PLAN, host), host, user_space=False)
    assert finding.message == "this kernel lacks ringbuf: it is too old"


# ---------------------------------------------------------------- attaching


def test_at_the_first_refused_trampoline_all_probes_take_their_next_mechanism(
    attached: list[Artifact[Any]],
) -> None:
    """By another program of the bundle, which records then name."""
    programs = BundledPrograms(bundle_of(TWO), "x.ppb")
    artifact = programs.emit(program_of(TWO), HOST)
    session: Any = programs.attach(artifact, HOST, OPTIONS)
    assert session == "attached"
    tried = [[hook.mechanism for hook in one.hooks] for one in attached]
    assert tried == [["fentry", "fentry"], ["dynamic event", "dynamic event"]]
    assert "no trampoline here" in attached[1].hooks[1].rejected["fentry"]
    assert programs.find_attached_key(artifact) == programs.find_key(attached[1])
    assert programs.find_key(attached[1]) != programs.find_key(artifact)


def test_without_the_other_program_the_refusal_and_what_is_missing_are_reported(
    attached: list[Artifact[Any]],
) -> None:
    bundle = bundle_of(PLAN)
    kept = {
        key: one
        for key, one in bundle.programs.items()
        if one.shape.get("probe p, mechanism") == "fentry"
    }
    programs = BundledPrograms(replace(bundle, programs=kept), "x.ppb")
    with pytest.raises(HostError) as caught:
        programs.attach(programs.emit(program_of(PLAN), HOST), HOST, OPTIONS)
    assert [finding.code for finding in caught.value.findings] == ["PP089", "PP244"]
    assert len(attached) == 1


def test_a_number_that_does_not_fit_is_refused_by_its_name_and_value(
    attached: list[Artifact[Any]],
) -> None:
    """Nothing is attached. The compiler of these tests leaves no places: this one is added."""
    bundle = bundle_of(SWITCH)
    programs = BundledPrograms(bundle, "x.ppb")
    artifact = programs.emit(program_of(SWITCH), HOST)
    [name] = {number.name for number in artifact.numbers}
    key, function = programs.find_key(artifact), artifact.detail.functions[0]
    load = bytes([0x61, 0x10, 0, 0, 0, 0, 0, 0])
    code = {**bundle.programs[key].program.code, function: load}
    place = OpenPlace(function=function, instruction=0, form="record", slot=0)
    kept = replace(bundle.programs[key], program=OpenProgram(code=code, places=(place,)))
    programs = BundledPrograms(replace(bundle, programs={key: kept}), "x.ppb")
    programs.try_artifact(artifact)
    large = tuple(replace(number, value=1 << 15) for number in artifact.numbers)
    with pytest.raises(HostError, match=f"{name} is 32768, and its place takes"):
        programs.attach(replace(artifact, numbers=large), HOST, OPTIONS)
    assert attached == []


# ---------------------------------------------------------------- what is imported


def test_a_plan_that_is_no_bundle_imports_nothing_of_bundles() -> None:
    script = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "code = main(['explain', 'opens', '--kernel', 'kernels/6.1.facts.xz'])\n"
        "names = [name for name in sys.modules if name.startswith('orchestrator.bundle')]\n"
        "assert (code, names) == (0, []), names\n"
    )
    words = [sys.executable, "-c", script]
    subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
