"""Where the kernel keeps the data of user programs, by the names of its structs and events."""

from collections.abc import Mapping

__all__ = ["COPYING_EVENTS", "COPYING_STRUCTS", "NAMING_STRUCTS", "PROBE_FIELDS"]
__all__ += ["REGISTER_STRUCTS", "SHARED_STRUCTS", "TEXT_STRUCTS", "USER_CATEGORIES"]

#: What is saved of the registers of user code (arch/*/include/asm: ptrace.h, fpu/types.h).
REGISTER_STRUCTS = frozenset(
    {"pt_regs", "user_pt_regs", "user_regs_struct", "user_fpsimd_state", "fpstate"}
    | {"fpregs_state", "fxregs_state", "fregs_state", "swregs_state", "xregs_state"}
)
#: Structs in memory that is shared with a program (include/uapi/linux/io_uring.h).
SHARED_STRUCTS = frozenset({"io_uring_sqe", "io_uring_cqe"})
#: Copies of what programs pass to system calls (include/linux/fs.h, include/linux/socket.h).
COPYING_STRUCTS = frozenset(
    {"filename", "sockaddr", "sockaddr_in", "sockaddr_in6", "sockaddr_un", "sockaddr_storage"}
    | {"__kernel_sockaddr_storage"}
)
#: Structs of which only the character arrays are copies: the beginning of a file that is executed
#: (include/linux/binfmts.h), what was typed (drivers/tty/n_tty.c), keys (keys/user-type.h).
TEXT_STRUCTS = frozenset({"linux_binprm", "n_tty_data", "tty_buffer", "user_key_payload"})
#: Structs whose `char *` members are names that the kernel keeps, of files, devices and drivers.
NAMING_STRUCTS = frozenset(
    {"qstr", "kernfs_node", "kobject", "file_system_type", "irqaction", "kmem_cache"}
    | {"device", "device_driver", "class", "bus_type", "clocksource"}
)
#: By category, the events that record copies of what programs pass; none: all of the category.
COPYING_EVENTS: Mapping[str, frozenset[str]] = {
    "sched": frozenset({"sched_process_exec", "sched_prepare_exec"}),
    **dict.fromkeys(("ftrace", "printk", "bpf_trace", "9p"), frozenset()),
}
#: Categories of events whose records user space or other tracers fill.
USER_CATEGORIES = frozenset({"user_events", "synthetic"})
#: Fields of each event that a tracer has defined on a function (kernel/trace/trace_probe.h).
PROBE_FIELDS = ("__probe_ip", "__probe_func")
