"""Compilation needs no kernel and no right, and what it gives depends on the text alone."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.backends import cache_directory, kept_files
from orchestrator.backends.bcc.compiler import cache, clang
from orchestrator.backends.bcc.compiler.key import HEADERS
from orchestrator.backends.bcc.compiler.places import OpenPlace, OpenProgram
from tests.support.bpf_programs import COUNT
from tests.support.paths import ROOT

AS_NOBODY = """
import json, os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from orchestrator.backends.bcc.compiler import clang
code = clang.compile_c(sys.stdin.read(), ["count"])
print(json.dumps({"hex": code["count"].hex(), "bcc": "bcc" in sys.modules, "uid": os.getuid()}))
"""
COMPILE = """
import sys
from orchestrator.backends.bcc.compiler import clang
clang.compile_c(sys.stdin.read(), ["count"])
"""
PROGRAM = OpenProgram(
    code={"f": bytes(16)}, places=(OpenPlace(function="f", instruction=1, form="add", slot=3),)
)
PP_HELPERS = {
    "pp_map_lookup": "map_lookup_elem",
    "pp_map_update": "map_update_elem",
    "pp_map_delete": "map_delete_elem",
    "pp_ktime_ns": "ktime_get_ns",
    "pp_ktime_boot_ns": "ktime_get_boot_ns",
    "pp_jiffies64": "jiffies64",
    "pp_prandom_u32": "get_prandom_u32",
    "pp_cpu": "get_smp_processor_id",
    "pp_pid_tgid": "get_current_pid_tgid",
    "pp_uid_gid": "get_current_uid_gid",
    "pp_comm": "get_current_comm",
    "pp_cgroup_id": "get_current_cgroup_id",
    "pp_ancestor_cgroup_id": "get_current_ancestor_cgroup_id",
    "pp_task": "get_current_task",
    "pp_read_user": "probe_read_user",
    "pp_read_kernel": "probe_read_kernel",
    "pp_read_user_str": "probe_read_user_str",
    "pp_read_kernel_str": "probe_read_kernel_str",
    "pp_ringbuf_output": "ringbuf_output",
    "pp_ringbuf_reserve": "ringbuf_reserve",
    "pp_ringbuf_submit": "ringbuf_submit",
    "pp_ringbuf_discard": "ringbuf_discard",
    "pp_ringbuf_query": "ringbuf_query",
    "pp_get_stack": "get_stack",
    "pp_get_stackid": "get_stackid",
    "pp_perf_event_output": "perf_event_output",
    "pp_perf_event_read_value": "perf_event_read_value",
    "pp_func_ip": "get_func_ip",
    "pp_attach_cookie": "get_attach_cookie",
    "pp_get_task_stack": "get_task_stack",
}


def calls(code: bytes) -> list[int]:
    """Numbers of the helpers that a program calls, in order."""
    return [
        struct.unpack_from("=i", code, at + 4)[0]
        for at in range(0, len(code), 8)
        if code[at] == 0x85
    ]


def body(text: str) -> bytes:
    return clang.compile_c(f"{clang.PRELUDE}{text}", ["f"])["f"]


@pytest.fixture
def _uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBEPLAN_CACHE", "off")


@pytest.mark.root
def test_nobody_compiles_the_same_as_root() -> None:
    """An unprivileged process gets the same instructions, and does not import bcc itself.

    The tree is mounted where no one may look: a user's own folder may be closed to others.
    """
    mounted = "mount --bind . /mnt && cd /mnt && exec /usr/bin/python3 -c"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{mounted} "$0"', AS_NOBODY],
        input=COUNT,
        cwd=ROOT,
        env={**os.environ, "PROBEPLAN_CACHE": "off"},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer["uid"] == 65534
    assert not answer["bcc"]
    assert bytes.fromhex(answer["hex"]) == clang.compile_c(COUNT, ["count"])["count"]


@pytest.mark.usefixtures("_uncached")
def test_compiling_makes_no_bpf_call(tmp_path: Path) -> None:
    """Seen by strace: not even BTF is offered to the kernel."""
    log = tmp_path / "trace"
    strace = ["strace", "-f", "-o", str(log), "-e", "trace=bpf,execve"]
    try:
        subprocess.run(
            [*strace, sys.executable, "-c", COMPILE],
            input=COUNT.encode(),
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("needs strace")
    seen = log.read_text()
    assert seen.count("execve(") >= 2  # the trace did follow the compiler
    assert "bpf(" not in seen


@pytest.mark.usefixtures("_uncached")
def test_surroundings_do_not_reach_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers in the current directory, or in CPATH, and bcc's variables change nothing."""
    plain = clang.compile_c(COUNT, ["count"])
    for name in ("asm/page.h", "uapi/linux/bpf.h", "probeplan/prelude.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#error taken from the surroundings\n")
    monkeypatch.chdir(tmp_path)
    for name in ("CPATH", "C_INCLUDE_PATH", "BCC_KERNEL_SOURCE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("BCC_LINUX_VERSION_CODE", "1")
    monkeypatch.setenv("ARCH", "mips")
    assert clang.compile_c(COUNT, ["count"]) == plain


def test_errors_carry_the_compilers_text(capfd: pytest.CaptureFixture[str]) -> None:
    """The log names the line, and nothing is printed."""
    with pytest.raises(clang.CompileError, match=r"main\.c:1:41: error: .*'nosuch'"):
        clang.compile_c("int f(unsigned long long *ctx) { return nosuch; }", ["f"])
    with pytest.raises(clang.CompileError, match="nosuch"):
        clang.compile_c("int f(unsigned long long *ctx) { return nosuch(1); }", ["f"])
    with pytest.raises(clang.CompileError, match="Unknown program"):
        clang.compile_c("int f(unsigned long long *ctx) { return 1; }", ["g"])
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_memory_reads_are_left_as_they_are_written() -> None:
    """No dereference becomes a helper call, however it is reached."""
    structs = "struct in { int a, b; }; struct outer { long p; struct in *in; };"
    for text in (
        "int f(unsigned long long *ctx) { return ((struct in *)ctx[0])->b; }",
        "int f(unsigned long long *ctx) { struct outer *o = (void *)ctx[0]; return o->in->b; }",
        "int f(unsigned long long *ctx) { return *(int *)(ctx[0] + 4); }",
    ):
        assert calls(body(structs + text)) == []
    task = (
        "int f(unsigned long long *ctx) { struct outer *o = (void *)pp_task(); return o->in->b; }"
    )
    assert calls(body(structs + task)) == [35]


def test_helpers_have_the_numbers_that_bcc_knows() -> None:
    """Each pp_ name of the prelude calls what bcc's copy of the UAPI calls so."""
    prelude = (HEADERS / "include/probeplan/prelude.h").read_text()
    named = {part.partition(")")[0] for part in prelude.split("(*const ")[1:]}
    assert named == set(PP_HELPERS)
    checks = "".join(
        f'_Static_assert(BPF_FUNC_{theirs} == {number_of(prelude, ours)}, "{ours}");\n'
        for ours, theirs in PP_HELPERS.items()
    )
    body(f"{checks}int f(unsigned long long *ctx) {{ return 0; }}")


def number_of(prelude: str, name: str) -> int:
    line = next(line for line in prelude.splitlines() if f"(*const {name})" in line)
    return int(line.split("= (void *)")[1].split(";")[0])


def test_a_kept_program_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time comes from disk; other text, or other functions, do not."""
    first = clang.compile_c(COUNT, ["count"])

    def no_compiler(*_: object) -> dict[str, bytes]:
        raise clang.CompileError("started")

    monkeypatch.setattr(clang, "_compile_in_child", no_compiler)
    assert clang.compile_c(COUNT, ["count"]) == first
    with pytest.raises(clang.CompileError, match="started"):
        clang.compile_c(f"{COUNT}\n", ["count"])
    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    monkeypatch.setattr(clang, "_latest", {})  # what this process compiled is another's test
    with pytest.raises(clang.CompileError, match="started"):
        clang.compile_c(COUNT, ["count"])


@pytest.mark.parametrize("damage", [b"", b"x" * 200, None])
def test_a_damaged_kept_program_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    """Empty, foreign or with other instructions: compiled again."""
    monkeypatch.setattr(cache_directory, "SYSTEM_DIRECTORY", tmp_path / "kept")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.write_compiled("key", PROGRAM)
    assert cache.read_compiled("key", ["f"]) == PROGRAM
    place = cache_directory.cache_directory()
    assert place is not None
    kept = place / "key"
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    turned = kept.read_bytes().replace(b"AAAA", b"BAAA", 1)
    kept.write_bytes(turned if damage is None else damage)
    assert cache.read_compiled("key", ["f"]) is None


@pytest.mark.parametrize(
    "content",
    [
        {"f": "AAAAAAAAAAA="},  # as before numbers were left open
        {"code": {"f": "AAAAAAAAAAA="}},
        {"code": {"f": "AAAAAAAAAAA="}, "places": [["f", 0, "sub", 0]]},
        {"code": {"f": "AAAAAAAAAAA="}, "places": [["f", "0", "add", 0]]},
        {"code": {"f": "AAAAAAAAAAA="}, "places": [["f", 0, "add"]]},
        {"code": {"f": "AAAA"}, "places": []},
    ],
)
def test_a_kept_program_of_another_form_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    """Although its digest is right."""
    monkeypatch.setattr(cache_directory, "SYSTEM_DIRECTORY", tmp_path / "probeplan")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.write_compiled("key", PROGRAM)
    body = json.dumps(content).encode()
    digest = hashlib.sha256(body).hexdigest().encode()
    (tmp_path / "probeplan" / "key").write_bytes(digest + b"\n" + body)
    assert cache.read_compiled("key", ["f"]) is None


def test_a_directory_that_others_may_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone who can write there could load programs as root."""
    monkeypatch.setattr(cache_directory, "SYSTEM_DIRECTORY", tmp_path / "probeplan")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.write_compiled("key", PROGRAM)
    (tmp_path / "probeplan").chmod(0o777)
    assert cache.read_compiled("key", ["f"]) is None


def test_the_oldest_kept_programs_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache does not grow for ever."""
    monkeypatch.setattr(cache_directory, "SYSTEM_DIRECTORY", tmp_path / "probeplan")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kept_files, "KEPT_FILES", 2)
    for n in range(4):
        cache.write_compiled(f"key{n}", PROGRAM)
        os.utime(tmp_path / "probeplan" / f"key{n}", ns=(n, n))
    assert {file.name for file in (tmp_path / "probeplan").iterdir()} == {"key2", "key3"}


def test_what_a_killed_writer_left_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute; what is being written just now is left alone."""
    monkeypatch.setattr(cache_directory, "SYSTEM_DIRECTORY", tmp_path / "probeplan")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.write_compiled("key", PROGRAM)
    for name in (".new-old", ".new-now"):
        (tmp_path / "probeplan" / name).write_bytes(b"half")
    os.utime(tmp_path / "probeplan" / ".new-old", ns=(1, 1))
    cache.write_compiled("key2", PROGRAM)
    left = {file.name for file in (tmp_path / "probeplan").iterdir()}
    assert left == {"key", "key2", ".new-now"}
