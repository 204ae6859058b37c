"""The features of a kernel: a table of their names and how each is detected.

By trying, or by the file that shows it; never by release number. Each answer says how it was
detected and, where it is no, how to get the feature.
"""

from collections.abc import Iterator, Mapping

from orchestrator.kernel import feature_files as files
from orchestrator.kernel import feature_trials as trials
from orchestrator.kernel.feature import Feature
from orchestrator.kernel.feature_files import (
    Test,
    file_feature,
    readme_feature,
    tracing_file_feature,
)
from orchestrator.kernel.tree import Tree

__all__ = ["TABLE", "Feature", "LiveFeatures"]

_PMU = "sys/bus/event_source/devices"
_NEEDS_KPROBE_EVENTS = "the kernel needs CONFIG_KPROBE_EVENTS=y"

TABLE: Mapping[str, Test] = {
    # tracefs
    "tracefs": files.detect_tracefs,
    "tracefs_instances": tracing_file_feature("instances", "this kernel has no trace instances"),
    "kprobe_events": tracing_file_feature("kprobe_events", _NEEDS_KPROBE_EVENTS),
    "uprobe_events": tracing_file_feature(
        "uprobe_events", "the kernel needs CONFIG_UPROBE_EVENTS=y"
    ),
    "dynamic_events": tracing_file_feature(
        "dynamic_events", "the kernel needs CONFIG_DYNAMIC_EVENTS=y"
    ),
    "syscall_tracepoints": tracing_file_feature(
        "events/syscalls", "the kernel needs CONFIG_FTRACE_SYSCALLS=y"
    ),
    "event_fork": tracing_file_feature(
        "options/event-fork", "children are not followed by set_event_pid"
    ),
    "free_buffer": tracing_file_feature(
        "free_buffer", "ring writes continue after the process dies"
    ),
    "per_cpu_stats": tracing_file_feature("per_cpu/cpu0/stats", "losses cannot be counted"),
    "hist_triggers": readme_feature(
        r"hist:keys=", "hist triggers", "the kernel needs CONFIG_HIST_TRIGGERS=y"
    ),
    "kretprobe_maxactive": readme_feature(
        r"r\[maxactive\]", "r[maxactive]", _NEEDS_KPROBE_EVENTS, needs="kprobe_events"
    ),
    "fprobe_events": readme_feature(
        r"^\s*(?:Format: )?f[\[:]", "f: probes", "the kernel needs CONFIG_FPROBE_EVENTS=y"
    ),
    "argn_in_return": readme_feature(
        r"return probes support:.*\$arg<N>",
        "$arg<N> in return probes",
        "the kernel reads arguments at entry only",
        needs="kprobe_events",
    ),
    "btf_args": readme_feature(
        r"<argname>",
        "arguments by BTF name",
        "the kernel needs CONFIG_PROBE_EVENTS_BTF_ARGS=y",
        needs="dynamic_events",
    ),
    "filter_functions": files.detect_filter_functions,
    # kprobes and perf
    "kprobes": files.detect_kprobes,
    "kprobe_blacklist": files.detect_kprobe_blacklist,
    "optprobes": file_feature(
        "proc/sys/debug/kprobes-optimization", "the kernel needs CONFIG_OPTPROBES=y"
    ),
    "kprobe_optimization": files.detect_kprobe_optimization,
    "kprobe_pmu": file_feature(f"{_PMU}/kprobe/type", _NEEDS_KPROBE_EVENTS),
    "uprobe_pmu": file_feature(f"{_PMU}/uprobe/type", "the kernel needs CONFIG_UPROBE_EVENTS=y"),
    "perf_tracepoint": file_feature(
        f"{_PMU}/tracepoint/type", "the kernel needs CONFIG_PERF_EVENTS=y"
    ),
    "perf_events": trials.detect_perf_events,
    "hardware_counters": trials.detect_hardware_counters,
    # BPF
    "bpf": trials.trial_feature("bpf"),
    "btf": files.detect_btf,
    "raw_tracepoint": trials.trial_feature("raw_tracepoint"),
    "fentry": trials.detect_fentry,
    "kprobe_multi": trials.detect_kprobe_multi,
    "uprobe_multi": trials.detect_uprobe_multi,
    "uprobe_multi_process": trials.detect_uprobe_multi_process,
    "ringbuf": trials.trial_feature("ringbuf"),
    "fetch_atomics": trials.trial_feature("fetch_atomics"),
    "jiffies64": trials.trial_feature("jiffies64"),
    "mmap_array": trials.trial_feature("mmap_array"),
    "bcc": trials.detect_bcc,
    # rights and the host
    "lockdown": files.detect_lockdown,
    "cap_sys_admin": files.capability_feature(
        "CAP_SYS_ADMIN", 21, "before Linux 5.8 it replaces the other three"
    ),
    "cap_syslog": files.capability_feature(
        "CAP_SYSLOG", 34, "without it /proc/kallsyms hides the addresses of functions"
    ),
    "cap_perfmon": files.capability_feature(
        "CAP_PERFMON", 38, "it allows programs that trace, and perf events"
    ),
    "cap_dac_override": files.capability_feature(
        "CAP_DAC_OVERRIDE",
        1,
        "it lets root-only tracefs be written (CAP_DAC_READ_SEARCH or tracefs' group is "
        "enough to read it)",
    ),
    "cap_bpf": files.capability_feature(
        "CAP_BPF", 39, "it allows loading BPF programs and making maps"
    ),
    "cgroup_v2": files.detect_cgroup_v2,
}
"""Feature name → how it is detected. "yes" is good news for all but `lockdown`."""


class LiveFeatures(Mapping[str, Feature]):
    """Features of the running kernel; each is detected when first asked for, once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._found: dict[str, Feature] = {}

    def __getitem__(self, name: str) -> Feature:
        if name not in self._found:
            self._found[name] = TABLE[name](self._tree)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def __len__(self) -> int:
        return len(TABLE)
