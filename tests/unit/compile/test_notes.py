"""Notes as the program has them, compiled for recorded kernels."""

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc import artifact
from orchestrator.compile.kernel_free.check import check_without_kernel
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Redact
from orchestrator.policy.model import Policy
from orchestrator.policy.user_data import find_user_data_violations
from orchestrator.run.explanation import explain_plan
from orchestrator.run.prepare import prepare
from tests.support.recorded import HEAD, recorded

SOCKETS = """
probes:
  send:
    attach: "kprobe:tcp_sendmsg"
    let: {sk: args.sk}
  gone: {attach: "kprobe:tcp_v4_destroy_sock", let: {sk: args.sk}, optional: true}
  again:
    attach: "tracepoint:tcp:tcp_retransmit_skb"
    task: none
    let: {sk: args.skaddr}
    emit:
      pid: note.owner.pid
      who: note.owner.who
      exe: note.owner.exe
      port: note.owner.sk.__sk_common.skc_num
      family: note.owner.family
notes:
  owner:
    set: send
    drop: gone
    key: [sk]
    keep:
      pid: pid
      who: comm
      exe: path(task.mm.exe_file)
      sk: sk
      family: label(args.sk.__sk_common.skc_family, "AF_")
"""


def program(text: str, kernel: str = "6.1") -> Program:
    return compile_plan(load_plan((HEAD + text).encode()), recorded(kernel))


@pytest.mark.parametrize(
    "kernel",
    ["6.1", *(pytest.param(name, marks=pytest.mark.slow) for name in ("5.10", "6.12", "7.x"))],
)
def test_what_is_kept_of_a_socket_is_read_in_interrupts(kernel: str) -> None:
    """Pointers to different structures are one key; what is kept has the type and the names that
    it has where it is set, and pointers are followed where they are read."""
    made = program(SOCKETS, kernel)
    [note] = made.notes
    assert [(part.name, part.form) for part in note.key] == [("sk", "u64")]
    assert [(kept.name, kept.form) for kept in note.kept] == [
        ("pid", "u32"), ("who", "string"), ("exe", "path"), ("sk", "u64"), ("family", "u16"),
    ]  # fmt: skip
    [fields] = [probe.emit.fields for probe in made.probes if probe.emit]
    assert [(field.name, field.form) for field in fields] == [
        ("pid", "u32"), ("who", "string"), ("exe", "path"), ("port", "u16"), ("family", "u16"),
    ]  # fmt: skip
    shown = fields[-1].presentation
    assert shown is not None
    assert shown.names[2] == "AF_INET"
    made_artifact = artifact.emit(made, recorded(kernel))
    assert made_artifact.memory["note owner"] > note.most * 200
    assert "note owner, by sk" in made_artifact.text


def test_tracefs_says_what_it_lacks() -> None:
    text = SOCKETS.replace("sk: note.owner.sk", "x: 1")
    facts = recorded("6.1")
    refused = backend("tracefs").unsupported(program(text), facts, user_space=True)
    assert any("the note 'owner' needs state" in finding.message for finding in refused)


CALLS = """
probes:
  enter: {attach: "tracepoint:raw_syscalls:sys_enter"}
  read: {attach: "syscall:read", WHERE, metrics: {n: {count: true, by: [note.call.nr]}}}
notes:
  call: {set: enter, key: [KEY], keep: {nr: args.id, at: now}, MORE}
"""


def calls(where: str = "where: retval > 0", key: str = "tid", more: str = "max: 5k") -> str:
    return CALLS.replace("WHERE", where).replace("KEY", key).replace("MORE", more)


@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        ("where: note.call.at > 5", "PP085", "duration"),
        ("where: note.call.nr == 'x'", "PP084", ""),
        ("let: {tid: comm}", "PP090", "'tid' is a "),
    ],
)
def test_types_have_to_fit(where: str, code: str, said: str) -> None:
    """What is kept has its unit, and the key's parts agree at all probes."""
    with pytest.raises(PlanError) as caught:
        program(calls(where))
    [finding] = caught.value.findings
    assert finding.code == code
    assert said in finding.message
    assert finding.position.line > 0


def test_a_look_is_not_moved_to_the_entry_unless_it_is_written_there() -> None:
    [late] = [h for h in program(calls("where: noted(call)")).hooks if h.paired]
    assert (late.body.entry.where, len(late.body.where)) == ((), 1)
    [early] = [h for h in program(calls("where: entry(noted(call))")).hooks if h.paired]
    assert (len(early.body.entry.where), early.body.where) == (1, ())


def test_no_probe_that_sets_a_note_is_sampled_by_the_governor() -> None:
    made = program(calls())
    assert [(probe.name, probe.samplable) for probe in made.probes] == [
        ("enter", False),
        ("read", True),
    ]


def test_the_memory_of_a_note_is_bounded_at_its_place() -> None:
    plan = load_plan((HEAD + calls(more="max: 10M")).encode())
    with pytest.raises(HostError) as caught:
        prepare(plan, recorded("6.1"))
    [finding] = caught.value.findings
    assert finding.code == "PP091"
    assert "note call" in finding.message
    assert finding.position.line == 9


NEEDED = """
probes:
  set: {attach: "kprobe:no_such_function", optional: true}
  look: {attach: "kprobe:vfs_read", emit: {x: noted(it)}}
notes:
  it: {set: set, key: [tid]}
"""


def test_a_note_that_nothing_can_set_here_is_refused() -> None:
    with pytest.raises(HostError) as caught:
        program(NEEDED)
    [finding] = caught.value.findings
    assert finding.code == "PP080"
    assert "the note 'it' needs set, which cannot be attached here" in finding.message


CHAIN = """
probes:
  first: {attach: "tracepoint:raw_syscalls:sys_enter"}
  second: {attach: "kprobe:vfs_read"}
  look: {attach: "kprobe:vfs_write", emit: {x: note.b.x, y: note.b.y, old: note.a.x}}
notes:
  b: {set: second, key: [tid], keep: {x: note.a.x, y: noted(a)}}
  a: {set: first, key: [tid], keep: {x: args.id}}
"""


def test_notes_may_keep_what_other_notes_keep() -> None:
    """In any order; what is kept of them has their types."""
    made = program(CHAIN)
    assert [[kept.form for kept in note.kept] for note in made.notes] == [["s64", "bool"], ["s64"]]


ALTERNATIVES = """
probes:
  set:
    attach_first:
      - {to: "kprobe:no_such_function", let: {x: pid}}
      - {to: "tracepoint:raw_syscalls:sys_enter", let: {x: args.nothing}}
      - {to: "kprobe:vfs_read", let: {x: args.count}}
  look: {attach: "kprobe:vfs_write", emit: {x: note.it.x}}
notes:
  it: {set: set, key: [tid], keep: {x: x}}
"""


def test_what_is_kept_has_the_type_of_the_attach_point_that_is_taken() -> None:
    made = program(ALTERNATIVES)
    assert made.hooks[0].label == "kprobe:vfs_read"
    assert [kept.form for kept in made.notes[0].kept] == ["u64"]


def test_lint_checks_what_is_kept_without_a_kernel() -> None:
    plan = load_plan(
        (HEAD + CALLS.replace("nr: args.id", "nr: now + 5"))
        .encode()
        .replace(b"WHERE", b"where: retval > 0")
        .replace(b"KEY", b"tid")
        .replace(b", MORE", b"")
    )
    findings, _ = check_without_kernel(plan)
    assert [finding.code for finding in findings] == ["PP085"]


def test_explain_names_what_sets_keeps_and_reads_a_note() -> None:
    plan = load_plan((HEAD + calls()).encode())
    prepared = prepare(plan, recorded("6.1"))
    [note] = explain_plan(prepared)["notes"]
    assert (note["note"], note["max"], note["once"], note["read_by"]) == (
        "call", 5000, False, ["read"],
    )  # fmt: skip
    [part] = note["parts"]
    assert (part["role"], part["probe"], part["key"], part["kept"]) == (
        "set", "enter", ["tid"], {"nr": "args.id", "at": "now"},
    )  # fmt: skip


READ_PATHS = """
probes:
  open: {attach: "tracepoint:syscalls:sys_enter_openat", SETTER}
  look: {attach: "kprobe:vfs_read", emit: {x: note.it.path}, READER}
notes:
  it: {set: open, key: [tid], keep: {path: str(args.filename)}}
"""
PLAIN = "optional: false"


def violations(made: Program) -> list[str]:
    policy = Policy(file="policy.yaml", sha256="", user_strings=Redact(kind="hash"))
    facts = recorded("6.1")
    return [finding.message for finding in find_user_data_violations(made, facts, policy)]


@pytest.mark.parametrize(
    ("setter", "reader"),
    [("redact: hash", PLAIN), (PLAIN, "redact: hash"), (PLAIN, "redact: truncate(8)")],
)
def test_text_that_is_kept_is_redacted_by_either_probe(setter: str, reader: str) -> None:
    """What is kept whole cannot be cut where it is read: a digest is shown instead."""
    made = program(READ_PATHS.replace("SETTER", setter).replace("READER", reader))
    [emit] = [probe.emit for probe in made.probes if probe.emit]
    shown = emit.fields[0].presentation
    assert shown is not None
    assert shown.hashed
    assert violations(made) == []


def test_a_policy_follows_user_data_through_notes_and_their_keys() -> None:
    [leak] = violations(program(READ_PATHS.replace("SETTER", PLAIN).replace("READER", PLAIN)))
    assert "the field 'x' would show user memory: it is not hashed" in leak
    by_text = READ_PATHS.replace("SETTER", "let: {k: str(args.filename)}").replace(
        "READER", "let: {k: comm}"
    )
    by_text = by_text.replace("[tid]", "[k]").replace("path: str(args.filename)", "path: pid")
    assert ["the key 'k' of 'it' would show" in one for one in violations(program(by_text))] == [
        True
    ]


def test_a_definition_may_have_the_name_of_the_note_that_it_tests() -> None:
    text = calls("let: {call: noted(call)}, where: call")
    assert program(text).notes[0].name == "call"


READERS = {
    "once": "  b: {attach: syscall:write, let: {k: tid}, emit: {}, once: {by: [note.n.x]}}",
    "add": "  b: {attach: syscall:write, let: {k: tid}}\n"
    "  c: {attach: syscall:close, let: {k: tid}}\n"
    "spans:\n  s:\n    {start: a, end: c, key: [k], emit: {t: sum.t}, "
    "add: {t: {from: b, sum: note.n.x}}}",
    "outstanding": "  b: {attach: syscall:write, let: {k: tid}}\n"
    "  c: {attach: syscall:close, let: {k: tid}}\n"
    "outstanding:\n  o: {open: b, close: c, key: [k], value: note.n.x}",
    "span key": "  b: {attach: syscall:write, let: {k: note.n.x}}\n"
    "  c: {attach: syscall:close, let: {k: note.n.x}}\n"
    "spans:\n  s: {start: b, end: c, key: [k], emit: {}}",
}


@pytest.mark.parametrize("reader", READERS)
def test_a_note_is_read_by_all_that_is_evaluated_at_an_event(reader: str) -> None:
    """And one that is not kept is no read that failed."""
    text = (
        "notes:\n  n: {set: a, key: [k], keep: {x: args.count}}\n"
        "probes:\n  a: {attach: syscall:read, let: {k: tid}}\n" + READERS[reader]
    )
    if reader == "span key":  # the note has a key of its probes that is no value of a note
        text = text.replace("key: [k], keep", "key: [t], keep")
        text = text.replace("let: {k", "let: {t: tid, k")
    made = artifact.emit(program(text), recorded("6.1")).text
    assert "note_0_key" in made
    if reader in ("add", "span key"):
        assert "if (fault && note_0) PP_ADD(&own->faulted, 1);" in made


def test_what_is_kept_is_redacted_by_the_attach_point_that_is_taken() -> None:
    """Both keep a text of 16 bytes; only the second one's is of the user."""
    made = program("""
notes:
  n: {set: a, key: [k], keep: {x: what}}
probes:
  a:
    attach_first:
      - {to: "tracepoint:sched:sched_switch", let: {what: comm}}
      - {to: "syscall:openat", let: {what: "str(args.filename, 16)"}}
    let: {k: tid}
    emit: {name: args.filename}
  b: {attach: "syscall:write", let: {k: tid}, emit: {x: note.n.x}, redact: hash}
""")
    assert made.hooks[0].label == "syscall:openat"
    [field] = made.probes[1].emit.fields if made.probes[1].emit else ()
    assert field.presentation is not None
    assert field.presentation.hashed
