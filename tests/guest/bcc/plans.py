"""Cases for kernels that have kprobes: plans compiled here, loaded and counted in a guest."""

import dataclasses
import os
import pickle
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import attach_compiled, compile_artifact
from orchestrator.backends.bcc.attach.hooks import load_side
from orchestrator.backends.bcc.design import layout, memory
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.bcc.design.groups import group_sides
from orchestrator.backends.bcc.handles.maps import create_map
from orchestrator.backends.protocol import Artifact, AttachOptions
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.kernel.feature import Feature
from orchestrator.lab import Kernel
from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from tests.recipes.table import RECIPES
from tests.support.bcc_runs import balanced, build, only_count, program_of, run_artifact
from tests.support.paths import KERNELS, ROOT, WORKLOADS
from tests.support.peers import MODULES, OF_MEMBERS, PEERS, PROGRAMS, SETTINGS, build_members


def recorded(kernel: Kernel, without: Sequence[str] = ()) -> KernelFacts:
    """What was recorded of a kernel, with some features taken away."""
    facts = load_facts(KERNELS / f"{kernel.name}.facts.xz")
    gone = {name: Feature(state="no", detail="taken away by the test") for name in without}
    facts.features = {**facts.features, **gone}
    return facts


def prepare(
    kernel: Kernel, share: Path, *, name: str, plan: str, without: Sequence[str] = (), **_: Any
) -> dict[str, Any]:
    """Emit and compile `plan` for a kernel and put both into the share, with the workloads."""
    facts = recorded(kernel, without)
    symbols = {"PIPE_READ": "pipe_read", "GETPPID": "__do_sys_getppid"}
    if not facts.symbols.count("pipe_read"):
        symbols["PIPE_READ"] = "anon_pipe_read"
    for word, symbol in symbols.items():
        plan = plan.replace(word, symbol)
    artifact = backend("bcc").emit(program_of(plan, facts), facts)
    (share / f"{name}.pickle").write_bytes(pickle.dumps((artifact, compile_artifact(artifact))))
    if not (share / "load").exists():
        build(WORKLOADS / "load.c", share / "load")
    return {"mechanisms": [hook.mechanism for hook in artifact.hooks]}


def count(*, name: str, argv: Sequence[str], mechanisms: Sequence[str], **_: Any) -> dict[str, Any]:
    """Run it in this guest. What came out, as plain data."""
    share = Path(os.environ["PROBEPLAN_SHARE"])
    artifact, code = pickle.loads((share / f"{name}.pickle").read_bytes())  # noqa: S301  # our own
    made = run_artifact(artifact, code, [str(share / argv[0]), *argv[1:]], seconds=120)
    balanced(made)
    return {
        "mechanisms": list(mechanisms),
        "sides": {f"{s.hook}.{s.side}": dataclasses.asdict(s) for s in made.counts.sides},
        "records": [{k: _plain(v) for k, v in r.items()} for r in made.records[:5000]],
        "recorded": len(made.records),
        "left": Path("/sys/kernel/tracing/dynamic_events").read_text(),
    }


def count_as_canary(*, name: str, argv: Sequence[str], **_: Any) -> dict[str, Any]:
    """Let it only count in this guest, and then run the same instructions."""
    share = Path(os.environ["PROBEPLAN_SHARE"])
    artifact, code = pickle.loads((share / f"{name}.pickle").read_bytes())  # noqa: S301  # our own
    words = [str(share / argv[0]), *argv[1:]]
    counted = only_count(artifact, code, words)
    made = run_artifact(artifact, code, words, seconds=120)
    balanced(made)
    return {
        "counted": {side.side: dataclasses.asdict(side) for side in counted.counts.sides},
        "hits": [expense.hits for expense in counted.expenses],
        "changed": list(counted.changed),
        "recorded": (counted.records, len(made.records)),
        "left": Path("/sys/kernel/tracing/dynamic_events").read_text(),
    }


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


EVERYTHING = """
limits: {events: 10k, rate: 1k/s, cpu: 100%}
target: {comm: ["load", "*lls"], uid: 0}
let:
  name: str(args.filename)
  half: args.flags // (args.mode % 7)
probes:
  paired:
    attach: syscall:openat
    where: elapsed >= 0*ns and (glob(name, "*needle*") or glob(name, "*.log") or name == "/none")
    sample: 1/2
    rate: 100/s
    events: 1000
    emit: {name: name, early: 'entry(str(args.filename, 300))', half: half, took: elapsed,
           who: comm, ret: retval}
    metrics:
      n: {count: half > 3, by: [comm, name]}
      h: {histogram: elapsed, by: [comm]}
      l: {histogram: retval, buckets: "linear(-10, 100, 5)"}
      lo: {min: retval}
      hi: {max: elapsed, by: [uid]}
      avg: {avg: retval, where: retval >= 0}
  switch:
    attach: rawtracepoint:sched_switch
    task: args.next
    where: tid != 0 and args.prev.pid != 0
    emit: {from: args.prev.comm, to: comm, state: 'either(args.prev.__state, args.prev.state)'}
  exec:
    attach: tracepoint:sched:sched_process_exec
    emit: {file: args.filename, pid: args.pid}
  read:
    attach: function:vfs_read
    emit: {n: args.count, file: args.file.f_path.dentry.d_name.name}
  clock:
    attach: profile:49hz
    metrics: {ticks: {count: true, by: [pid, cpu]}}
"""


PARTS, ORDINARY = 6, "6.1"
PEER_PARTS = 6
COMMON_PEERS = sorted(set(PEERS) - set(MODULES) - set(PROGRAMS))


def prepare_plans(kernel: Kernel, share: Path, part: int) -> dict[str, Any]:
    """Emit and compile one of PARTS of the shipped plans, the first with one that uses everything;
    in the ordinary lane those with functions also without trampolines."""
    made = {}
    files = sorted((ROOT / "plans").rglob("*.yaml"))[part::PARTS]
    for without in ((), ("fentry",)) if kernel.name == ORDINARY else ((),):
        facts = recorded(kernel, without)
        programs = {} if part else {"everything": program_of(EVERYTHING, facts)}
        for file in files:
            settings = RECIPES[file.stem].settings
            programs[file.stem] = compile_plan(load_plan(file, settings=settings), facts)
        for name, program in programs.items():
            if without and not any(hook.kind == "function" for hook in program.hooks):
                continue
            artifact = backend("bcc").emit(_elsewhere(program), facts)
            made[f"{name}{'-'.join(without)}"] = (artifact, compile_artifact(artifact))
    (share / f"plans{part}.pickle").write_bytes(pickle.dumps(made))
    return {"whole": kernel.name != ORDINARY}


def prepare_peers(kernel: Kernel, share: Path, number: int) -> dict[str, Any]:
    """Emit and compile one of PEER_PARTS of the plans of examples/peers, with a program for those
    that need one."""
    members = build_members(share)
    facts, made = recorded(kernel), {}
    for name in COMMON_PEERS[number::PEER_PARTS]:
        settings = {"binary": str(members)} if name in OF_MEMBERS else SETTINGS.get(name, {})
        program = compile_plan(load_plan(PEERS[name], settings=settings), facts)
        artifact = backend("bcc").emit(_elsewhere(program), facts)
        made[name] = (artifact, compile_artifact(artifact))
    (share / f"planspeers{number}.pickle").write_bytes(pickle.dumps(made))
    return {"plans": len(made)}


def _elsewhere(program: Program) -> Program:
    """The program for the guest, in which the files are the same and have other numbers: which file
    a path names is known for this machine alone."""
    probes = tuple(
        dataclasses.replace(
            probe,
            hooks=tuple(dataclasses.replace(hook, identity=None) for hook in probe.hooks),
        )
        for probe in program.probes
    )
    return dataclasses.replace(program, probes=probes)


def load_peers(number: int, plans: int) -> dict[str, Any]:
    """What the kernel refused of them, and how many there were."""
    return {"refused": load_plans(f"peers{number}", whole=False), "plans": plans}


def load_plans(part: int | str, whole: bool) -> dict[str, str]:
    """Load every program of each, and attach what uses everything; `whole`: attach each whose
    programs are in the guest: databases are not. What the kernel refused."""
    share = Path(os.environ["PROBEPLAN_SHARE"])
    made = pickle.loads((share / f"plans{part}.pickle").read_bytes())  # noqa: S301  # our own
    refused = {}
    for name, (artifact, code) in made.items():
        try:
            if name.startswith("everything"):
                _run_shortly(artifact, code)
            elif whole and _has_files(artifact):
                _attach(artifact, code)
            else:
                load_only(artifact, code)
        except HostError as error:
            refused[name] = str(error)
    return refused


def _has_files(artifact: Artifact[BccDetail]) -> bool:
    paths = {hook.path for hook in artifact.program.hooks if hook.path}
    return all(map(os.path.exists, paths))


def _attach(artifact: Artifact[BccDetail], code: Mapping[str, bytes]) -> None:
    session = attach_compiled(artifact, code, AttachOptions(run_id="attached"))
    session.detach()
    assert session.skipped == ()


def _run_shortly(artifact: Artifact[BccDetail], code: Mapping[str, bytes]) -> None:
    session = attach_compiled(artifact, code, AttachOptions(run_id="everything"))
    session.arm(time.monotonic_ns() + 10**9)
    for _ in Path("/").iterdir():
        time.sleep(0)
    session.detach()
    assert session.skipped == ()


def load_only(artifact: Artifact[BccDetail], code: Mapping[str, bytes]) -> None:
    """The verifier's judgement alone: attaching takes a grace period for each event."""
    maps = {number: create_map(spec) for number, spec in artifact.detail.maps.items()}
    if artifact.detail.ring_bytes:
        maps[layout.RING] = create_map(memory.ring_spec(artifact.detail.ring_bytes))
    fds = {number: made.fd for number, made in maps.items()}
    for group in group_sides(artifact.detail.layout, artifact.detail.choices):
        os.close(load_side(group.sides[0], group.mechanism, code[group.function], fds))
    for made in maps.values():
        made.close()
