"""Programs for guests of another architecture: a small Debian with Python and our requirements.

It is unpacked from Debian's packages and from the package index's wheels, and nothing of it is run
here: its programs are another processor's. Kept in the cache, one folder for each architecture.
"""

import hashlib
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from orchestrator.lab.apt import open_archive
from orchestrator.lab.errors import LabError, tail
from orchestrator.lab.kernels import cache_directory, locked
from orchestrator.lab.qemu import EMULATORS

__all__ = ["GUEST_HOST", "GUEST_PYTHON3", "fetch_userland"]

#: Where a guest that has a userland sees this host's files.
GUEST_HOST = Path("/host")
GUEST_PYTHON3 = "/usr/bin/python3"
_SUITE, _PYTHON = "bookworm", "3.11"
_PACKAGES = ("busybox-static", "coreutils", "dash", "libc6", "libstdc++6", "python3")
#: By architecture, the tags of wheels that run on the suite's libc, newest first.
_WHEELS = ("manylinux_2_28_{}", "manylinux_2_17_{}", "manylinux2014_{}")
_FOLDERS = ("dev", "proc", "sys", "run", "tmp", "var/tmp", "etc", "root", GUEST_HOST.name)
_MERGED = ("bin", "sbin", "lib")  # links into usr, as on installed systems
_LEFT_OUT = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/info")
_ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
}
_PACKAGE_FOLDER = "usr/lib/python3/dist-packages"


def fetch_userland(arch: str) -> Path:
    """The folder with the file system for `arch` (as `uname -m` has it), from the cache or else
    from Debian's archive and the package index. The cache never shows a partial one. Raises
    LabError with what is missing."""
    requirements = _list_requirements()
    words = (_SUITE, _PYTHON, *_PACKAGES, *requirements)
    name = f"{arch}-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:12]}"
    cache = cache_directory().with_name("userlands")
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / ".lock"):
        if not (cache / name).exists():
            _make_userland(arch, requirements, cache / name)
    return cache / name


def _list_requirements() -> list[str]:
    """What probeplan needs to run, as its metadata has it."""
    try:
        listed = requires("probeplan") or []
    except PackageNotFoundError:
        raise LabError(
            "the requirements of probeplan are not known: install it (scripts/setup.sh test)"
        ) from None
    return sorted(line for line in listed if "extra ==" not in line)


def _make_userland(arch: str, requirements: list[str], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        work = Path(folder)
        root = work / "root"
        _say(f"userland {arch}: fetching {', '.join(_PACKAGES)} from {_SUITE}")
        archive = open_archive(_SUITE, work / "archive", EMULATORS[arch].debian)
        _make_folders(root)
        for package in archive.download_with_dependencies(list(_PACKAGES)):
            _unpack(package, root)
        _say(f"userland {arch}: fetching {', '.join(requirements)}")
        _fetch_wheels(arch, requirements, root / _PACKAGE_FOLDER)
        _compile(root)
        root.rename(target)
    _say(f"userland {arch}: {target}")


def _make_folders(root: Path) -> None:
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name, text in _ACCOUNTS.items():
        (root / "etc" / name).write_text(text)


def _unpack(package: Path, root: Path) -> None:
    """As dpkg does, into a system where /bin is a link to /usr/bin; without scripts."""
    left_out = [f"--exclude={folder}" for folder in _LEFT_OUT]
    into = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", *left_out, "-C", str(root)]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as unpacked:
        done = subprocess.run(
            into, stdin=unpacked.stdout, capture_output=True, text=True, check=False
        )
    if done.returncode or unpacked.returncode:
        raise LabError(f"cannot unpack {package.name}: {tail(done.stderr)}")


def _fetch_wheels(arch: str, requirements: list[str], target: Path) -> None:
    tags = [word for tag in _WHEELS for word in ("--platform", tag.format(arch))]
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    words += ["--no-input", "--no-compile", "--only-binary=:all:", "--python-version", _PYTHON]
    words += [*tags, "--target", str(target), *requirements]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"the Python packages for {arch} cannot be fetched:\n{tail(done.stderr)}")


def _compile(root: Path) -> None:
    """Python's modules, as their packages' scripts would: an emulated machine takes minutes. Only
    by an interpreter of the same release, since another one's result is not read."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" != _PYTHON:
        return
    folders = [f"usr/lib/python{_PYTHON}", _PACKAGE_FOLDER]
    words = [sys.executable, "-I", "-m", "compileall", "-q", "-j", "0", "-x", r"/tests?/|lib2to3"]
    words += ["-s", str(root), "-p", "/", *(str(root / folder) for folder in folders)]
    subprocess.run(words, capture_output=True, check=False)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
