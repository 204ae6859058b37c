"""Functions that capture data: what they give, and what is said of arguments that do not fit."""

from collections.abc import Callable

import pytest

from orchestrator.compile.program import Program
from orchestrator.plan.findings import PlanError

Compile = Callable[..., Program]


def forms(program: Program) -> dict[str, tuple[str, int]]:
    """(form, size in bytes) of each field."""
    assert program.probes[0].emit is not None
    return {f.name: (f.form, f.size) for f in program.probes[0].emit.fields}


def test_what_they_give(compiled: Compile) -> None:
    """Forms and sizes: a bound of the plan's, or what is by default; counters, and room for
    the last piece of a list."""
    program = compiled("""
probes:
  p:
    attach: syscall:sendto
    let: {to: "sockaddr(args.addr, args.addr_len)"}
    emit:
      all: buf(args.buff, args.len)
      some: buf(args.buff, min(args.len, 20))
      few: buf(args.buff, 4)
      list: strs(args.buff)
      short: "strs(args.buff, 100)"
      to: to
      ip: to.ip
      port: to.port
      path: to.path
""")
    assert forms(program) == {
        "all": ("bytes", 264), "some": ("bytes", 24), "few": ("bytes", 8),
        "list": ("strings", 232), "short": ("strings", 136), "to": ("endpoint", 112),
        "ip": ("ip", 24), "port": ("u16", 2), "path": ("string", 108),
    }  # fmt: skip


def test_addresses_of_both_versions_are_one_field(compiled: Compile) -> None:
    """By a condition, and across attach points."""
    program = compiled("""
probes:
  p:
    attach_all:
      - to: tracepoint:sock:inet_sock_set_state
        let: {ip: "ipv4(args.daddr) if args.family == AF_INET else ipv6(args.daddr_v6)"}
      - to: tracepoint:tcp:tcp_destroy_sock
        let: {ip: ipv4(args.daddr)}
    emit: {ip: ip}
""")
    assert forms(program) == {"ip": ("ip", 24)}


@pytest.mark.parametrize(
    ("attach", "value", "code", "reported"),
    [
        ("syscall:write", "buf(args.buf, 257)", "PP086", "a buffer of 257 bytes"),
        ("syscall:write", "buf(args.buf, 0)", "PP086", "a buffer of 0 bytes"),
        ("syscall:write", "buf(args.buf, str(args.buf))", "PP084", "where a number is needed"),
        ("syscall:execve", "strs(args.argv, 8)", "PP086", "from 16 to 512"),
        ("syscall:execve", "strs(args.argv, args.argv)", "PP084", "a constant number"),
        ("syscall:openat", "path(args.filename)", "PP084", "a path that a program passes"),
        ("function:vfs_read", 'glob(path(args.file), "*.log")', "PP084", "d_name.name"),
        ("rawtracepoint:sched_switch", "path(args.prev)", "PP084", "a struct file, path or dentry"),
        ("syscall:connect", "remote(args.uservaddr)", "PP084", "sockaddr(p)"),
        ("rawtracepoint:sched_switch", "local(args.prev)", "PP084", "is not a struct sock"),
        ("syscall:connect", "sockaddr(args.uservaddr).name", "PP084", ".ip, .port, .family, .path"),
        ("rawtracepoint:inet_sock_set_state", "local(args.sk).path", "PP084", "has no member"),
        ("syscall:openat", 'label(args.flags, "")', "PP084", "needs the prefix"),
        ("rawtracepoint:inet_sock_set_state", "local(args.sk) == 1", "PP084", "endpoint"),
        ("syscall:execve", 'strs(args.argv) == "x"', "PP084", "strings[192]"),
    ],
)
def test_arguments_that_do_not_fit_are_findings(
    compiled: Compile, attach: str, value: str, code: str, reported: str
) -> None:
    """With the reason, or the cure."""
    with pytest.raises(PlanError) as caught:
        compiled(f"probes: {{p: {{attach: '{attach}', emit: {{x: '{value}'}}}}}}\n")
    (finding,) = caught.value.findings
    assert finding.code == code
    assert reported in f"{finding.message} {finding.hint}"


def test_a_system_calls_number_goes_by_its_name(compiled: Compile) -> None:
    """As a constant, and shown; by the tables of the kernel's architecture."""
    program = compiled("""
probes:
  p:
    attach: tracepoint:raw_syscalls:sys_enter
    where: args.id in (SYS_openat, SYS_mseal)
    emit: {call: 'label(args.id, "SYS_")'}
""")
    assert program.probes[0].emit is not None
    shown = program.probes[0].emit.fields[0].presentation
    assert shown is not None
    assert (shown.names[257], shown.names[462], shown.names[0]) == ("openat", "mseal", "read")
