"""Stock Debian kernels, fetched once and kept unpacked in a cache folder.

A kernel's folder holds vmlinux (uncompressed), config, modules.builtin and the modules a
guest may want, under the paths they have in /lib/modules/RELEASE.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.lab.apt import Archive, open_archive
from orchestrator.lab.errors import LabError
from orchestrator.lab.qemu import EMULATORS
from orchestrator.lab.vmlinux import extract_image, extract_vmlinux
from orchestrator.values import dataclass

# Release name of a Debian kernel: 6.1.0-50-amd64, 6.12.95+deb12-arm64. Not rt, cloud, unsigned.
_REST = r"\.[\d.]+(?:\+deb\d+[\d.]*)?(?:-\d+)?-"
_AMD64, _ARM64 = _REST + "amd64", _REST + "arm64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a kernel series is published: suites in order of preference, and a release pattern.
    `arch`: as `uname -m` has it."""

    suites: tuple[str, ...]
    release: str
    arch: str = "x86_64"


#: The kernels on which a host's own programs run.
KERNELS: dict[str, Source] = {
    "5.10": Source(suites=("bullseye", "bullseye-security"), release=r"5\.10" + _AMD64),
    "6.1": Source(suites=("bookworm", "bookworm-security"), release=r"6\.1" + _AMD64),
    "6.12": Source(suites=("bookworm-backports",), release=r"6\.12" + _AMD64),
    "7.x": Source(suites=("trixie-backports",), release=r"7\.\d+" + _AMD64),
}
#: Kernels of another architecture, which boot with separate programs (image/userland.py).
FOREIGN_KERNELS: dict[str, Source] = {
    "6.1-arm64": Source(
        suites=("bookworm", "bookworm-security"), release=r"6\.1" + _ARM64, arch="aarch64"
    ),
    "6.12-arm64": Source(suites=("bookworm-backports",), release=r"6\.12" + _ARM64, arch="aarch64"),
}
ALL_KERNELS = KERNELS | FOREIGN_KERNELS
# A release is split over these packages, or all in the first (up to 6.12).
PACKAGES = ("image", "base", "binary", "modules")
# Modules worth their disk space: file systems, networking, block devices and what they need.
KEPT_MODULES = (
    *("arch", "block", "crypto", "fs", "lib", "mm", "net"),
    *("drivers/block", "drivers/char", "drivers/md", "drivers/net", "drivers/virtio"),
)
DROPPED_MODULES = ("drivers/net/ethernet", "drivers/net/wireless")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One kernel. `name` is a key of ALL_KERNELS, `release` what `uname -r` says. `image`: what
    boots, where that is not the cache's own. `arch`: as `uname -m` has it."""

    name: str
    release: str
    directory: Path
    image: Path | None = None
    arch: str = "x86_64"

    @property
    def vmlinux(self) -> Path:
        """What boots: in the cache the uncompressed image, for x86-64 an ELF file."""
        return self.image or self.directory / "vmlinux"

    @property
    def config(self) -> Path:
        """The kernel's build configuration."""
        return self.directory / "config"

    @property
    def modules(self) -> Path:
        """What would be /lib/modules/RELEASE, cut down to KEPT_MODULES."""
        return self.directory


def cache_directory() -> Path:
    """$PROBEPLAN_CACHE/kernels, else the user's cache folder's probeplan/kernels."""
    if given := os.environ.get("PROBEPLAN_CACHE"):
        return Path(given) / "kernels"
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "probeplan" / "kernels"


def fetch(name: str, *, cache: Path | None = None, update: bool = False) -> Kernel:
    """The kernel `name` (a key of ALL_KERNELS), from the cache or else from Debian's archive.

    With `update` the archive is asked for a newer release even if one is cached. Progress goes to
    stderr; the cache never shows a partial kernel, and concurrent calls wait for each other. Raises
    LabError with what is missing.
    """
    if name not in ALL_KERNELS:
        raise LabError(f"no kernel `{name}`: known are {', '.join(ALL_KERNELS)}")
    cache = cache or cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / ".lock"):
        cached = None if update else _cached(cache, name)
        return cached or _fetch(name, cache)


def _cached(cache: Path, name: str) -> Kernel | None:
    link = cache / name
    if not (link / "vmlinux").exists():
        return None
    return _kernel_in(link.resolve(), name)


def _kernel_in(directory: Path, name: str) -> Kernel:
    arch = ALL_KERNELS[name].arch
    return Kernel(name=name, release=directory.name, directory=directory, arch=arch)


def _fetch(name: str, cache: Path) -> Kernel:
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as folder:
        work = Path(folder)
        release, archive, packages = _find(name, work)
        directory = cache / release
        if not directory.exists():
            _say(f"kernel {name}: downloading {', '.join(packages)} from {archive.suite}")
            packed = archive.download(packages, work / "debs")
            _say(f"kernel {name}: unpacking {release}")
            _unpack(packed, work / release, ALL_KERNELS[name].arch)
            (work / release).rename(directory)
        link = work / "link"
        link.symlink_to(release)
        link.rename(cache / name)
        _say(f"kernel {name}: {directory}")
    return _kernel_in(directory, name)


def _find(name: str, work: Path) -> tuple[str, Archive, list[str]]:
    """(release, suite, packages) of the newest release that Debian has of this series."""
    refusals = []
    source = ALL_KERNELS[name]
    for suite in source.suites:
        _say(f"kernel {name}: reading the index of {suite}")
        try:
            archive = open_archive(suite, work / suite, EMULATORS[source.arch].debian)
            known = frozenset(archive.packages())
        except LabError as error:
            refusals.append(f"{suite}: {error}")
            continue
        if release := newest_release(known, source.release):
            parts = [f"linux-{part}-{release}" for part in PACKAGES]
            return release, archive, [part for part in parts if part in known]
        refusals.append(f"{suite}: has no package linux-image-{source.release}")
    raise LabError(f"kernel {name} cannot be fetched:\n" + "\n".join(refusals))


def newest_release(packages: frozenset[str], pattern: str) -> str | None:
    """The highest release among the linux-image packages that match `pattern` in full."""
    image = re.compile(f"linux-image-({pattern})")
    releases = [found[1] for name in packages if (found := image.fullmatch(name))]
    return max(releases, key=_numbers, default=None)


def _numbers(release: str) -> list[int]:
    """6.12.90+deb12.1-amd64 → [6, 12, 90, 12, 1]: the numbers that Debian increments."""
    return [int(digits) for digits in re.findall(r"\d+", release.rpartition("-")[0])]


def _unpack(packages: list[Path], target: Path, arch: str) -> None:
    """Fills a kernel's folder from its packages."""
    target.mkdir()
    for package in packages:
        _extract(package, target)
    vmlinuz = target / "vmlinuz"
    if not vmlinuz.exists():
        raise LabError(f"no vmlinuz in {', '.join(package.name for package in packages)}")
    extract = extract_vmlinux if arch == "x86_64" else extract_image
    (target / "vmlinux").write_bytes(extract(vmlinuz.read_bytes()))
    vmlinuz.unlink()


def _extract(package: Path, target: Path) -> None:
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr  # noqa: PT018  (for the type checker, one line will do)
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile() and (place := kept_as(member.name)):
                    _copy(archive, member, target / place)
        process.stdout.read()  # dpkg-deb fails if its padding is not taken
        error = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise LabError(f"cannot unpack {package.name}: {error}")


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None  # for the type checker: the caller asked isfile
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file)


def kept_as(path: str) -> str | None:
    """Where a package's file goes in the kernel's folder, or None if a guest has no use for it.

    `./boot/vmlinuz-R` → `vmlinuz`; `./lib/modules/R/kernel/fs/9p/9p.ko` → `kernel/fs/9p/9p.ko`.
    """
    if found := re.fullmatch(r"\./boot/(vmlinuz|config)-[^/]+", path):
        return found[1]
    inside = re.fullmatch(r"\./(?:usr/)?lib/modules/[^/]+/(.+)", path)
    if inside is None:
        return None
    place = inside[1]
    if place in ("vmlinuz", "config", "modules.builtin"):
        return place
    module = place.removeprefix("kernel/")
    kept = module != place and module.startswith(tuple(f"{tree}/" for tree in KEPT_MODULES))
    return place if kept and not module.startswith(DROPPED_MODULES) else None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process of this host at a time, by a lock on the file `path`."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
