"""Text in user memory is read as such, however its address was reached."""

import os
from pathlib import Path

import pytest

from tests.live.bcc.test_counts import LIMITS
from tests.support.bcc_runs import balanced, build, run
from tests.support.paths import WORKLOADS

ROUNDS = 5
TEXTS = [f"text-{i}".encode() for i in range(ROUNDS)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload of known texts."""
    return build(WORKLOADS / "texts.c", tmp_path_factory.mktemp("texts") / f"pt{os.getpid()}")


def test_text_behind_numbers_of_user_code_is_read_from_user_memory(texts: Path) -> None:
    """USDT operands, what functions return, numbers in a program's structures and sums of all of
    them: each gives the program's text, in every round."""
    made = run(LIMITS + f"""
target: {{children: true}}
probes:
  note:
    attach: usdt:{texts}:texts:text
    args: {{line: "char *", below: s64}}
    emit: {{whole: str(arg0), later: str(arg0 + 5), named: str(args.line), below: args.below,
           same: 'str(arg0) == "text-3"'}}
  given:
    attach: uretprobe:{texts}:give
    emit: {{whole: str(retval), later: str(retval + 5), first: "load(u8, retval)"}}
  taken:
    attach: ufunction:{texts}:take
    args: {{holder: u64}}
    let: {{address: "load(u64, args.holder + 8)"}}
    returns: s64
    emit: {{whole: str(address), later: str(address + retval - 1)}}
""", [str(texts), str(ROUNDS)], root=True)  # fmt: skip
    balanced(made)
    probes = ("note", "given", "taken")
    by = {name: [r for r in made.records if r["probe"] == name] for name in probes}
    for probe in probes:
        assert [r["whole"] for r in by[probe]] == TEXTS
        assert [r["later"] for r in by[probe]] == [text[5:] for text in TEXTS]
    assert [r["named"] for r in by["note"]] == TEXTS
    assert [r["below"] for r in by["note"]] == [-i for i in range(ROUNDS)]
    assert [r["same"] for r in by["note"]] == [i == 3 for i in range(ROUNDS)]
    assert [r["first"] for r in by["given"]] == [ord("t")] * ROUNDS


def test_text_behind_numbers_of_system_calls_is_read_from_user_memory(texts: Path) -> None:
    """prctl's second argument is a number to the kernel; what it points to is the program's."""
    made = run(LIMITS + """
target: {children: true}
probes:
  name:
    attach: syscall:prctl
    where: args.option == 15
    emit: {whole: str(args.arg2), later: str(args.arg2 + 5)}
  bare:
    attach: tracepoint:syscalls:sys_enter_prctl
    where: args.option == 15
    emit: {whole: str(args.arg2)}
  raw:
    attach: rawtracepoint:sys_enter
    where: args.id == SYS_prctl and args.regs.di == 15
    emit: {whole: str(args.regs.si)}
""", [str(texts), str(ROUNDS)], root=True)  # fmt: skip
    balanced(made)
    for probe in ("name", "bare", "raw"):
        assert [r["whole"] for r in made.records if r["probe"] == probe] == TEXTS
    assert [r["later"] for r in made.records if r["probe"] == "name"] == [t[5:] for t in TEXTS]


def test_globs_attach_to_each_place_that_matches(texts: Path) -> None:
    """USDT probes, user functions, system calls, tracepoints and raw tracepoints: each is counted
    by its name, and what does not match is not."""
    made = run(LIMITS + f"""
target: {{children: true}}
probes:
  note: {{attach: "usdt:{texts}:texts:glob_*", metrics: {{note: {{count: true, by: [func]}}}}}}
  user: {{attach: "uprobe:{texts}:?i?e", metrics: {{user: {{count: true, by: [func]}}}}}}
  call: {{attach: "syscall:prct?", metrics: {{call: {{count: true, by: [func]}}}}}}
  event:
    attach: "tracepoint:syscalls:sys_ent?r_prctl"
    metrics: {{event: {{count: true, by: [func]}}}}
  raw: {{attach: "rawtracepoint:sys_e*", metrics: {{raw: {{count: true, by: [func]}}}}}}
""", [str(texts), str(ROUNDS)], root=True)  # fmt: skip
    balanced(made)
    names = {
        "note": {"glob_one", "glob_two"},
        "user": {"give"},
        "call": {"prctl"},
        "event": {"sys_enter_prctl"},
        "raw": {"sys_enter", "sys_exit"},
    }
    for probe, expected in names.items():
        hooks = [h for h in made.program.hooks if made.program.probes[h.probe].name == probe]
        assert {hook.label.rpartition(":")[2] for hook in hooks} == expected
        counts = [cell.count for cell in made.metric(probe)]
        if probe != "raw":
            assert counts == [ROUNDS] * len(expected)
        assert len(counts) == len(expected)


CONNECTS = """
import socket
for family, to in ((socket.AF_UNIX, "/none/such"), (socket.AF_INET, ("127.0.0.1", 9)),
                   (socket.AF_INET6, ("::1", 7))):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.connect_ex(to)
"""


def test_an_address_without_ports_has_none() -> None:
    """Of a Unix socket, the letters of its path are no port: null, in records and in conditions."""
    made = run(LIMITS + """
target: {children: true}
probes:
  all: {attach: "syscall:connect", emit: {port: sockaddr(args.uservaddr).port}}
  kept: {attach: "syscall:connect", emit: {port: entry(sockaddr(args.uservaddr).port)}}
  other:
    attach: syscall:connect
    where: not (sockaddr(args.uservaddr).port == 9)
    emit: {port: sockaddr(args.uservaddr).port}
""", ["/usr/bin/python3", "-c", CONNECTS], root=True)  # fmt: skip
    balanced(made)
    ports = {name: [r["port"] for r in made.records if r["probe"] == name]
             for name in ("all", "kept", "other")}  # fmt: skip
    assert ports == {"all": [None, 9, 7], "kept": [None, 9, 7], "other": [7]}
