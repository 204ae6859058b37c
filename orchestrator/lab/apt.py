"""Debian's package archive, asked through apt with a private state and private sources.

The host's apt is not changed: lists, caches and sources are in a folder that the caller gives, and
the host's hooks are disabled. Proxies and credentials of the host still apply.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from orchestrator.lab.errors import LabError, tail
from orchestrator.values import dataclass

MIRROR_VARIABLE = "PROBEPLAN_DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
HOOKS = (
    *("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success"),
    *("DPkg::Pre-Invoke", "DPkg::Post-Invoke", "DPkg::Pre-Install-Pkgs"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One suite of Debian, its index already fetched into `directory`."""

    suite: str
    directory: Path
    architecture: str = "amd64"

    def packages(self) -> list[str]:
        """The names of all packages in this suite."""
        return _run(["apt-cache", *self._options, "pkgnames"]).split()

    def download(self, names: list[str], target: Path) -> list[Path]:
        """The named packages as .deb files in `target`."""
        target.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", *self._options, "download", *names], cwd=target)
        return sorted(target.glob("*.deb"))

    def download_with_dependencies(self, names: list[str]) -> list[Path]:
        """The named packages and all that they need on a machine that has none, as .deb files in
        the archive's own folder."""
        options = [*self._options, "-o", "APT::Install-Recommends=false"]
        _run(["apt-get", *options, "install", "--yes", "--download-only", *names])
        return sorted((self.directory / "cache/archives").glob("*.deb"))

    @property
    def _options(self) -> list[str]:
        return _options(self.directory, self.architecture)


def open_archive(suite: str, directory: Path, architecture: str = "amd64") -> Archive:
    """Fetches the index of `suite` (main, for a Debian architecture) with its state in `directory`.

    Raises LabError when the mirror, the suite or the key that signs it is missing.
    """
    if not KEYRING.exists():
        raise LabError(f"{KEYRING} is missing: install the package debian-archive-keyring")
    for folder in ("lists/partial", "cache/archives/partial"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    (directory / "status").touch()
    (directory / "hooks.conf").write_text("".join(f"#clear {name};\n" for name in HOOKS))
    source = f"deb [arch={architecture} signed-by={KEYRING}] {mirror(suite)} {suite} main\n"
    (directory / "sources.list").write_text(source)
    try:
        options = _options(directory, architecture)
        _run(["apt-get", *options, "-o", "APT::Update::Error-Mode=any", "update"])
    except LabError as error:
        raise LabError(f"{error}{_key_hint(str(error))}") from error
    return Archive(suite=suite, directory=directory, architecture=architecture)


def mirror(suite: str) -> str:
    """The mirror's base address for `suite`, as this host's own apt sources have it.

    `*-security` suites have a separate archive. PROBEPLAN_DEBIAN_MIRROR overrides both,
    for hosts that are not Debian. Raises LabError when there is none.
    """
    if given := os.environ.get(MIRROR_VARIABLE):
        return given
    label = "Debian-Security" if suite.endswith("-security") else "Debian"
    listed = _run(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"])
    for line in listed.splitlines():
        found, _, address = line.partition(" ")
        if found == label:
            return address
    raise LabError(
        f"this host's apt sources name no `{label}` archive, so there is nowhere to fetch "
        f"Debian's kernels from: set {MIRROR_VARIABLE} to the address of a Debian mirror, "
        "or, on Debian, run `apt-get update` first"
    )


def _options(directory: Path, architecture: str) -> list[str]:
    values = {
        "Dir::State": directory,
        "Dir::State::lists": directory / "lists",
        "Dir::State::status": directory / "status",
        "Dir::Cache": directory / "cache",
        "Dir::Etc::sourcelist": directory / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        # The download user could not write into our private folders.
        "APT::Sandbox::User": "",
    }
    options = [part for name, value in values.items() for part in ("-o", f"{name}={value}")]
    return ["-q", "-c", str(directory / "hooks.conf"), *options]


def _key_hint(text: str) -> str:
    missing = re.search(r"NO_PUBKEY (\w+)", text)
    if missing is None:
        return ""
    return (
        f"\nhint: {KEYRING} lacks the key {missing[1]} that signs this suite: "
        "upgrade the package debian-archive-keyring"
    )


def _run(command: list[str], cwd: Path | None = None) -> str:
    if shutil.which(command[0]) is None:
        raise LabError(f"`{command[0]}` is not installed: fetching needs a host with apt")
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise LabError(f"`{command[0]}` failed with {done.returncode}:\n{tail(done.stderr)}")
    return done.stdout
