"""Why a function can or cannot be probed: the kernel reports many causes as EINVAL."""

from collections.abc import Callable, Iterator
from typing import Literal

from orchestrator.kernel.facts import KernelFacts
from orchestrator.values import dataclass

Probeability = Literal[
    "ok",
    "missing",
    "duplicate",
    "blacklisted",
    "notrace",
    "inlined",
    "module_not_loaded",
    "no_kprobes",
    "permission",
    "lockdown",
    "unknown",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether a function can be probed. `explanation`: what was found, and how; `cure`: what to do,
    "" when nothing is needed.

    `suggestions` are functions of this kernel that the user may have meant: renames and compiler
    variants first, then similar names.
    """

    verdict: Probeability
    explanation: str
    cure: str = ""
    suggestions: tuple[str, ...] = ()


Cause = Callable[[KernelFacts, str], Diagnosis | None]


def diagnose_function(facts: KernelFacts, name: str) -> Diagnosis:
    """The first cause, from the host's down to the function's, that forbids a kprobe on it.

    `name` is a kernel function, without offset. "unknown" says that nothing forbids it that could
    be read, but that a list with the answer is not readable.
    """
    diagnoses = (cause(facts, name) for cause in _CAUSES)
    return next((diagnosis for diagnosis in diagnoses if diagnosis), _conclude(facts, name))


def _check_symbols(facts: KernelFacts, _name: str) -> Diagnosis | None:
    if next(iter(facts.symbols.names), None) is not None:
        return None
    return Diagnosis(
        verdict="permission",
        explanation="/proc/kallsyms lists no functions to this user",
        cure="run as root, or with CAP_SYSLOG; check sysctl kernel.kptr_restrict",
    )


def _check_kprobes(facts: KernelFacts, _name: str) -> Diagnosis | None:
    feature = facts.feature("kprobes")
    if feature.state != "no" or facts.feature("fentry").state == "yes":
        return None
    return Diagnosis(
        verdict="no_kprobes",
        explanation=f"this kernel cannot probe functions: {feature.detail}",
        cure="use a tracepoint or a syscall instead: `probeplan doctor` lists what this host has",
    )


def _check_lockdown(facts: KernelFacts, _name: str) -> Diagnosis | None:
    feature = facts.feature("lockdown")
    if feature.state != "yes" or "[confidentiality]" not in feature.detail:
        return None
    return Diagnosis(
        verdict="lockdown",
        explanation=f"kernel lockdown forbids kprobes: {feature.detail}",
        cure="boot with lockdown=integrity or less, or without secure boot",
    )


def _check_capabilities(facts: KernelFacts, _name: str) -> Diagnosis | None:
    lacking = [f for f in ("cap_bpf", "cap_perfmon") if facts.feature(f).state == "no"]
    if facts.recorded or not lacking or facts.feature("cap_sys_admin"):
        return None
    return Diagnosis(
        verdict="permission",
        explanation=f"this process lacks {' and '.join(name.upper() for name in lacking)}",
        cure="run as root, or grant them: setcap cap_bpf,cap_perfmon,cap_syslog+ep",
    )


def _check_absent(facts: KernelFacts, name: str) -> Diagnosis | None:
    if facts.symbols.is_function(name):
        return None
    return _find_inlined(facts, name) or _find_module(facts, name) or _explain_missing(facts, name)


def _find_inlined(facts: KernelFacts, name: str) -> Diagnosis | None:
    """Detects inlining by its traces: a changed copy in kallsyms, or the name in BTF."""
    variants = facts.symbols.variants(name)
    if variants:
        return Diagnosis(
            verdict="inlined",
            explanation=f"the compiler kept only changed copies of {name}: {', '.join(variants)}; "
            "`.isra` and `.constprop` take other arguments, `.part` and `.cold` are fragments",
            cure="probe a caller or a tracepoint, or name the copy and read no arguments",
            suggestions=variants,
        )
    if facts.btf is None or facts.btf.function(name) is None:
        return None
    return Diagnosis(
        verdict="inlined",
        explanation=f"{name} is in the kernel's BTF but not in kallsyms: "
        "it was inlined everywhere, or its code was freed after boot",
        cure="probe a caller, or a tracepoint near it",
        suggestions=_find_similar(facts, name),
    )


def _find_module(facts: KernelFacts, name: str) -> Diagnosis | None:
    """Detects a missing module by the prefix that its functions share."""
    module = module_of_prefix(name)
    prefix = _prefix_of(name)
    if module is None or facts.symbols.glob(f"{prefix}_*", 1):
        return None
    return Diagnosis(
        verdict="module_not_loaded",
        explanation=f"no function {name}, and no function whose name starts with {prefix}_: "
        f"the module {module} is not loaded",
        cure=f"modprobe {module}",
    )


def module_of_prefix(name: str) -> str | None:
    """The module that names beginning like this are known to be of: `overlay` of ovl_read_iter."""
    return _MODULES.get(_prefix_of(name))


def _prefix_of(name: str) -> str:
    return name.lstrip("_").partition("_")[0]


def _explain_missing(facts: KernelFacts, name: str) -> Diagnosis:
    renamed = facts.symbols.renamed(name)
    if renamed:
        explanation = f"no function {name} in kallsyms; here it is called {' or '.join(renamed)}"
        cure = f"list both: attach_first: [function:{name}, function:{renamed[0]}]"
    else:
        explanation = f"no function {name} in kallsyms ({facts.release})"
        cure = "check the spelling, or whether the module is loaded"
    return Diagnosis(
        verdict="missing",
        explanation=explanation,
        cure=cure,
        suggestions=tuple(dict.fromkeys([*renamed, *_find_similar(facts, name)])),
    )


def _check_blacklist(facts: KernelFacts, name: str) -> Diagnosis | None:
    if facts.symbols.blacklisted(name) != "yes":
        return None
    return Diagnosis(
        verdict="blacklisted",
        explanation=f"{name} is in kprobes/blacklist: a probe there would recurse or crash",
        cure="probe a caller or a callee, or a tracepoint near it",
    )


def _check_duplicate(facts: KernelFacts, name: str) -> Diagnosis | None:
    count = facts.symbols.count(name)
    if count < 2:
        return None
    return Diagnosis(
        verdict="duplicate",
        explanation=f"kallsyms has {count} functions called {name}: the one meant is not known, "
        "and a kprobe by this name is refused (EADDRNOTAVAIL)",
        cure="probe a caller, or a function with a unique name",
    )


def _check_notrace(facts: KernelFacts, name: str) -> Diagnosis | None:
    if facts.symbols.traceable(name) != "no":
        return None
    return Diagnosis(
        verdict="notrace",
        explanation=f"{name} is not in available_filter_functions: it is marked notrace, or its "
        "code was freed after boot; kprobes and fentry refuse it",
        cure="probe a caller or a callee, or a tracepoint near it",
    )


def _conclude(facts: KernelFacts, name: str) -> Diagnosis:
    closed = list(_closed_lists(facts, name))
    if not closed:
        return Diagnosis(
            verdict="ok",
            explanation=f"{name} is one function, traceable and not blacklisted",
        )
    return Diagnosis(
        verdict="unknown",
        explanation=f"no obstacle found for {name}, but {' and '.join(closed)} could not be read",
        cure="try it: `probeplan run`; or mount debugfs and run as root",
    )


def _closed_lists(facts: KernelFacts, name: str) -> Iterator[str]:
    if facts.symbols.traceable(name) == "unknown":
        yield "available_filter_functions"
    if facts.symbols.blacklisted(name) == "unknown":
        yield "kprobes/blacklist"


def _find_similar(facts: KernelFacts, name: str) -> tuple[str, ...]:
    return facts.symbols.nearest(name)


_CAUSES: tuple[Cause, ...] = (
    _check_lockdown,
    _check_capabilities,
    _check_symbols,
    _check_kprobes,
    _check_absent,
    _check_blacklist,
    _check_duplicate,
    _check_notrace,
)

#: By the prefix of its functions and events, what is often built as a module (the kernel's
#: Makefiles: `obj-$(CONFIG_…) += MODULE.o`).
_MODULES = {
    "btrfs": "btrfs",
    "ceph": "ceph",
    "cifs": "cifs",
    "dm": "dm_mod",
    "erofs": "erofs",
    "ext4": "ext4",
    "f2fs": "f2fs",
    "fuse": "fuse",
    "gfs2": "gfs2",
    "jbd2": "jbd2",
    "kvm": "kvm",
    "md": "md_mod",
    "nf": "nf_tables",
    "nfs": "nfs",
    "nfs4": "nfsv4",
    "nfsd": "nfsd",
    "nft": "nf_tables",
    "nvme": "nvme_core",
    "nvmet": "nvmet",
    "ovl": "overlay",
    "rpc": "sunrpc",
    "scsi": "scsi_mod",
    "smb2": "cifs",
    "smb3": "cifs",
    "svc": "sunrpc",
    "tun": "tun",
    "veth": "veth",
    "vhost": "vhost",
    "virtblk": "virtio_blk",
    "vxlan": "vxlan",
    "wg": "wireguard",
    "xfs": "xfs",
    "xprt": "sunrpc",
}
