"""The plans of examples/peers, and what they need that not every host has."""

from pathlib import Path

from tests.support.binaries import compile_to
from tests.support.paths import ROOT, WORKLOADS

PEERS = {
    str(path.relative_to(ROOT / "examples" / "peers").with_suffix("")): path
    for path in sorted((ROOT / "examples" / "peers").rglob("*.yaml"))
}
#: Modules of which nothing is recorded, as no recorded host had them loaded.
MODULES = {
    "bcc/rdmaucma": "rdma_ucm",
    "book/ieee80211scan": "mac80211",
    "book/kvmexits": "kvm",
    "book/nvmelatency": "nvme_core",
    "book/overlayfs": "overlay",
    "book/scsilatency": "scsi_mod",
    "book/scsiresult": "scsi_mod",
}
#: Those of functions, structures and USDT probes of the program members.c.
OF_MEMBERS = (
    "runtime/argument-names",
    "runtime/bit-fields",
    "runtime/elements",
    "runtime/struct-in-variable",
    "runtime/usdt-arguments",
    "runtime/usdt-values",
)
#: Databases and interpreters that need not be here: each with what it names in its file.
PROGRAMS = ("book/bashfunclat", "book/mysqld_clat", "book/mysqld_qslower", "bcc/uobjnew")


#: Settings that name a program of this host in place of one that need not be here.
SETTINGS = {
    "tetragon/cve-2024-3094": {"program": "/usr/bin/true"},
    "tetragon/security-socket-connect-block-others": {"program": "/usr/bin/true"},
}


def build_members(folder: Path) -> Path:
    """A program with debug information, of which OF_MEMBERS are."""
    return compile_to(folder / "members", WORKLOADS / "members.c", flags=("-g",))
