"""Stacks of a workload of known call chains, by the command line on this machine's kernel."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.product import ROOT, Ran, check_accounts

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: stacks, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 10M/s, at_cap: mute, cpu: 100%}
target: {comm: chain}
probes:
  call:
"""
POINT = "tracepoint:syscalls:sys_enter_getppid"
N, M = 30, 50


def run(
    folder: Path,
    probe: str,
    argv: Sequence[str],
    *,
    attach: str = POINT,
    waits_for: str = "user",
    options: Sequence[str] = (),
    **limits: Any,
) -> Ran:
    """The plan alongside `argv`, whose first argument after the mode is the file that ends it: made
    once a stack of the space `waits_for` is reported, with at least one record or window after
    it."""
    plan, until = folder / "plan.yaml", folder / "until"
    plan.write_text(f"{HEAD}    attach: {attach}\n{probe}")
    bounds = [word for name, value in limits.items() for word in ("--limit", f"{name}={value}")]
    words = [sys.executable, "-m", "orchestrator.cli", "run", str(plan), *bounds, *options]
    program, mode, *rest = argv
    command = ["--no-progress", "--", program, mode, str(until), *rest]
    with subprocess.Popen(
        [*words, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line)
            reported = json.loads(line)
            if reported["event"] == "stack.named" and reported["space"] == waits_for:
                until.touch()
        errors = running.stderr.read() if running.stderr is not None else ""
        assert running.wait() in (0, 4), errors
    return Ran.of("".join(lines))


def functions(names: Sequence[str]) -> list[str]:
    """The names without offsets and files, as far as main."""
    found = [name.partition("+")[0] for name in names]
    return found[: found.index("main") + 1] if "main" in found else found


def test_a_user_stack_is_the_call_chain(tmp_path: Path, chain: Path) -> None:
    """Each of the N + M records shows the chain that it came by, and the binary's name."""
    ran = run(tmp_path, "    emit: {ustack: ustack}\n", [str(chain), "chain", str(N), str(M)])
    check_accounts(ran)
    chains = [functions(one["ustack"]) for one in ran.data("call")]
    assert chains.count(["inner", "outer", "main"]) == N
    assert chains.count(["inner", "other", "main"]) == M
    assert len(chains) == N + M
    assert all("(chain)" in one["ustack"][0] for one in ran.data("call"))
    assert ran.finished["ledger"]["stacks"] == {
        "kept": 2,
        "map_full": 0,
        "map_busy": 0,
        "incomplete": 0,
    }


def test_a_stack_is_told_once_with_its_addresses(tmp_path: Path, chain: Path) -> None:
    """Its record comes before the first event that shows it, and names file and build id."""
    ran = run(tmp_path, "    emit: {ustack: ustack}\n", [str(chain), "chain", str(N), "0"])
    [at] = [n for n, line in enumerate(ran.lines) if line["event"] == "stack.named"]
    events = [n for n, line in enumerate(ran.lines) if line["event"] == "event.recorded"]
    assert at < min(events)
    stack = ran.lines[at]
    assert {tuple(one["ustack"]) for one in ran.data("call")} == {tuple(stack["names"])}
    frame = stack["frames"][0]
    notes = subprocess.run(["readelf", "-n", chain], capture_output=True, text=True, check=True)
    assert frame["build_id"] in notes.stdout
    assert (frame["symbol"], frame["module"]) == ("inner", str(chain))
    assert stack["pid"] == ran.of_kind("event.recorded")[0]["pid"]
    assert (stack["truncated"], stack["incomplete_because"]) == (False, "")


def test_counts_by_user_stack_are_exact(tmp_path: Path, chain: Path) -> None:
    probe = "    metrics: {calls: {count: true, by: [comm, ustack]}}\n"
    ran = run(tmp_path, probe, [str(chain), "chain", str(N), str(M)])
    check_accounts(ran)
    cells = {
        (cell["key"]["comm"], *functions(cell["key"]["ustack"])): cell["value"]
        for cell in ran.cells("call", "calls")
    }
    assert cells == {
        ("chain", "inner", "outer", "main"): N,
        ("chain", "inner", "other", "main"): M,
    }


def test_a_kernel_stack_begins_at_the_probe(tmp_path: Path, chain: Path) -> None:
    """It holds the kernel's entry of system calls, and nothing of how our program is called."""
    probe = "    emit: {kstack: kstack}\n    metrics: {calls: {count: true, by: [kstack]}}\n"
    ran = run(tmp_path, probe, [str(chain), "chain", str(N), "0"], waits_for="kernel")
    check_accounts(ran)
    stacks = {tuple(functions(one["kstack"])) for one in ran.data("call")}
    assert all("do_syscall_64" in stack for stack in stacks)
    assert not [name for stack in stacks for name in stack if name.startswith(("bpf_", "perf_"))]
    assert sum(cell["value"] for cell in ran.cells("call", "calls")) == N


@pytest.mark.parametrize("attach", ["rawtracepoint:sys_enter", POINT])
def test_stacks_of_few_frames_are_cut_before_they_are_told_apart(
    attach: str, tmp_path: Path, chain: Path
) -> None:
    """The innermost frames, also next to whole stacks; what differs further out is one cell. The
    way from the place to the program is no frame."""
    getppid = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
    where = f"    where: args.id == {getppid}\n" if "raw" in attach else ""
    probe = f"""{where}    let: {{few: ustack(2)}}
    emit: {{few: few, all: ustack, one: ustack(1), k: kstack(1), kall: kstack}}
    metrics: {{calls: {{count: true, by: ["ustack(1)"]}}, ways: {{count: true, by: [few]}}}}
"""
    ran = run(tmp_path, probe, [str(chain), "chain", str(N), str(M)], attach=attach)
    check_accounts(ran)
    records = ran.data("call")
    assert all(one["few"] == one["all"][:2] for one in records)
    assert all(one["one"] == one["all"][:1] for one in records)
    assert all(one["k"] == one["kall"][:1] for one in records)
    assert [functions(one["few"]) for one in records].count(["inner", "outer"]) == N
    [cell] = ran.cells("call", "calls")
    assert (functions(cell["key"]["ustack(1)"]), cell["value"]) == (["inner"], N + M)
    ways = {tuple(functions(c["key"]["few"])): c["value"] for c in ran.cells("call", "ways")}
    assert ways == {("inner", "outer"): N, ("inner", "other"): M}
    user = [one for one in ran.of_kind("stack.named") if one["space"] == "user"]
    assert sorted(map(len, (one["names"] for one in user)))[:3] == [1, 2, 2]
    assert [one["truncated"] for one in user if len(one["names"]) <= 2] == [True] * 3


@pytest.mark.parametrize("attach", ["rawtracepoint:sys_enter", "syscall:getppid"])
def test_other_kinds_of_probe_take_stacks_too(attach: str, tmp_path: Path, chain: Path) -> None:
    """A raw tracepoint, and a call that is seen at its return."""
    getppid = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
    where = f"    where: args.id == {getppid}\n" if "raw" in attach else ""
    probe = f"{where}    emit: {{kstack: kstack, ustack: ustack}}\n"
    ran = run(tmp_path, probe, [str(chain), "chain", str(N), "0"], attach=attach)
    chains = [functions(one["ustack"]) for one in ran.data("call")]
    assert chains == [["inner", "outer", "main"]] * N
    assert all("do_syscall_64" in functions(one["kstack"]) for one in ran.data("call"))


def test_a_file_that_is_deleted_is_named_all_the_same(tmp_path: Path, chain: Path) -> None:
    copy = Path(shutil.copy(chain, tmp_path / "chain"))
    ran = run(tmp_path, "    emit: {ustack: ustack}\n", [str(copy), "deleted", str(N), "0"])
    assert not copy.exists()
    assert [functions(one["ustack"]) for one in ran.data("call")] == [
        ["inner", "outer", "main"]
    ] * N


def test_code_made_at_run_time_is_named_by_its_map(tmp_path: Path, chain: Path) -> None:
    """By the file that JIT compilers write for perf."""
    ran = run(tmp_path, "    emit: {ustack: ustack}\n", [str(chain), "made", str(N)])
    pid = ran.of_kind("event.recorded")[0]["pid"]
    Path(f"/tmp/perf-{pid}.map").unlink()  # noqa: S108  # where perf looks
    assert [functions(one["ustack"]) for one in ran.data("call")] == [
        ["jitted", "made", "main"]
    ] * N


def test_stacks_without_room_are_null_and_counted(tmp_path: Path, chain: Path) -> None:
    """With room for fewer stacks than there are, the rest is lost, exactly, and the run says so."""
    probe = "    metrics: {calls: {count: true, by: [ustack], keys: 4k}}\n"
    ways = 4000
    ran = run(tmp_path, probe, [str(chain), "ways", str(ways)], memory="3MiB")
    account = ran.finished["ledger"]["stacks"]
    assert account["kept"] == len(ran.of_kind("stack.named")) < ways
    assert account["map_full"] == ran.value("call", "calls", ustack=None) == ways - account["kept"]
    assert sum(cell["value"] for cell in ran.cells("call", "calls")) == ways
    assert ran.finished["complete"] is False
    assert any("stacks were lost" in why for why in ran.finished["incomplete_because"])
    assert ran.finished["exit_code"] == 4


def test_folded_stacks_are_what_flame_graph_tools_read(tmp_path: Path, chain: Path) -> None:
    """With --folded and under --out: the user's frames, then the kernel's; values are exact."""
    probe = "    metrics: {calls: {count: true, by: [comm, kstack, ustack]}}\n"
    options = ["--folded", str(tmp_path / "folded"), "--out", str(tmp_path / "out")]
    run(tmp_path, probe, [str(chain), "chain", str(N), str(M)], options=options)
    text = (tmp_path / "folded").read_text()
    assert text == (tmp_path / "out" / "stacks.folded").read_text()
    paths = dict(line.rsplit(" ", 1) for line in text.splitlines())
    counted = {"outer": 0, "other": 0}
    for path, value in paths.items():
        frames = path.split(";")
        assert frames[0] == "chain"
        main = frames.index("main")
        assert frames[main + 2] == "inner"
        assert "do_syscall_64_[k]" in frames[main + 3 :]
        counted[frames[main + 1]] += int(value)
    assert counted == {"outer": N, "other": M}
