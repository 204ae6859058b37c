"""Kernel stacks begin at the probed place, whatever the kernel ran between it and the program."""

import pytest

from orchestrator.symbols.book import StackBook
from orchestrator.symbols.frames import Frame, KernelFunction, Stack, make_frame
from orchestrator.symbols.kernel_symbols import KernelSymbols
from orchestrator.symbols.machinery import begin_at_function, drop_machinery


def left_of(*names: str | None) -> list[str | None]:
    """The symbols that are left of a stack, None being a frame without a name."""
    frames = [make_frame(at, name) for at, name in enumerate(names)]
    return [one.symbol for one in drop_machinery(frames)]


@pytest.mark.parametrize(
    "inner",
    [
        ("bpf_get_stack_raw_tp", "bpf_prog_0123456789abcdef_hook", "bpf_trace_run2"),
        ("bpf_prog_0123456789abcdef_hook", "__bpf_trace_sched_switch", "__traceiter_sched_switch"),
        ("bpf_prog_0123456789abcdef_hook", "bpf_trampoline_6442475041"),
        ("bpf_prog_0123456789abcdef_hook", "trace_call_bpf", "perf_call_bpf_enter.isra.0",
         "perf_syscall_enter"),
        ("trace_call_bpf", "do_perf_trace_sched_switch", "perf_trace_sched_switch"),
        (None, "bpf_trampoline_6442475041"),
        (),
    ],
)  # fmt: skip
def test_the_way_from_the_probe_to_our_program_is_left_out(inner: tuple[str | None, ...]) -> None:
    assert left_of(*inner, "do_syscall_64", "entry") == ["do_syscall_64", "entry"]


def test_the_way_through_an_outer_probe_is_kept() -> None:
    """A probed function that is reached through itself: the outer call runs inside a trampoline."""
    outer = ["notify_change", "bpf_trampoline_7", "notify_change", "chmod_common", "do_fchmodat"]
    ours = ["bpf_prog_0123456789abcdef_hook", "bpf_trampoline_7"]
    whole = ["notify_change", "ovl_setattr", *outer]
    assert left_of(*ours, *whole) == whole
    assert left_of(*whole) == whole


def test_functions_with_names_like_ours_are_kept() -> None:
    """Probes in the kernel's own BPF code."""
    for name in ("bpf_prog_load", "__bpf_prog_put", "bpf_trampoline_link_prog", "perf_syscalls"):
        assert left_of(name, "__sys_bpf", "do_syscall_64") == [name, "__sys_bpf", "do_syscall_64"]


# ---------------------------------------------------------------- at a trampoline

CHANGE = make_frame(0x1000, "notify_change")
PROGRAM = make_frame(0x9100, "bpf_prog_07c70861184102cb_hook_0_hit", 0x100, "bpf")
TRAMPOLINE = make_frame(0x9867, "bpf_trampoline_6442551942", 0x67, "bpf")
#: In the outer call's frames the trampoline has called the function.
RUNNING = [make_frame(0x133B, "notify_change", 0x33B), TRAMPOLINE._replace(address=0x988E)]
CALLED = make_frame(0x1009, "notify_change", 9)  # where the call of the trampoline returns to
CALLER = [make_frame(0x20E3, "chmod_common", 0xE3), make_frame(0x3060, "do_fchmodat", 0x60)]
SETATTR = make_frame(0x7076, "ovl_setattr", 0x76, "overlay")
NAMELESS = [make_frame(0x9100), make_frame(0x9867)]


@pytest.mark.parametrize(
    "ours",
    [
        [PROGRAM, TRAMPOLINE],
        [make_frame(0x5010, "bpf_get_stack_tracing", 0x10), PROGRAM, TRAMPOLINE],
        NAMELESS,
        [make_frame(0x5010, "bpf_get_stack_tracing", 0x10), *NAMELESS],
    ],
)
@pytest.mark.parametrize("outside", [CALLER, [SETATTR, *RUNNING, *CALLER], []])
@pytest.mark.parametrize("entered", [[CALLED], [make_frame(0x1005, "notify_change", 5)], []])
def test_the_stack_begins_at_the_function_however_it_enters_its_trampoline(
    ours: list[Frame], entered: list[Frame], outside: list[Frame]
) -> None:
    """As recorded on 6.1, where it calls it, and on 7.3, where it jumps to it."""
    assert [*begin_at_function([*ours, *entered, *outside], CHANGE)] == [CHANGE, *outside]


def test_a_caller_of_the_functions_name_is_no_call_of_its_trampoline() -> None:
    """Direct recursion: the call lies behind what the function begins with."""
    caller = make_frame(0x1040, "notify_change", 0x40)
    frames = [PROGRAM, TRAMPOLINE, caller, *RUNNING, *CALLER]
    assert [*begin_at_function(frames, CHANGE)] == [CHANGE, caller, *RUNNING, *CALLER]


def test_a_probed_function_of_the_kernels_own_bpf_code_is_kept_with_its_callers() -> None:
    inner = make_frame(0x1000, "trace_call_bpf")
    outside = [make_frame(0x2010, "perf_trace_sched_switch", 0x10), *CALLER]
    for entered in ([], [make_frame(0x1009, "trace_call_bpf", 9)]):
        for ours in ([PROGRAM, TRAMPOLINE], NAMELESS if entered else [PROGRAM, TRAMPOLINE]):
            frames = [*ours, *entered, *outside]
            assert [*begin_at_function(frames, inner)] == [inner, *outside]


RECORDED = b"""\
ffffffff8e4d1230 T notify_change
ffffffff8e4a5b40 t chmod_common
ffffffffc0511000 t bpf_prog_07c70861184102cb_hook_0_hit\t[bpf]
ffffffffc0513000 t bpf_trampoline_6442551942\t[bpf]
ffffffffc08f2a30 t ovl_setattr\t[overlay]
"""
WAY = (0xFFFFFFFFC0511092, 0xFFFFFFFFC0513067)


@pytest.mark.parametrize("call", [(), (0xFFFFFFFF8E4D1239,)])
def test_the_book_shows_the_probed_function_first(call: tuple[int, ...]) -> None:
    """Of the kernel or of a module; a stack that was taken otherwise is only stripped."""
    book = StackBook(kernel=KernelSymbols(RECORDED))
    addresses = (*WAY, *call, 0xFFFFFFFF8E4A5C23)
    change, setattr_ = KernelFunction("notify_change"), KernelFunction("ovl_setattr", "overlay")
    module_call = tuple(address - 0xFFFFFFFF8E4D1230 + 0xFFFFFFFFC08F2A30 for address in call)
    book.learn(
        [
            Stack(id=2, space="kernel", pid=0, addresses=addresses, probed=change),
            Stack(
                id=3,
                space="kernel",
                pid=0,
                addresses=(*WAY, *module_call, 0xFFFFFFFF8E4D156B),
                probed=setattr_,
            ),
            Stack(id=4, space="kernel", pid=0, addresses=(*WAY, 0xFFFFFFFF8E4A5C23)),
        ]
    )
    assert book.names(2) == ("notify_change+0x0", "chmod_common+0xe3")
    assert book.names(3) == ("ovl_setattr+0x0 [overlay]", "notify_change+0x33b")
    assert book.names(4) == ("chmod_common+0xe3",)


def test_a_function_that_is_not_found_adds_no_frame() -> None:
    """It is hidden, or was unloaded."""
    hidden = b"".join(b"0" * 16 + line[16:] + b"\n" for line in RECORDED.splitlines())
    for kallsyms, name in ((hidden, "notify_change"), (RECORDED, "gone")):
        book = StackBook(kernel=KernelSymbols(kallsyms))
        [known] = book.learn(
            [Stack(id=2, space="kernel", pid=0, addresses=WAY, probed=KernelFunction(name))]
        )
        assert all(frame.address in WAY for frame in known.frames)
