"""Kernel functions that must never be probed, each with the reason.

In addition to the kernel's own blacklist (kprobes/blacklist), which does not cover everything that
is known to hang or crash: the lock slow paths run inside the tracing machinery itself, with
interrupts off and from NMI context (kernel/kprobes.c, kernel/trace/bpf_trace.c; measured)."""

from collections.abc import Iterable, Mapping

from orchestrator.kernel.facts import KernelFacts

__all__ = ["DENIED", "find_denied", "find_denied_names"]

_LOCK = "a lock that the tracing machinery itself takes: a return probe on it hangs the machine"
_ENTRY = "it runs before the kernel's entry state is set up"
_TRACE = "it is part of the path that runs probes: a probe on it would call itself"

DENIED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "_raw_spin_lock",
            "_raw_spin_lock_bh",
            "_raw_spin_lock_irq",
            "_raw_spin_lock_irqsave",
            "_raw_spin_trylock",
            "_raw_spin_unlock",
            "_raw_spin_unlock_bh",
            "_raw_spin_unlock_irq",
            "_raw_spin_unlock_irqrestore",
            "queued_spin_lock_slowpath",
            "native_queued_spin_lock_slowpath",
            "__pv_queued_spin_lock_slowpath",
        ),
        _LOCK,
    ),
    **dict.fromkeys(
        (
            *("asm_exc_int3", "exc_int3", "do_int3", "notify_die"),
            # arch/arm64/kernel/entry-common.c, debug-monitors.c
            *("el1h_64_sync_handler", "el0t_64_sync_handler", "do_debug_exception"),
            *("arm64_enter_el1_dbg", "arm64_exit_el1_dbg", "brk_handler", "call_break_hook"),
            *("kprobe_breakpoint_handler", "kprobe_brk_handler", "kprobe_ss_brk_handler"),
            *("kretprobe_brk_handler", "uprobe_brk_handler", "el1_brk64", "do_el1_brk64"),
        ),
        _ENTRY,
    ),
    **dict.fromkeys(
        (
            "trace_call_bpf",
            "perf_trace_run_bpf_submit",
            "bpf_ringbuf_reserve",
            "bpf_ringbuf_submit",
            "kprobe_perf_func",
            "kretprobe_perf_func",
            "kprobe_dispatcher",
            "kretprobe_dispatcher",
            "uprobe_dispatcher",
            "uretprobe_dispatcher",
        ),
        _TRACE,
    ),
}
_NAMES = tuple(DENIED)


def find_denied(facts: KernelFacts, symbol: str, offset: int = 0) -> str | None:
    """The name in DENIED of the function at `symbol` + `offset`, by whatever name the plan reaches
    it: another symbol of the same address, a part or variant that the compiler made, or an offset
    that leads there from another function. None where it is none of them, as far as addresses are
    known."""
    names = [symbol]
    if offset:
        names += facts.symbols.names_at(symbol, offset)
    for name in names:
        plain = name.partition(".")[0]
        if plain in DENIED:
            return plain
        if same := facts.symbols.find_same(name, _NAMES):
            return same
    return None


def find_denied_names(facts: KernelFacts, symbols: Iterable[str]) -> Mapping[str, str]:
    """As `find_denied` for many functions at once: those that must not be probed, each with the
    name in DENIED."""
    same = {other: name for name in DENIED for other in facts.symbols.names_at(name)}
    plain = {symbol: symbol.partition(".")[0] for symbol in symbols}
    named = {symbol: name for symbol, name in plain.items() if name in DENIED}
    return named | {
        symbol: same[symbol] for symbol in plain.keys() - named.keys() if symbol in same
    }
