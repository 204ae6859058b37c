"""Programs by bpf(2), and what BPF can do on the running kernel.

Descriptors are close-on-exec, as the kernel makes them. Every failure is an OSError with the
kernel's errno. The can_* functions load tiny programs: no compiler, no version. They answer yes, no
or, where a missing privilege may hide the answer, unknown.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable

from orchestrator.kernel.abi import bpf_call
from orchestrator.kernel.abi.bpf_call import address_of, call_bpf, name_field
from orchestrator.kernel.abi.bpf_map import map_create
from orchestrator.kernel.answer import Answer
from orchestrator.values import dataclass

# enum bpf_prog_type and bpf_attach_type, include/uapi/linux/bpf.h
KPROBE, TRACEPOINT, RAW_TRACEPOINT, TRACING = 2, 5, 17, 26
TRACE_FENTRY, TRACE_FEXIT = 24, 25

EXIT = 0x95
MOV64_IMM = 0xB7
STORE64_IMM = 0x7A  # BPF_ST | BPF_MEM | BPF_DW
ATOMIC64 = 0xDB  # BPF_STX | BPF_ATOMIC | BPF_DW
CALL = 0x85
# Immediates of ATOMIC64: BPF_ADD | BPF_FETCH and BPF_CMPXCHG.
FETCH_ADD, COMPARE_EXCHANGE = 0x01, 0xF1
FRAME = 10  # register r10
RINGBUF, ARRAY = 27, 2
MMAPABLE = 1 << 10
JIFFIES64 = 118


def prog_load(  # noqa: PLR0913 - what BPF_PROG_LOAD takes
    kind: int,
    instructions: bytes,
    *,
    name: str = "",
    license_text: str = "GPL",
    expected_attach_type: int = 0,
    attach_btf_id: int = 0,
    attach_btf_fd: int = 0,
    log_bytes: int = 0,
) -> tuple[int, str]:
    """Load a program; return its descriptor and the verifier's log ("" when log_bytes is 0).
    `attach_btf_fd`: the BTF of a module that `attach_btf_id` is of (5.11; 0: the kernel's).

    Raises VerifierError, an OSError with the log if one was requested.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(license_text.encode())
    log = ctypes.create_string_buffer(log_bytes) if log_bytes else None
    attributes = struct.pack(
        "=IIQQIIQII16sIIIIQIIQIII",
        *(kind, len(instructions) // 8, address_of(code), address_of(licence)),
        *(1 if log_bytes else 0, log_bytes, address_of(log)),
        *(0, 0, name_field(name), 0, expected_attach_type),
        *(0, 0, 0, 0, 0, 0, 0, attach_btf_id, attach_btf_fd),
    )
    try:
        return call_bpf(bpf_call.PROG_LOAD, attributes), _log_text(log)
    except OSError as refused:
        raise VerifierError(refused.errno or 0, _log_text(log)) from None


class VerifierError(OSError):
    """BPF_PROG_LOAD failed with `errno`; `log` is the verifier's, if one was requested."""

    def __init__(self, code: int, log: str) -> None:
        super().__init__(code, os.strerror(code))
        self.log = log


def _log_text(log: ctypes.Array[ctypes.c_char] | None) -> str:
    return "" if log is None else log.value.decode(errors="replace")


def raw_tracepoint_open(name: str | None, prog_fd: int) -> int:
    """Attach to the raw tracepoint `name`, or with None to what the program was loaded for.

    The attachment ends with the last copy of the descriptor returned.
    """
    text = None if name is None else ctypes.create_string_buffer(name.encode())
    return call_bpf(bpf_call.RAW_TRACEPOINT_OPEN, struct.pack("=QIxxxx", address_of(text), prog_fd))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramStatistics:
    """Counters of struct bpf_prog_info; None for a field that this kernel does not have.

    run_count and run_time_ns move only while BPF_ENABLE_STATS is on. recursion_misses (5.12 and
    later) does not count kprobes nested in programs on 5.10 and 6.1 (measured).
    """

    run_time_ns: int | None
    run_count: int | None
    recursion_misses: int | None


def program_statistics(prog_fd: int) -> ProgramStatistics:
    """Read a loaded program's counters."""
    info = ctypes.create_string_buffer(232)
    attributes = bytearray(struct.pack("=IIQ", prog_fd, len(info), address_of(info)))
    call_bpf(bpf_call.OBJ_GET_INFO_BY_FD, attributes)
    length: int = struct.unpack_from("=I", attributes, 4)[0]

    def field(offset: int) -> int | None:
        return struct.unpack_from("=Q", info, offset)[0] if offset + 8 <= length else None

    # Offsets of run_time_ns, run_cnt and recursion_misses in struct bpf_prog_info.
    return ProgramStatistics(
        run_time_ns=field(192), run_count=field(200), recursion_misses=field(208)
    )


def enable_statistics() -> int:
    """Switch run time statistics on for the whole system while the descriptor returned is open."""
    return call_bpf(bpf_call.ENABLE_STATS, struct.pack("=I", 0))  # BPF_STATS_RUN_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The result of a trial; `reason` is the errno's name and the verifier's last line, if not
    yes."""

    state: Answer
    reason: str = ""

    @property
    def yes(self) -> bool:
        """Whether it succeeded."""
        return self.state == "yes"


def make_instruction(
    code: int, *, to: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    """One struct bpf_insn in this machine's byte order (little endian register fields)."""
    return struct.pack("=BBhi", code, to | source << 4, offset, value)


RETURN_0 = make_instruction(MOV64_IMM, to=0) + make_instruction(EXIT)


def can_bpf() -> Trial:
    """Loading a tracing program at all."""
    return _try_load(KPROBE, RETURN_0)


def can_tracepoint() -> Trial:
    """Programs on perf tracepoints (4.7)."""
    return _try_load(TRACEPOINT, RETURN_0)


def can_raw_tracepoint() -> Trial:
    """Programs on raw tracepoints (4.17)."""
    return _try_load(RAW_TRACEPOINT, RETURN_0)


def can_ringbuf() -> Trial:
    """The BPF ring buffer (5.8)."""
    return _try_map(RINGBUF, 0, 0, os.sysconf("SC_PAGE_SIZE"), 0)


def can_mmap_array() -> Trial:
    """Arrays that can be mapped to memory (5.5)."""
    return _try_map(ARRAY, 4, 8, 1, MMAPABLE)


def can_jiffies64() -> Trial:
    """The helper bpf_jiffies64 in tracing programs (5.6)."""
    code = make_instruction(CALL, value=JIFFIES64) + RETURN_0
    return _try_load(KPROBE, code)


def can_fetch_atomics() -> Trial:
    """Atomics that return the old value, compare-and-swap too (5.12, and the JIT's support)."""
    on_stack = {"to": FRAME, "offset": -8}
    code = (
        make_instruction(STORE64_IMM, **on_stack)
        + make_instruction(MOV64_IMM, to=0)
        + make_instruction(MOV64_IMM, to=1, value=1)
        + make_instruction(ATOMIC64, source=1, value=FETCH_ADD, **on_stack)
        + make_instruction(ATOMIC64, source=1, value=COMPARE_EXCHANGE, **on_stack)
        + RETURN_0
    )
    return _try_load(KPROBE, code)


def can_fentry(btf_id: int, *, attach_type: int = TRACE_FENTRY) -> Trial:
    """Attaching to the function with this BTF id: some kernels load programs that they cannot
    attach."""

    def attempt() -> None:
        program, _ = prog_load(
            TRACING,
            RETURN_0,
            name="pp_trial",
            expected_attach_type=attach_type,
            attach_btf_id=btf_id,
            log_bytes=4096,
        )
        try:
            os.close(raw_tracepoint_open(None, program))
        finally:
            os.close(program)

    return run_trial(attempt)


def _try_load(kind: int, code: bytes) -> Trial:
    return run_trial(lambda: os.close(prog_load(kind, code, name="pp_trial", log_bytes=4096)[0]))


def _try_map(kind: int, key: int, value: int, entries: int, flags: int) -> Trial:
    return run_trial(
        lambda: os.close(map_create(kind, key, value, entries, flags=flags, name="pp_trial"))
    )


def run_trial(attempt: Callable[[], None]) -> Trial:
    """What it came to; `attempt` raises OSError where the kernel refuses."""
    try:
        attempt()
    except OSError as refused:
        return Trial(state=_answer_from_error(refused), reason=_reason_from_error(refused))
    return Trial(state="yes")


def _answer_from_error(refused: OSError) -> Answer:
    if refused.errno in (errno.EPERM, errno.EACCES, errno.ENOMEM, errno.EBUSY):
        return "unknown"
    return "no"


def _reason_from_error(refused: OSError) -> str:
    name = errno.errorcode.get(refused.errno or 0, f"errno {refused.errno}")
    lines = refused.log.strip().splitlines() if isinstance(refused, VerifierError) else []
    lines = [line for line in lines if not line.startswith(("processed ", "verification time"))]
    return f"{name}: {lines[-1]}" if lines else name
