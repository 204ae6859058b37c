"""Generated C to instructions, by libbcc, without a kernel: no headers, no bpf(2), no privilege.

The compiler runs in a separate child process. That keeps libbcc's 120 MB, its exit handlers and its
writes to the standard streams out of the caller, and fixes everything that libbcc takes from its
surroundings: it puts the current directory first in the include path, enters BCC_KERNEL_SOURCE, and
reads ARCH, CPATH and BCC_LINUX_VERSION_CODE (bcc 0.26, src/cc/frontends/clang/loader.cc).

Which C libbcc leaves unchanged (measured with bcc 0.26, and tested): in a function `int
NAME(unsigned long long *ctx)` nothing that is reached through ctx is rewritten. A parameter of type
`struct pt_regs *`, `struct bpf_raw_tracepoint_args *` or `struct tracepoint__*` marks everything
that is read through it, and so does a call of bpf_get_current_task: their dereferences become
bpf_probe_read, which 5.5 and later kernels of some architectures lack. Static functions and
functions in included files are never changed. That is why the prelude uses its own names.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.backends.bcc.compiler.places import OpenProgram
    from orchestrator.backends.protocol import OpenNumber

PRELUDE = "#include <probeplan/prelude.h>\n"
ATTEMPTS = 4  # at placeholders that are not among the numbers of a text: one in 10^5 fails
COMPILE_SECONDS = 120  # 0.25 s natively, 2-4 s under emulation (measured)
KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")

#: What this process compiled last, by key: a canary and its run attach the same program, also where
#: nothing can be kept on disk.
_latest: dict[str, OpenProgram] = {}


class CompileError(Exception):
    """The C could not be compiled. `log` is the compiler's output."""

    def __init__(self, log: str) -> None:
        self.log = log.strip()
        super().__init__(self.log or "the compiler failed without a message")


class CompilerMissingError(CompileError):
    """Python's bcc module is not installed, so nothing can be compiled on this host."""


def compile_c(
    text: str, functions: Sequence[str], numbers: Sequence[OpenNumber] = ()
) -> dict[str, bytes]:
    """Return the instructions (struct bpf_insn, 8 bytes each) of each of `functions` in `text`, for
    this machine, with the `numbers` that it leaves open, by slot.

    Raises CompileError as `compile_kept`; FillError for a number that its place cannot hold.
    """
    from orchestrator.backends.bcc.compiler import places

    return places.fill_program(compile_kept(text, functions, os.uname().machine), numbers)


def compile_kept(
    text: str,
    functions: Sequence[str],
    arch: str,
    before: Callable[[], None] = lambda: None,
) -> OpenProgram:
    """The instructions of each of `functions` in `text`, for kernels of `arch`, with the places of
    the numbers that it leaves open.

    Maps must be placeholders (`PP_MAP(1001)`), which attach/load.py replaces. Needs no root and
    makes no bpf(2) call. Results are kept on disk (see cache.py), and the last one in this process;
    on a hit no compiler is started. Otherwise `before` is called first: compiling takes seconds.

    Raises CompilerMissingError without bcc, else CompileError with the compiler's log.
    """
    from orchestrator.backends.bcc.compiler import cache, key

    name = key.make_key(text, functions, arch=arch)
    program = cache.read_compiled(name, functions) or _latest.get(name)
    if program is None:
        before()
        program = compile_open(text, functions)
        cache.write_compiled(name, program)
        _latest.clear()
        _latest[name] = program
    return program


def compile_open(text: str, functions: Sequence[str], first_attempt: int = 0) -> OpenProgram:
    """As `compile_kept`, with nothing kept. `first_attempt` chooses among the placeholders. Raises
    CompileError."""
    from orchestrator.backends.bcc.compiler import places

    for attempt in range(first_attempt, first_attempt + ATTEMPTS):
        placeholders = places.choose_placeholders(text, attempt)
        code = _compile_in_child(placeholders.define() + text, functions)
        try:
            found = places.find_places(code, placeholders)
        except places.StrayPlaceholderError as error:
            stray = error
        else:
            return places.OpenProgram(code=code, places=found)
    raise CompileError(f"a placeholder is among the program's own numbers: {stray}")


def _compile_in_child(text: str, functions: Sequence[str]) -> dict[str, bytes]:
    return compile_texts([(text, functions)])[0]


def compile_texts(texts: Sequence[tuple[str, Sequence[str]]]) -> list[dict[str, bytes]]:
    """The instructions of the functions of each text, by name; one child compiles the texts, one
    after the other. Raises CompileError where one of them cannot be compiled."""
    import subprocess  # what was compiled before needs no child

    from orchestrator.backends.bcc.compiler.key import CFLAGS, HEADERS

    job = json.dumps({"texts": [(text, list(names)) for text, names in texts], "flags": CFLAGS})
    seconds = COMPILE_SECONDS * len(texts)
    try:
        child = subprocess.run(
            [sys.executable, "-P", __file__],
            input=job.encode(),
            capture_output=True,
            timeout=seconds,
            cwd=HEADERS,
            env=_child_environment(HEADERS),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise CompileError(f"the compiler did not end within {seconds} s") from late
    log = child.stderr.decode(errors="replace")
    if child.returncode == EXIT_NO_BCC:
        raise CompilerMissingError(log)
    if child.returncode != 0:
        raise CompileError(log or f"the compiler ended with status {child.returncode}")
    return [
        {name: b64decode(code) for name, code in codes.items()}
        for codes in json.loads(child.stdout)
    ]


def _child_environment(headers: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return kept | {"BCC_KERNEL_SOURCE": str(headers), "LC_ALL": "C"}


EXIT_NO_BCC = 3
EXIT_REFUSED = 4


def _run_child() -> int:
    """Compile the job on standard input. libbcc prints to fd 1 and fd 2: both go to the log."""
    job = json.loads(sys.stdin.buffer.read())
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        from bcc import BPF
    except (ImportError, OSError) as missing:
        sys.stderr.write(
            f"{sys.executable} cannot load its module bcc: {missing}; install python3-bpfcc "
            "(Debian, Ubuntu) or python3-bcc (Fedora) again\n"
        )
        return EXIT_NO_BCC
    try:
        codes = []
        for text, functions in job["texts"]:
            module = BPF(text=text, cflags=job["flags"])
            codes.append({f: b64encode(module.dump_func(f)).decode() for f in functions})
    except Exception as refused:
        sys.stderr.write(f"{refused}\n")
        return EXIT_REFUSED
    with contextlib.closing(os.fdopen(answer, "wb")) as out:
        out.write(json.dumps(codes).encode())
    return 0


if __name__ == "__main__":
    status = _run_child()
    sys.stderr.flush()
    os._exit(status)  # the exit handlers of libbcc and LLVM do nothing useful and cost time
