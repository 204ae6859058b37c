"""Expressions and names → nodes → a program → C and tracefs writes, with nothing run."""

import json
from functools import cache

from orchestrator.backends import backend
from orchestrator.backends.bcc.emit.site import EmitError
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.findings import HostError, PlanError, Position
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from tests.fuzz.grammar import check_c, check_writes
from tests.fuzz.grown import Place, grown
from tests.fuzz.target import Target
from tests.support.paths import KERNELS

HEAD = "apiVersion: probeplan/v1\nkind: ProbePlan\nmetadata: {name: t, summary: t}\n"
PARAMS = "params: {limit: {type: int, default: 7}, loud: {type: bool, default: true}}\n"
_AT = {
    "function:vfs_read": Place(
        numbers=("args.count", "args.file.f_flags"),
        texts=("args.file.f_path.dentry.d_name.name",),
        pointers=("args.buf", "args.pos"),
        paired=True,
    ),
    "entry:do_sys_openat2": Place(
        numbers=("args.dfd",), texts=("str(args.filename)",), pointers=("args.how",)
    ),
    "syscall:openat": Place(
        numbers=("args.dfd", "args.flags"), texts=("str(args.filename)",), paired=True
    ),
    "tracepoint:sched:sched_switch": Place(
        numbers=("args.prev_state", "args.next_pid"), texts=("args.next_comm",)
    ),
    "rawtracepoint:sched_switch": Place(
        numbers=("args.prev.pid", "args.preempt"),
        texts=("args.next.comm",),
        pointers=("args.next.mm",),
    ),
    "uprobe:/no/such/file:main": Place(numbers=("arg0", "arg1"), pointers=("arg0",)),
}
_SLOTS = (
    "where: {0}, emit: {{x: cpu}}",
    "emit: {{x: {0}}}",
    "let: {{a: {0}}}, where: a, emit: {{a: a}}",
    "metrics: {{m: {{histogram: {0}, by: [comm]}}}}",
    "let: {{a: {0}}}, metrics: {{m: {{sum: a}}, n: {{count: true, by: [a]}}}}",
)
_NAMES = (
    "probes: {{p: {{attach: {0}, emit: {{x: cpu}}}}}}",
    "probes: {{p: {{attach: 'syscall:openat', emit: {{{0}: cpu}}}}}}",
    "probes: {{{0}: {{attach: 'syscall:openat', emit: {{x: probe}}}}}}",
    "target: {{comm: {0}}}\nprobes: {{p: {{attach: 'function:vfs_read', emit: {{x: cpu}}}}}}",
    "probes: {{p: {{attach: 'syscall:openat', metrics: {{{0}: {{count: true}}}}}}}}",
    "probes: {{p: {{attach: 'function:vfs_read', args: {{{0}: u64}}, emit: {{x: cpu}}}}}}",
)
TEMPLATES = (
    *(
        f"probes: {{{{p: {{{{attach: '{attach}', {slot}}}}}}}}}"
        for attach in _AT
        for slot in _SLOTS
    ),
    *_NAMES,
)


GROWN = 128


@cache
def facts() -> KernelFacts:
    """Debian's 6.1."""
    return load_facts(KERNELS / "6.1.facts.xz")


def expression_of(data: bytes) -> tuple[str, str]:
    """A template and what is in it. The first byte chooses the template; from GROWN on the
    others do not spell the text but choose how it grows."""
    if data[0] < GROWN:
        return TEMPLATES[data[0] % len(TEMPLATES)], data[1:].decode("utf-8", "ignore")
    place = data[0] % (len(_AT) * len(_SLOTS))
    return TEMPLATES[place], grown(data[1:], list(_AT.values())[place // len(_SLOTS)])


def check(data: bytes) -> None:
    """Nothing but findings comes of the case's plan, or a program whose C and tracefs writes hold
    no more than their grammars allow."""
    if not data:
        return
    template, text = expression_of(data)
    _check_parse(text)
    source = HEAD + PARAMS + template.format(json.dumps(text, ensure_ascii=False))
    try:
        plan = load_plan(source.encode())
        program = compile_plan(plan, facts())
    except (PlanError, HostError) as error:
        str(error).encode()
        return
    _check_plan(plan)
    _check_bcc(program)
    _check_tracefs(program)


def _check_parse(text: str) -> None:
    try:
        parse(text, Position(file="f", line=1, column=1))
    except PlanError as error:
        for finding in error.findings:
            assert 1 <= finding.position.column <= len(text) + 2, str(finding)


def _check_plan(plan: Plan) -> None:
    for probe in plan.probes:
        assert probe.name.isascii()
        assert probe.name.isprintable()


def _check_bcc(program: Program) -> None:
    try:
        artifact = backend("bcc").emit(program, facts())
    except (HostError, EmitError):
        return
    check_c(artifact.text)


def _check_tracefs(program: Program) -> None:
    try:
        artifact = backend("tracefs").emit(program, facts())
    except HostError:
        return
    assert isinstance(artifact.detail, EventLayout)
    check_writes(artifact.detail)


_TEXTS = (
    "pid == 7 and comm != 'bash'",
    "args.count >= 4096 and retval < 0",
    "elapsed > 10*ms if params.loud else 1*us",
    "args.file.f_path.dentry.d_name.name",
    "str(args.buf, 40)",
    "startswith(comm, 'a') or endswith(comm, 'z') or contains(comm, 'm')",
    "args.filename",
    "str(args.filename) == '/etc/passwd'",
    "args.prev_state & 0xff in (1, 2, 4)",
    "args.next.comm == 'x'",
    "either(args.prev.state, args.prev.__state)",
    "load(u64, args.file)",
    "comm == '*/ int x; /*' or comm == 'a??/'",
    "comm != 'b\\\\' and args.next.comm == '\" && x'",
    "ntohs(args.count) << 3 >> 2 | ~args.pos ^ -1",
    "(args.count + 1) // (params.limit % 3)",
    "min(args.count, 5) - max(retval, 2) * log2(args.count)",
    "entry(args.file.f_flags) == 1 and not (cpu == 0)",
    "arg0 + arg1",
    "task.mm.owner.tgid",
    "uid != 0 and gid in (1, 2)",
    "function:vfs_write",
    "tracepoint:sched:sched_wakeup",
    "uprobe:/bin/true:main+0x10",
    "usdt:/bin/true:a:b",
    "postgres*",
)
_WORDS = r"""
args. retval elapsed comm pid tid uid gid cpu now func probe task params.limit arg0 str( entry(
either( load( startswith( contains( ntohl( ip( min( and or not in if else == != <= >= << >> // % **
:= lambda is None True 0x1f 18446744073709551615 -9223372036854775808 1.5 1e9 '\ud800' '\x00' "*/"
f'{x}' b'' ... /* ?? ??/ # ; ' " $( } { [ ( u8 s64 KiB ms
"""


def seeds() -> list[bytes]:
    """Each text at a few places."""
    count = len(TEMPLATES)
    return [
        bytes([(number * 7 + step) % count]) + text.encode()
        for number, text in enumerate(_TEXTS)
        for step in (0, 2, 11, 17, 23)
    ] + [bytes([count - 1 - index]) + b"name" for index in range(len(_NAMES))] + [
        bytes([GROWN + place]) + bytes((place * 37 + step * step) % 256 for step in range(60))
        for place in range(len(_AT) * len(_SLOTS))
    ]  # fmt: skip


TARGET = Target(
    name="expressions",
    check=check,
    seeds=seeds,
    words=(*(word.encode() for word in _WORDS.split()), b"\\\n", b" "),
    longest=4100,
)
