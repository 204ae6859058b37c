"""`redact`: which strings are of user memory, and what is shown of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.compile.expressions.nodes import Captured, ReadString
from orchestrator.compile.expressions.types import Str
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import KeyField, Presentation, Program, RecordField
from orchestrator.compile.redact import draw_salts
from orchestrator.output.fields import bound_token_size, decode_field, make_token_renderer
from orchestrator.plan.load import check_plan, load_plan
from orchestrator.plan.model import Redact
from tests.support.recorded import recorded

HEAD = "apiVersion: probeplan/v1\nkind: ProbePlan\nmetadata: {name: t, summary: t}\nprobes:\n  p:\n"
FACTS = recorded("6.1")


def compiled(body: str) -> Program:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return compile_plan(load_plan((HEAD + lines).encode()), FACTS)


def hashed(program: Program) -> set[str]:
    """The names of fields and keys that are shown by a digest."""
    [probe] = program.probes
    parts: list[RecordField | KeyField] = [*(probe.emit.fields if probe.emit else ())]
    parts += [part for metric in probe.metrics for part in metric.key]
    return {part.name for part in parts if part.presentation and part.presentation.hashed}


def test_strings_behind_user_pointers_are_redacted_wherever_they_come_from() -> None:
    """Read in place, through a definition, or kept from the entry."""
    program = compiled(
        "attach: syscall:openat\n"
        "redact: hash\n"
        "let: {path: str(args.filename), early: entry(str(args.filename))}\n"
        "emit: {here: str(args.filename), path: path, early: early, "
        "comm: comm, fd: retval, hit: 'path == \"/x\"'}\n"
        "metrics: {n: {count: true, by: [path, comm]}}"
    )
    assert hashed(program) == {"here", "path", "early"}


def test_the_kernels_own_strings_are_left_alone() -> None:
    """Names in its caches and of tasks; what user() marks is the user's."""
    program = compiled(
        "attach: function:vfs_read\n"
        "redact: hash\n"
        "emit: {name: str(args.file.f_path.dentry.d_name.name), comm: comm, f: func, "
        "typed: str(args.buf), said: str(user(args.buf))}"
    )
    assert "said" in hashed(program)
    assert not hashed(program) & {"name", "comm", "f"}


def test_in_user_code_a_number_taken_for_a_pointer_is_the_users_too() -> None:
    """There is no other memory there."""
    program = compiled(
        "attach: uprobe:libc.so.6:getenv\nargs: {name: u64}\nredact: hash\n"
        "emit: {a: str(args.name)}"
    )
    assert hashed(program) == {"a"}


CAPTURED = """\
attach: syscall:execve
redact: {redact}
let: {{argv: strs(args.argv)}}
emit:
  argv: argv
  early: entry(strs(args.argv, 64))
  bytes: buf(args.filename, 16)
  few: entry(buf(args.filename, 4))
  peer: sockaddr(args.filename)
  ip: sockaddr(args.filename).ip
  path: sockaddr(args.filename).path
metrics: {{n: {{count: true, by: [argv]}}}}"""


def test_arguments_buffers_and_addresses_that_programs_pass_are_redacted() -> None:
    """All but an IP address; where strings are cut, a list of them, and what may be a path, is
    reported by its digest: their beginning would report too much."""
    everything = {"argv", "early", "bytes", "few", "peer", "path"}
    assert hashed(compiled(CAPTURED.format(redact="hash"))) == everything
    cut = compiled(CAPTURED.format(redact="truncate(8)"))
    assert hashed(cut) == {"argv", "early", "peer"}
    [probe] = cut.probes
    assert probe.emit is not None
    sizes = {field.name: field.size for field in probe.emit.fields}
    assert (sizes["bytes"], sizes["few"], sizes["path"]) == (16, 8, 9)


def test_without_redact_nothing_is() -> None:
    """And `truncate` sets no digest."""
    for redact in ("", "redact: truncate(4)\n"):
        program = compiled(f"attach: syscall:openat\n{redact}emit: {{path: str(args.filename)}}")
        assert hashed(program) == set()


def test_cut_strings_are_cut_in_the_kernel_and_conditions_see_them_whole() -> None:
    """Records and keys have room for so many bytes and a NUL; the filter reads as before."""
    program = compiled(
        "attach: syscall:openat\n"
        "redact: truncate(4)\n"
        "let: {path: str(args.filename), early: entry(str(args.filename)), short: 'str(path, 3)'}\n"
        'where: path == "/etc/hostname"\n'
        "emit: {path: path, early: early, "
        "short: short, comm: comm}\n"
        "metrics: {n: {count: true, by: [path]}}"
    )
    [probe] = program.probes
    [hook] = program.hooks
    assert probe.emit is not None
    sizes = {field.name: field.size for field in probe.emit.fields}
    assert sizes == {"path": 5, "early": 5, "short": 5, "comm": 16}
    assert probe.metrics[0].key[0].size == 5
    path, early, _, _ = hook.body.emit
    assert isinstance(path, ReadString)
    assert path.type == Str(5)
    assert isinstance(early, Captured)
    assert hook.body.entry is not None
    assert hook.body.entry.captures[early.index].type == Str(5)
    assert [let.node.type for let in hook.body.lets] == [Str(128)]  # what `where` tests


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("truncate(0)", "PP041"), ("truncate(4096)", "PP041"), ("truncate", "PP034")),
        *(("sha1", "PP034"), ("truncate(-1)", "PP034"), ("hash", None), ("truncate(4095)", None)),
    ],
)
def test_what_redact_takes(text: str, code: str | None) -> None:
    """`hash` or `truncate(1)` to `truncate(4095)`."""
    source = HEAD + f"    attach: syscall:openat\n    redact: {text}\n    emit: {{}}\n"
    plan, findings = check_plan(source.encode())
    assert [finding.code for finding in findings] == ([code] if code else [])
    if plan is not None:
        assert isinstance(plan.probes[0].redact, Redact)


# ---------------------------------------------------------------- digests


def a_field(salt: bytes) -> RecordField:
    shown = Presentation(hashed=True, salt=salt)
    return RecordField(name="s", form="string", offset=48, size=32, bit=0, presentation=shown)


@given(st.binary(max_size=31), st.binary(max_size=31))
def test_digests_are_equal_where_strings_are(one: bytes, other: bytes) -> None:
    """Up to the NUL, whatever lies behind it; and they fit where they are to stand."""
    field = a_field(b"salt")
    same = one.partition(b"\0")[0] == other.partition(b"\0")[0]
    values = [decode_field(field, raw.ljust(32, b"\0")) for raw in (one, other)]
    assert (values[0] == values[1]) == same
    assert decode_field(field, one + b"\0garbage") == values[0]
    assert len(make_token_renderer(field)(one)) <= bound_token_size(field)


def test_digests_of_two_runs_have_nothing_in_common() -> None:
    """Every run draws a separate salt; without one nothing is rendered at all."""
    program = compiled("attach: syscall:openat\nredact: hash\nemit: {path: str(args.filename)}")
    first, second = (draw_salts(program).probes[0].emit for _ in range(2))
    assert first is not None
    assert second is not None
    values = {decode_field(emit.fields[0], b"/etc/passwd") for emit in (first, second)}
    assert len(values) == 2
    with pytest.raises(ValueError, match="no salt"):
        decode_field(a_field(b""), b"/etc/passwd")
