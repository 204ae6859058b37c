"""Record kernels for the tests: this machine's, or stock ones booted for the purpose.

    python -m tests.support.record_facts            # the stock kernels, each booted once
    python -m tests.support.record_facts 6.1        # one of them
    python -m tests.support.record_facts --here 6.18-no-kprobes

Writes NAME.facts.xz into kernels/. Compressing takes ten times longer inside a guest, so
that the guest writes a quick recording and the host packs it.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from orchestrator.kernel.facts import KernelFacts, facts_bytes, live_facts, load_facts, save_facts
from orchestrator.kernel.recording import Recording
from orchestrator.kernel.tree import Tree
from orchestrator.lab import fetch, run_in_guest
from orchestrator.lab.guest import find_python
from orchestrator.lab.kernels import ALL_KERNELS
from tests.support.btf_trim import trim, trim_module
from tests.support.paths import KERNELS as FACTS
from tests.support.paths import ROOT

MODULES = ("ext4", "nf_conntrack")  # what plans ask for and stock kernels keep in modules
KEPT_BTF = ("vmlinux", "ext4")
QUICK = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"of {', '.join(ALL_KERNELS)}")
    parser.add_argument("--here", metavar="NAME", help="record this machine's kernel as NAME")
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)  # the guest's half
    options = parser.parse_args()
    if options.raw:
        options.raw.write_bytes(facts_bytes(live_facts(), preset=QUICK))
    elif options.here:
        keep(live_facts(), options.here)
    else:
        for name in options.kernels or ALL_KERNELS:
            record(name)
    return 0


def record(name: str) -> None:
    """Boot the stock kernel `name` and write its recording. Raises LabError, GuestLost."""
    with tempfile.TemporaryDirectory() as folder:
        share = Path(folder)
        kernel = fetch(name)
        inside = ["-m", "tests.support.record_facts", "--raw", "/run/share/raw"]
        result = run_in_guest(
            kernel,
            [find_python(kernel), *inside],
            share=share,
            timeout_s=300,
            modules=MODULES,
            cwd=ROOT,
        )
        if result.returncode:
            raise SystemExit(f"{name}: recording failed in the guest:\n{result.stderr}")
        keep(load_facts(share / "raw"), name)


def keep(facts: KernelFacts, name: str) -> None:
    """Write the facts with their types trimmed (btf_trim): a third smaller. A guest of
    another architecture has no compiler, which says nothing of its kernel."""
    kept = Recording(
        tree=Trimmed(facts.tree),
        release=facts.release,
        arch=facts.arch,
        page_size=facts.page_size,
        features={**facts.features, "bcc": live_facts().features["bcc"]},
        trimmed=True,
    )
    path = FACTS / f"{name}.facts.xz"
    save_facts(KernelFacts(kept, recorded=True, source=name), path)
    print(f"{path}: {facts.release}, {path.stat().st_size:,} bytes")


class Trimmed:
    """A tree with less in it: far subsystems' types, most modules' BTF, Rust's mangled names."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.exists = tree.exists

    def names(self, path: str) -> tuple[str, ...]:
        names = self._tree.names(path)
        return tuple(n for n in names if n in KEPT_BTF) if path.endswith("/btf") else names

    def read(self, path: str) -> bytes:
        content = self._tree.read(path)
        if path == "proc/kallsyms":
            return re.sub(rb"^(?:[0-9a-f]+ )?[tT] _R.*\n", b"", content, flags=re.MULTILINE)
        if path.endswith("/btf/vmlinux"):
            return trim(content)
        folder, _, name = path.rpartition("/")
        is_module = folder.endswith("/btf") and name in KEPT_BTF
        return trim_module(content, self._tree.read(f"{folder}/vmlinux")) if is_module else content


if __name__ == "__main__":
    sys.exit(main())
