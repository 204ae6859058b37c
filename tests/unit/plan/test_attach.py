"""`KIND:TARGET` per kind: what is taken, and that nothing dangerous ever is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.bcc.design.mechanism import _CANDIDATES
from orchestrator.backends.tracefs.design.lowering import _NEEDS
from orchestrator.compile.points import _FINDERS
from orchestrator.plan.attach import TargetError, parse_attach_point
from orchestrator.plan.attach_kinds import ATTACH_KINDS, KINDS
from orchestrator.plan.document.schema import POLICY_SCHEMA, load_schema


def test_every_kind_has_a_grammar_that_takes_its_own_example() -> None:
    """The examples in hints are right."""
    for kind, traits in KINDS.items():
        assert parse_attach_point(f"{kind}:{traits.example}") == (kind, traits.example)


def test_every_kind_has_its_row_finder_and_mechanism() -> None:
    """The type, the table, the finders and the schema name the same kinds; a kind that no backend
    attaches would be refused everywhere."""
    schema = load_schema(POLICY_SCHEMA)
    assert tuple(KINDS) == ATTACH_KINDS == tuple(schema["$defs"]["kinds"]["items"]["enum"])
    assert set(_FINDERS) == set(ATTACH_KINDS)
    assert set(_CANDIDATES) | set(_NEEDS) == set(ATTACH_KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "function:vfs_*",
        "function:foo.isra.0",
        "kprobe:vfs_read+16",
        "kprobe:vfs_read+0x10",
        "uprobe:/usr/lib/x86_64-linux-gnu/libc.so.6:malloc+0x4",
        "uprobe:./a.out:_ZN3foo3barEv",
        "usdt:/usr/bin/python3.13:python:function__entry",
        "usdt:libpthread.so.0:libpthread:pthread_create",
        "tracepoint:syscalls:sys_enter_*",
        "profile:99hz",
        "interval:500ms",
        "iter:task_file",
        "perf:page-faults",
        "perf:cache-misses/10k",
        "perf:cpu-clock/1ms",
    ],
)
def test_usual_attach_points_are_taken(text: str) -> None:
    """Globs, offsets, suffixes of compilers, mangled names, library names."""
    assert parse_attach_point(text)[0] == text.partition(":")[0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "PP051"),
        ("function", "PP051"),
        ("Function:vfs_read", "PP051"),
        ("function:", "PP052"),
        ("function:vfs_read+4", "PP052"),
        ("function:a:b", "PP052"),
        ("kprobe:vfs_*+4", "PP052"),
        ("kprobe:vfs_read+", "PP052"),
        ("kprobe:0xffffffff81000000", "PP052"),
        ("tracepoint:sched", "PP052"),
        ("tracepoint:sched/x:y", "PP052"),
        ("ufunction:malloc", "PP052"),
        ("uprobe:/bin/x:", "PP052"),
        ("uprobe:a:b:c", "PP052"),
        ("usdt:/bin/x:p", "PP052"),
        ("profile:99", "PP052"),
        ("profile:0hz", "PP052"),
        ("profile:99999hz", "PP052"),
        ("interval:1h", "PP052"),
        ("iter:task*", "PP052"),
        ("interval:0ms", "PP052"),
        ("perf:cycels", "PP052"),
        ("perf:page-faults/0", "PP052"),
        ("perf:page-faults/1ms", "PP052"),
        ("perf:cpu-clock/1000", "PP052"),
        ("function:vfs_réad", "PP052"),
        ("function:vfs_read\n", "PP052"),
    ],
)
def test_anything_else_is_refused(text: str, code: str) -> None:
    """With the code of what is wrong and a hint that shows the right form."""
    with pytest.raises(TargetError) as refusal:
        parse_attach_point(text)
    assert refusal.value.code == code
    assert refusal.value.hint


def test_a_bad_character_is_pointed_at() -> None:
    """The offset counts from the start of the whole text."""
    with pytest.raises(TargetError) as refusal:
        parse_attach_point("function:vfs;read")
    assert refusal.value.offset == len("function:vfs")


TARGETS = st.text(alphabet="ab_.$*?:+0x9/;|&`\"'\\ \n\t(){}<>#!%=,-~^@é\x00", max_size=20)


@given(st.sampled_from(ATTACH_KINDS), TARGETS)
def test_what_is_taken_cannot_break_out(kind: str, target: str) -> None:
    """No white space, quote, backslash, bracket, shell or comment sign ever passes."""
    try:
        _, taken = parse_attach_point(f"{kind}:{target}")
    except TargetError:
        return
    assert not re.search(r"[\s;|&`\"'\\(){}<>#!\x00-\x1f\x7f]|[^\x00-\x7f]", taken)
