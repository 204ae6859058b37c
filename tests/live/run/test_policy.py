"""Policies over real runs on this kernel, by the command line, on both backends.

The host's own policy is tried in a mount namespace with a copy of /etc: no other process sees it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.facts import live_facts
from tests.support.fake_runs import checked_lines
from tests.support.requirements import needs_a_kernel
from tests.support.signing import allow_line, make_key, sign_file

BACKENDS = ("bcc", "tracefs")
FACTS = live_facts()
pytestmark = needs_a_kernel

#: Backwards, since the log names the command with its arguments.
SECRETS = tuple(s[::-1] for s in ("correct horse", "correct horse", "battery staple"))
ASK = f"import ctypes\nc = ctypes.CDLL(None)\nfor s in {SECRETS!r}: c.getenv(s[::-1].encode())"
SPEAK = (sys.executable, "-c", ASK)
CALLS = (sys.executable, "-c", "import os\nfor _ in range(300): os.getppid()")


def write(path: Path, kind: str, text: str) -> str:
    head = f"apiVersion: probeplan/v1\nkind: {kind}\n"
    path.write_text(head + text)
    path.chmod(0o644)
    return str(path)


def a_plan(path: Path, probe: str, limits: str = "duration: 60s, rate: 1000k/s") -> str:
    meta = "metadata: {name: live, summary: for tests}\n"
    return write(path / "plan.yaml", "ProbePlan", f"{meta}limits: {{{limits}}}\nprobes:\n{probe}")


def a_policy(path: Path, text: str, name: str = "policy.yaml") -> str:
    return write(path / name, "Policy", text)


SPEAK_PROBE = """\
  say:
    attach: uprobe:libc.so.6:getenv
    let: {text: str(arg0)}
    where: startswith(text, "correct ") or startswith(text, "battery ")
    emit: {text: text, comm: comm}
"""
GETPPID_PROBE = """\
  call:
    attach: tracepoint:syscalls:sys_enter_getppid
    emit: {}
    metrics: {calls: {count: true}}
"""


def ran(*arguments: str, before: Sequence[str] = ()) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, checked lines and standard error of `probeplan run`."""
    command = [*before, sys.executable, "-m", "orchestrator.cli", "run", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    return done.returncode, checked_lines(done.stdout), done.stderr.decode()


def texts(lines: list[dict[str, Any]]) -> list[str]:
    return [line["data"]["text"] for line in lines if line["event"] == "event.recorded"]


# ---------------------------------------------------------------- user memory


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_policy_hashes_strings_of_a_plan_that_would_show_them(
    tmp_path: Path, backend: str
) -> None:
    """Equal strings stay equal within a run and nowhere else; no log holds a word of them; the
    filter still saw them whole, and a task's name is not user memory."""
    plan = a_plan(tmp_path, SPEAK_PROBE)
    policy = a_policy(tmp_path, "user_strings: hash\nallow_user: [conditions]\n")
    seen = []
    for number in "12":
        out = tmp_path / number
        code, lines, errors = ran(
            *(plan, "--policy", policy, "--backend", backend, "--out", str(out), "--", *SPEAK)
        )
        assert code == 0, errors
        first, second, third = texts(lines)
        assert first == second != third
        assert first.startswith("sha256:")
        assert len(first) == len("sha256:") + 16
        assert all(e["data"]["comm"] == e["comm"] for e in lines if e["event"] == "event.recorded")
        kept = b"".join(p.read_bytes() for p in out.iterdir() if p.suffix in (".jsonl", ".json"))
        assert b"horse" not in kept
        assert first.encode() in kept
        seen.append({first, third})
    assert seen[0].isdisjoint(seen[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_policy_cuts_strings_in_records(tmp_path: Path, backend: str) -> None:
    """To its bytes, marked as truncated, though the plan says more bytes."""
    plan = a_plan(tmp_path, SPEAK_PROBE + "    redact: truncate(9)\n")
    policy = a_policy(tmp_path, "user_strings: truncate(3)\nallow_user: [conditions]\n")
    code, lines, errors = ran(plan, "--backend", backend, "--", *SPEAK)
    assert code == 0, errors
    assert texts(lines) == ["correct h", "correct h", "battery s"]
    code, lines, errors = ran(plan, "--policy", policy, "--backend", backend, "--", *SPEAK)
    assert code == 0, errors
    assert texts(lines) == ["cor", "cor", "bat"]
    events = [line for line in lines if line["event"] == "event.recorded"]
    assert all(event["truncated"] == ["text"] for event in events)


def test_keys_are_redacted_as_records_are(tmp_path: Path) -> None:
    """Cells of one digest each, or of one beginning; a string kept from entry to return too."""
    probe = """\
  open:
    attach: syscall:openat
    let: {path: entry(str(args.filename)), now_path: str(args.filename)}
    where: startswith(now_path, "/etc/host")
    redact: REDACT
    emit: {path: path, now_path: now_path}
    metrics: {opens: {count: true, by: [path]}}
"""
    command = ("cat", "/etc/hostname", "/etc/hosts")
    cells, emitted = {}, {}
    for redact in ("hash", "truncate(9)"):
        plan = a_plan(tmp_path, probe.replace("REDACT", redact))
        code, lines, errors = ran(plan, "--backend", "bcc", "--", *command)
        assert code in (0, 4, 5), errors
        [metric] = [line for line in lines if line["event"] == "metric.reported"]
        cells[redact] = {cell["key"]["path"]: cell["value"] for cell in metric["cells"]}
        emitted[redact] = [line["data"] for line in lines if line["event"] == "event.recorded"]
    assert cells["truncate(9)"] == {"/etc/host": 2}
    assert emitted["truncate(9)"] == [{"path": "/etc/host", "now_path": "/etc/host"}] * 2
    assert sorted(cells["hash"].values()) == [1, 1]
    assert {row["path"] for row in emitted["hash"]} == set(cells["hash"])
    assert all(row["path"] == row["now_path"] for row in emitted["hash"])


PLANTED = "swordfish"
#: Says the planted word to a function, a system call, a USDT probe and exec, none of which the log
#: names: the command spells it backwards.
PLANT = """
import ctypes, os, sys
word = sys.argv[1][::-1]
ctypes.CDLL(None).getenv(word.encode())
for path in (word, sys.argv[2] + "/" + word + "/true"):
    try: open("/" + path.lstrip("/")).close()
    except OSError: pass
try: __import__(word)
except ImportError: pass
os.waitpid(os.posix_spawn(sys.argv[2] + "/" + word + "/true", ["true"], {}), 0)
"""
PLANTED_PROBES = {
    "function": "attach: uprobe:libc.so.6:getenv, emit: {text: str(arg0)}",
    "exec": "attach: tracepoint:sched:sched_process_exec, emit: {text: args.filename}",
    "call": "attach: syscall:openat, emit: {text: str(args.filename)}",
    "usdt": f"attach: 'usdt:{os.path.realpath(sys.executable)}:python:import__find__load__start', "
    "emit: {text: str(arg0)}",
}
#: tracefs attaches to no USDT probe, and reads nothing through arguments of system calls.
PLANTED_FOR = {"bcc": ("function", "exec", "call", "usdt"), "tracefs": ("function", "exec")}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_planted_secret_is_shown_by_no_probe(tmp_path: Path, backend: str) -> None:
    """An argument of a function, of a system call and of a USDT probe, and the file name of an
    exec: each probe shows it without a policy, and none of it with one."""
    probes = set(PLANTED_FOR[backend])
    plan = a_plan(tmp_path, "".join(f"  {n}: {{{PLANTED_PROBES[n]}}}\n" for n in sorted(probes)))
    folder = tmp_path / "x" / PLANTED
    folder.mkdir(parents=True)
    shutil.copy("/bin/true", folder / "true")
    command = (sys.executable, "-c", PLANT, PLANTED[::-1], str(tmp_path / "x"))
    for rule, shown in (("allow", probes), ("hash", set()), ("truncate(2)", set())):
        policy = a_policy(tmp_path, f"user_strings: {rule}\n")
        code, lines, errors = ran(*(plan, "--policy", policy, "--backend", backend, "--", *command))
        assert code == 0, errors
        events = [line for line in lines if line["event"] == "event.recorded"]
        assert {event["probe"] for event in events} == probes
        texts_of = [(event["probe"], event["data"]["text"] or "") for event in events]
        assert {probe for probe, text in texts_of if PLANTED in text} == shown
        assert (PLANTED in f"{lines}{errors}") == bool(shown)
    policy = a_policy(tmp_path, "user_strings: deny\n")
    code, lines, errors = ran(plan, "--policy", policy, "--backend", backend, "--", *command)
    assert (code, lines) == (3, [])
    assert errors.count("error[PP124]") == len(probes)


# ---------------------------------------------------------------- limits and rules


def test_a_file_below_an_overlay_is_denied_with_the_merged_one(tmp_path: Path) -> None:
    """They have different numbers, and a breakpoint in either is one in both. A copy is another
    file."""
    if "overlay" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel lacks overlay file systems")
    lower, other = tmp_path / "lower" / "lib.so", tmp_path / "other" / "lib.so"
    for name in ("lower", "upper", "work", "merged", "other"):
        (tmp_path / name).mkdir()
    libc = next(Path("/lib").glob("*/libc.so.6")).resolve()
    shutil.copy2(libc, lower)
    shutil.copy(libc, other)
    merged = tmp_path / "merged" / "lib.so"
    mount = (
        f"mount -t overlay overlay {tmp_path}/merged "
        f"-o lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    )
    before = ("unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")
    for denied, probed, code in (
        (merged, lower, 3),
        (lower, merged, 3),
        (merged, merged, 3),
        (merged, other, 0),
    ):
        probe = f"  say: {{attach: 'uprobe:{probed}:getenv', metrics: {{n: {{count: true}}}}}}\n"
        policy = a_policy(tmp_path, f"deny_symbols: ['{denied}:getenv']\n")
        command = (a_plan(tmp_path, probe), "--policy", policy, "--", "true")
        status, _, errors = ran(*command, before=before)
        assert (status, "error[PP122]" in errors) == (code, code == 3), (denied, probed, errors)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ceilings_hold_and_say_that_they_are_the_policys(tmp_path: Path, backend: str) -> None:
    """No more records than the policy allows, whatever plan and command line say; metrics go on."""
    plan = a_plan(tmp_path, GETPPID_PROBE, "events: 10k, rate: 1000k/s, at_cap: mute")
    policy = a_policy(tmp_path, "limits: {events: 7, duration: 20s}\n")
    limit = ("--limit", "events=5k", "--duration", "unlimited")
    code, lines, errors = ran(
        *(plan, *limit, "--policy", policy, "--backend", backend, "--", *CALLS)
    )
    assert code == 0, errors
    limits = lines[0]["limits"]
    assert (limits["events"]["value"], limits["events"]["from"]) == (7, "policy")
    assert (limits["duration"]["value"], limits["duration"]["from"]) == (20 * 10**9, "policy")
    assert (limits["rate"]["from"], limits["memory"]["from"]) == ("plan", "default")
    assert [one["file"] for one in lines[0]["policies"]] == [policy]
    assert len([line for line in lines if line["event"] == "event.recorded"]) == 7
    [metric] = [line for line in lines if line["event"] == "metric.reported"]
    assert metric["cells"][0]["value"] == 300


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("deny_kinds: [tracepoint]", "PP121"),
        ("deny_symbols: [getppid]", "PP122"),
        ("plans: ['" + "0" * 64 + "']", "PP123"),
        ("allow_backends: [bcc]", "PP126"),
    ],
)
def test_a_violation_ends_with_3_before_anything_is_attached(
    tmp_path: Path, rule: str, code: str
) -> None:
    """The command is not started, nothing is logged, and `explain` says the same."""
    proof = tmp_path / "proof"
    plan = a_plan(tmp_path, GETPPID_PROBE)
    policy = a_policy(tmp_path, rule + "\n")
    options = (plan, "--backend", "tracefs", "--policy", policy)
    status, lines, errors = ran(*options, "--", "touch", str(proof))
    assert (status, lines, proof.exists()) == (3, [], False)
    assert f"error[{code}]" in errors
    assert f"{policy}:3:" in errors
    command = [sys.executable, "-m", "orchestrator.cli", "explain", *options]
    explained = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (explained.returncode, explained.stdout) == (3, "")
    assert explained.stderr == errors


def test_explain_names_the_source_of_each_limit(tmp_path: Path) -> None:
    """In text and in JSON, with the policies in force."""
    plan = a_plan(tmp_path, GETPPID_PROBE)
    policy = a_policy(tmp_path, "limits: {duration: 9s}\n")
    command = [sys.executable, "-m", "orchestrator.cli", "explain", plan, "--policy", policy]
    command += ["--limit", "events=9"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"policy {policy}\n" in text
    for name, source in (
        *(("duration", "a policy"), ("events", "the command line")),
        *(("rate", "the plan"), ("memory", "the default")),
    ):
        [line] = [one for one in text.splitlines() if one.startswith(f"  {name} ")][:1]
        assert line.endswith(f", from {source}")
    reported = json.loads(subprocess.check_output([*command, "--json"]))
    assert reported["limits"]["duration"] == {
        "value": 9 * 10**9,
        "enforced_by": "kernel",
        "from": "policy",
    }


def test_the_second_of_two_runs_is_refused_where_one_is_allowed(tmp_path: Path) -> None:
    """While the first one lives, which is not disturbed; afterwards the next may run."""
    plan = a_plan(tmp_path, GETPPID_PROBE)
    command = [sys.executable, "-m", "orchestrator.cli", "run", plan, "--backend", "tracefs"]
    waiting = [*command, "--", "sh", "-c", "read line"]
    first = subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdin is not None
    assert first.stdout is not None
    try:
        head = first.stdout.readline()
        while b"probe.attached" not in head:
            head = first.stdout.readline()
        live = int(json.loads(head)["run_id"], 16)
        policy = a_policy(tmp_path, "max_runs: 1\n")
        code, lines, errors = ran(plan, "--policy", policy, "--backend", "tracefs", "--", "true")
        assert code == 3
        assert f"{live:x}" in errors
        assert "PP125" in errors
        assert [line["event"] for line in lines] == ["run.started", "run.finished"]
    finally:
        first.stdin.close()
        first.stdout.read()
        first.stdout.close()
        assert first.wait(timeout=60) in (0, 5)


# ---------------------------------------------------------------- the host's own


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A copy of /etc, with a directory for the host's policy."""
    copy = tmp_path / "etc"
    shutil.copytree("/etc", copy, symlinks=True, ignore_dangling_symlinks=True)
    (copy / "probeplan").mkdir(mode=0o755, exist_ok=True)
    return copy


def under(etc: Path) -> tuple[str, ...]:
    """What runs a command with this copy in the place of /etc."""
    script = 'mount --bind "$1" /etc && shift && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, "sh", str(etc))


def test_the_hosts_policy_holds_without_being_named(tmp_path: Path, etc: Path) -> None:
    """A further one makes it stricter, never laxer; one that others may write stops every run."""
    plan = a_plan(tmp_path, GETPPID_PROBE, "at_cap: mute")
    host = a_policy(etc / "probeplan", "limits: {events: 7}\n")
    lax = a_policy(tmp_path, "limits: {events: 100, output: 1MiB}\n", "lax.yaml")
    options = (plan, "--policy", lax, "--backend", "tracefs", "--", *CALLS)
    code, lines, errors = ran(*options, before=under(etc))
    assert code == 0, errors
    limits = lines[0]["limits"]
    assert (limits["events"]["value"], limits["output"]["value"]) == (7, 1 << 20)
    assert [one["file"] for one in lines[0]["policies"]] == ["/etc/probeplan/policy.yaml", lax]
    Path(host).chmod(0o666)
    code, lines, errors = ran(*options, before=under(etc))
    assert (code, lines) == (3, [])
    assert "error[PP120]" in errors
    Path(host).chmod(0o644)
    Path(host).write_text("kind: nonsense\n")
    code, lines, errors = ran(*options, before=under(etc))
    assert (code, lines) == (3, [])
    assert "/etc/probeplan/policy.yaml:1:" in errors


# ---------------------------------------------------------------- signatures


def test_a_signed_plan_runs_under_the_hosts_policy_and_the_log_names_its_signer(
    tmp_path: Path, etc: Path
) -> None:
    """Principal and fingerprint, in run.started and result.json; unsigned, changed or revoked it
    attaches nothing."""
    ann = make_key(tmp_path, "ann")
    plan = a_plan(tmp_path, GETPPID_PROBE, "at_cap: mute")
    lists = etc / "probeplan"
    for name, content in (("allowed_signers", allow_line("ann@x", ann)), ("revoked", "")):
        (lists / name).write_text(content)
        (lists / name).chmod(0o644)
    rules = "signers: /etc/probeplan/allowed_signers, revoked: /etc/probeplan/revoked"
    host = a_policy(lists, f"signatures: {{required: true, {rules}}}\n")
    out = tmp_path / "out"
    options = (plan, "--backend", "tracefs", "--out", str(out), "--", *CALLS)

    def refused(code: str) -> None:
        status, lines, errors = ran(*options, before=under(etc))
        assert (status, lines) == (3, []), errors
        assert f"error[{code}]" in errors

    refused("PP131")
    sign_file(ann, Path(plan))
    status, lines, errors = ran(*options, before=under(etc))
    assert status == 0, errors
    file = "/etc/probeplan/policy.yaml"
    named = {"policy": file, "status": "accepted", "principal": "ann@x", "key": ann.fingerprint}
    assert lines[0]["signatures"] == [named]
    assert json.loads((out / "result.json").read_bytes())["signatures"] == [named]
    shutil.rmtree(out)
    (lists / "revoked").write_text(ann.public)
    refused("PP132")
    (lists / "revoked").write_text("")
    with Path(plan).open("a") as text:
        text.write("\n")
    refused("PP132")
    Path(f"{plan}.sig").unlink()
    Path(host).write_text(Path(host).read_text().replace("required: true", "required: false"))
    status, lines, errors = ran(*options, before=under(etc))
    assert status == 0, errors
    assert (lines[0]["level"], lines[0]["signatures"][0]["status"]) == ("info", "absent")
