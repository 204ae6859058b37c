"""What is captured from memory: arguments of exec, buffers, paths, addresses of sockets."""

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.output.fields import decode_field
from tests.live.bcc.test_counts import LIMITS
from tests.support.bcc_runs import Run, balanced, run

FOLLOWED = LIMITS + "target: {children: true}\n"


def shown(made: Run) -> list[dict[str, Any]]:
    """The records' values as the log reports them, in order, with what was cut."""
    emits = {emit.probe: emit for emit in made.program.emits}
    return [
        {
            field.name: record[field.name]
            if not isinstance(record[field.name], bytes)
            else decode_field(field, record[field.name])
            for field in emits[record["probe"]].fields
        }
        | {"truncated": record["truncated"]}
        for record in made.records
    ]


def python(script: str, *arguments: str) -> list[str]:
    """A command: this script by a separate Python."""
    return [sys.executable, "-c", script, *arguments]


# ---------------------------------------------------------------- arguments of exec


def test_the_arguments_of_exec_are_told_as_one_would_type_them() -> None:
    """Blanks, empty arguments and bytes that are no text; what does not fit, or is one of too many,
    is said to be cut; an array that is not there is null, and counted."""
    script = (
        "import os, subprocess as s\n"
        "s.run(['/bin/true', 'a b', '', 'it\\'s', b'\\xff', '--x=1'])\n"
        "s.run(['/bin/true', 'x' * 60, 'y' * 100, 'z'])\n"
        "s.run(['/bin/true', *'abcdefghij' * 10])\n"
        "import ctypes; ctypes.CDLL(None).syscall(59, b'/bin/true', 8, 0)\n"
    )
    made = run(
        FOLLOWED
        + """
probes:
  exec:
    attach: syscall:execve
    where: entry(str(args.filename)) == "/bin/true"
    emit: {all: "entry(strs(args.argv, 512))", some: "entry(strs(args.argv, 96))", ret: retval}
""",
        python(script),
        root=True,
    )
    balanced(made)
    quoted = """/bin/true 'a b' '' 'it'"'"'s' '\\xff' --x=1"""
    long = f"/bin/true {'x' * 60} {'y' * 100} z"
    letters = " ".join("abcdefghij" * 10)
    assert [(r["all"], r["some"], r["truncated"]) for r in shown(made)] == [
        (quoted, quoted, []),
        (long, f"/bin/true {'x' * 60} {'y' * 25}", ["some"]),
        (
            f"/bin/true {letters[: 2 * 55 - 1]}",
            f"/bin/true {letters[: 2 * 42 - 1]}",
            ["all", "some"],
        ),
        (None, None, []),
    ]
    assert made.counts.faulted == 2
    assert made.counts.truncated == 3


# ---------------------------------------------------------------- buffers

WRITES = """
import ctypes, os, sys
os.dup2(os.memfd_create("none"), 77)
for text in (b"", b"\\0\\1\\2\\xff", b"sixteen bytes...", bytes(range(256)) * 2):
    os.write(77, text)
ctypes.CDLL(None).write(77, 8, 4)
"""


def test_buffers_are_of_the_length_that_the_event_tells() -> None:
    """As many bytes as were written, at most 256; a constant number of them; a bound of the
    plan's; more than room is reported as cut; what is not there is null, and counted."""
    made = run(
        FOLLOWED
        + """
probes:
  write:
    attach: syscall:write
    where: args.fd == 77
    emit:
      whole: buf(args.buf, args.count)
      four: buf(args.buf, 4)
      few: buf(args.buf, min(args.count, 6))
      made: buf(args.buf, retval)
""",
        python(WRITES),
        root=True,
    )
    balanced(made)
    all_bytes = bytes(range(256)).hex()
    sixteen = b"sixteen bytes...".hex()
    found = shown(made)
    for record in found[:1]:
        record.pop("four")  # what follows an empty string is not ours to know
    assert found == [
        {"whole": "", "few": "", "made": "", "truncated": []},
        {"whole": "000102ff", "four": "000102ff", "few": "000102ff", "made": "000102ff",
         "truncated": []},
        {"whole": sixteen, "four": sixteen[:8], "few": sixteen[:12], "made": sixteen,
         "truncated": ["few"]},
        {"whole": all_bytes, "four": "00010203", "few": "000102030405", "made": all_bytes,
         "truncated": ["whole", "few", "made"]},
        {"whole": None, "four": None, "few": None, "made": "", "truncated": []},
    ]  # fmt: skip
    assert made.counts.faulted == 3
    assert made.counts.truncated == 4


def test_a_buffer_as_a_key_counts_equal_bytes_together() -> None:
    """Of six writes, three are alike."""
    script = "import os\nos.dup2(os.open('/dev/null', 1), 77)\n" + "".join(
        f"os.write(77, {text!r})\n" for text in (b"aa", b"ab", b"aa", b"a", b"aa\0", b"aa")
    )
    made = run(
        FOLLOWED
        + """
probes:
  write:
    attach: syscall:write
    where: args.fd == 77
    let: {text: "buf(args.buf, min(args.count, 32))"}
    metrics: {n: {count: true, by: [text]}}
""",
        python(script),
        root=True,
    )
    balanced(made)
    (part,) = made.program.metrics[0].key
    cells = {decode_field(part, cell.key[: part.size]): cell.count for cell in made.metric("n")}  # type: ignore[index]  # no cell `other`
    assert cells == {b"aa".hex(): 3, b"ab".hex(): 1, b"a".hex(): 1, b"aa\0".hex(): 1}


# ---------------------------------------------------------------- paths

EXECS = """
probes:
  exec:
    attach: rawtracepoint:sched_process_exec
    where: tid == pid
    let: {file: path(args.bprm.file)}
    emit:
      file: file
      way: "path(args.bprm.file.f_path, 512)"
      short: "path(args.bprm.file, 32)"
      inside: path(args.bprm.file.f_path.dentry)
    metrics: {n: {count: true, by: [file]}}
"""


def test_paths_of_files_lead_to_the_root(tmp_path: Path) -> None:
    """Through mounts for a file and a path, to the root of its file system for a directory entry;
    long names whole, what is deeper than there is room for said to be cut, from its end."""
    true = shutil.which("true") or "/bin/true"
    name = f"pp{os.getpid()}"
    deep = tmp_path / ("d" * 200) / ("e" * 31) / ("f" * 30) / "g"
    deep.mkdir(parents=True)
    shared = Path("/dev/shm") / name  # noqa: S108  # another file system than that of tmp_path
    for place in (shared, deep / name):
        shutil.copy(true, place)
    try:
        script = "import subprocess as s, sys\nfor f in sys.argv[1:]: s.run([f])"
        made = run(
            FOLLOWED.replace("children: true", f"children: true, comm: {name}") + EXECS,
            python(script, str(shared), str(deep / name)),
            root=True,
        )
    finally:
        shared.unlink()
    balanced(made)
    reported, far = shown(made)
    assert reported == {
        "file": str(shared), "way": str(shared), "short": str(shared), "inside": f"/{name}",
        "truncated": [],
    }  # fmt: skip
    assert far == {
        "file": _end(deep / name, 192), "way": str(deep / name), "short": _end(deep / name, 32),
        "inside": _end((deep / name).relative_to(_mount(deep)), 192),
        "truncated": ["file", "short", "inside"],
    }  # fmt: skip
    (part,) = made.program.metrics[0].key
    keys = {decode_field(part, cell.key[: part.size]) for cell in made.metric("n") if cell.key}
    assert keys == {str(shared), _end(deep / name, 192)}


def test_a_file_that_has_no_place_in_a_file_system_has_its_name_alone() -> None:
    """A program run from a memory file, whose directory entry is its own parent."""
    script = (
        "import os, subprocess as s\n"
        "fd = os.memfd_create('hidden program', 0)\n"
        "os.write(fd, open('/bin/true', 'rb').read())\n"
        "s.run([f'/proc/self/fd/{fd}'], pass_fds=[fd])\n"
    )
    made = run(
        FOLLOWED
        + """
probes:
  exec:
    attach: rawtracepoint:sched_process_exec
    emit: {file: path(args.bprm.file), inside: path(args.bprm.file.f_path.dentry)}
""",
        python(script),
        root=True,
    )
    balanced(made)
    last = shown(made)[-1]
    assert last == {"file": "memfd:hidden program", "inside": "/", "truncated": []}


def _end(path: Path, size: int) -> str:
    """The names from the end that have room, the last of them in part."""
    names = "".join(f"{name}\0" for name in reversed(path.parts[path.is_absolute() :]))
    return "/".join(reversed(names[:size].removesuffix("\0").split("\0")))


def _mount(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.is_mount())


# ---------------------------------------------------------------- sockets


@pytest.mark.parametrize(("family", "address"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")])
def test_both_ends_of_a_connection(family: str, address: str) -> None:
    """As the kernel's socket has them: addresses, ports, and both in one, of both families."""
    with socket.socket(getattr(socket, family), socket.SOCK_STREAM) as server:
        server.bind((address, 0))
        server.listen()
        port = server.getsockname()[1]
        script = (
            "import socket, sys\n"
            f"s = socket.create_connection(({address!r}, {port}))\n"
            "print(s.getsockname()[1])\n"
        )
        made = run(
            LIMITS
            + f"""
let: {{peer: remote(args.sk)}}
probes:
  up:
    attach: rawtracepoint:inet_sock_set_state
    task: none
    where: args.newstate == TCP_ESTABLISHED and peer.port == {port}
    emit:
      from_ip: local(args.sk).ip
      from_port: local(args.sk).port
      ip: peer.ip
      family: label(peer.family, "AF_")
      from: local(args.sk)
      to: peer
    metrics: {{n: {{count: true, by: [peer]}}}}
""",
            python(script),
        )
    balanced(made)
    mine = int(made.output)
    both = f"[{address}]" if ":" in address else address
    (found,) = shown(made)
    assert found == {
        "from_ip": address, "from_port": mine, "ip": address,
        "family": getattr(socket, family).value, "from": f"{both}:{mine}", "to": f"{both}:{port}",
        "truncated": [],
    }  # fmt: skip
    assert [cell.count for cell in made.metric("n")] == [1]


ADDRESSES = """
import socket, sys
def ask(family, address):
    s = socket.socket(family, socket.SOCK_DGRAM)
    try: s.connect(address)
    except OSError: pass
ask(socket.AF_INET, ("127.0.0.1", 4711))
ask(socket.AF_INET6, ("::1", 4712))
ask(socket.AF_UNIX, "/none/such.socket")
ask(socket.AF_UNIX, "\\0hidden")
import ctypes, struct
ctypes.CDLL(None).connect(0, struct.pack("=H14x", 0), 16)
ctypes.CDLL(None).connect(0, 8, 16)
"""


def test_addresses_that_programs_pass() -> None:
    """IPv4, IPv6, the path of a Unix socket and an abstract one; a family without an address here
    and an address that is not there are null, and counted."""
    made = run(
        FOLLOWED
        + """
probes:
  ask:
    attach: syscall:connect
    let: {to: "sockaddr(args.uservaddr, args.addrlen)"}
    emit: {to: to, ip: to.ip, port: to.port, path: "to.path if to.family == AF_UNIX else ''",
           family: to.family}
""",
        python(ADDRESSES),
        root=True,
    )
    balanced(made)
    assert [(r["to"], r["ip"], r["path"], r["family"]) for r in shown(made)] == [
        ("127.0.0.1:4711", "127.0.0.1", "", 2),
        ("[::1]:4712", "::1", "", 10),
        ("unix:/none/such.socket", None, "/none/such.socket", 1),
        ("unix:@hidden", None, "", 1),
        (None, None, "", 0),
        (None, None, None, None),
    ]
    assert [r["port"] for r in shown(made)] == [4711, 4712, None, None, None, None]
    assert made.counts.faulted == 2 + 2 + 3 + 5  # what is null of the last four


# ---------------------------------------------------------------- numbers that stand for something


def test_flags_calls_and_symbols_are_told_by_name() -> None:
    """The flags of an open, a system call by its number, the function that ends a sleep; what the
    kernel keeps are the numbers."""
    script = "import os, time\nos.open('/dev/null', os.O_RDWR | os.O_APPEND)\ntime.sleep(0.001)\n"
    made = run(
        FOLLOWED
        + """
probes:
  open:
    attach: syscall:openat
    where: startswith(str(args.filename), "/dev/null")
    emit: {how: 'flags(args.flags, "O_")'}
  call:
    attach: tracepoint:raw_syscalls:sys_enter
    where: args.id == SYS_clock_nanosleep
    emit: {call: 'label(args.id, "SYS_")', number: args.id}
  sleep:
    attach: tracepoint:timer:hrtimer_start
    emit: {ends: ksym(args.function)}
""",
        python(script),
        root=True,
    )
    balanced(made)
    emits = {emit.probe: emit.fields for emit in made.program.emits}

    def reported(probe: str) -> list[object]:
        field = emits[probe][0]
        mine = (record for record in made.records if record["probe"] == probe)
        return [decode_field(field, r[field.name].to_bytes(field.size, "little")) for r in mine]

    assert reported("open") == ["O_RDWR|O_APPEND|O_CLOEXEC"]
    assert reported("call") == ["clock_nanosleep"]
    assert [r["number"] for r in made.records if r["probe"] == "call"] == [230]
    assert "hrtimer_wakeup+0x0" in reported("sleep")  # the kernel's own timers may start in between
