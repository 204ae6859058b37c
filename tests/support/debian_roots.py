"""Debian systems to install packages in: what scripts/fetch_debian_roots.sh made, below a layer
that takes all changes and goes with the test.

Each has its own mounts, in a namespace that ends with the process that holds it. The kernel, and
with it tracefs and bpf, is this machine's.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT

SUITES = ("bookworm", "trixie")
_FORM = 2  # as in the script
_HOLD = """
set -e
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mount --rbind /dev dev
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
echo ready
exec sleep infinity
"""
#: A package file of the installed package $0, in the folder $1.
_REPACK = """
tree=/tmp/$0
mkdir -p "$tree/DEBIAN" "$1"
dpkg-query --status "$0" | grep -v -e ^Status: -e '^Conffiles:' -e '^ /' >"$tree/DEBIAN/control"
dpkg-query --listfiles "$0" | while read -r path; do
    if [ -f "$path" ] || [ -L "$path" ]; then cp -a --parents "$path" "$tree"; fi
done
for script in postinst prerm; do
    file=$(dpkg-query --control-path "$0" "$script" || true)
    [ -z "$file" ] || cp "$file" "$tree/DEBIAN/$script"
done
dpkg-deb -Znone --root-owner-group --build "$tree" "$1/$0.deb"
"""
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
#: What installing any package changes: logs, the lists of dpkg, the index of man.
_CHANGING = ("var/log", "var/lib/dpkg", "var/cache/man", "proc", "sys", "dev", "run", "tmp")


class DebianSystem:
    """A system of Debian; `enter`: the words that run in it the command which follows them."""

    def __init__(self, enter: Sequence[str]) -> None:
        self._enter = enter

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Begin a command in it."""
        return subprocess.Popen(
            [*self._enter, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_ENVIRONMENT,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in it, with its exit code and output."""
        begun = self.start(*command)
        out, errors = begun.communicate(timeout=240)
        return subprocess.CompletedProcess(command, begun.returncode, out, errors)

    def do(self, *command: str) -> str:
        """What a command prints that succeeds."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def install(self, package: Path) -> None:
        """Install a package file, whose dependencies are there."""
        self.do("dpkg", "--install", self._bring(package))

    def take_out(self, *packages: str) -> str:
        """Purge what is installed, and return a folder of it as package files, as it was."""
        folder = "/var/log/packages"
        for package in packages:
            self.do("sh", "-ec", _REPACK, package, folder)
        self.do("dpkg", "--purge", *packages)
        return folder

    def install_offline(self, package: Path, folder: str) -> None:
        """Install a package file and those in a folder by apt, in a namespace without network."""
        files = self.do("sh", "-c", f"ls {folder}/*.deb").split()
        words = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends")
        self.do("unshare", "--net", *words, *files, self._bring(package))

    def _bring(self, package: Path) -> str:
        target = f"/var/log/{package.name}"  # no file of the system, and not below a mount
        writer = subprocess.run(
            [*self._enter, "sh", "-c", f"cat > {target}"],
            input=package.read_bytes(),
            check=False,
            env=_ENVIRONMENT,
        )
        assert writer.returncode == 0
        return target

    def list_files(self) -> set[str]:
        """All paths but those that any package changes."""
        leave_out: list[str] = []
        for path in _CHANGING:
            leave_out += ["-path", f"/{path}", "-prune", "-o"]
        return set(self.do("find", "/", *leave_out, "-print").splitlines())


class DebianRoot(DebianSystem):
    """The system at `root` in the mount namespace of the process `holder`.

    Commands enter it by its path, which outside of that namespace is an empty folder: whatever goes
    wrong, none of them can reach this machine's own system.
    """

    def __init__(self, root: Path, holder: int) -> None:
        super().__init__(["nsenter", f"--target={holder}", "--mount", "chroot", str(root)])


@contextmanager
def debian_root(suite: str, folder: Path) -> Iterator[DebianRoot]:
    """A fresh system of this suite; `folder`: an empty one for what changes."""
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _HOLD, "sh", str(find_root(suite)), str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            raise AssertionError(holder.communicate()[1])
        yield DebianRoot(folder / "root", holder.pid)
    finally:
        holder.kill()
        holder.communicate()


def find_root(suite: str) -> Path:
    """Where the script keeps it; made now where it is not."""
    cache = os.environ.get("PROBEPLAN_CACHE")
    if cache is None:
        base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        cache = str(Path(base) / "probeplan")
    root = Path(cache) / "debian-roots" / f"{suite}-{_FORM}"
    if not root.is_dir():
        subprocess.run([ROOT / "scripts" / "fetch_debian_roots.sh", suite], check=True)
    return root


def build_package(folder: Path, version: str | None = None) -> Path:
    """The package of this tree, with an entry for `version` in its changelog if there is one."""
    subprocess.run(
        [ROOT / "scripts" / "build_deb.sh", version or "", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    package = find_package(folder)
    assert package is not None
    return package


def find_package(folder: Path) -> Path | None:
    """The package that was built there; None where there is none."""
    return next(folder.glob("probeplan_*_all.deb"), None)


def make_newer(package: Path, folder: Path, version: str) -> Path:
    """A later version of a package, none of whose modules can be imported."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    renamed = [f"Version: {version}" if line.startswith("Version:") else line for line in lines]
    control.write_text("\n".join([*renamed, ""]))
    for module in (tree / "usr/lib/python3/dist-packages/orchestrator").rglob("*.py"):
        module.write_text("raise SystemExit('of the newer release')\n")
    newer = folder / f"probeplan_{version}_all.deb"
    command: Sequence[str | Path] = ["dpkg-deb", "-Znone", "--root-owner-group", "--build"]
    subprocess.run([*command, tree, newer], check=True, stdout=subprocess.DEVNULL)
    return newer
