"""Keys, certificates and signatures for tests, made by the real ssh-keygen."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from orchestrator.signatures.model import SignerLists

__all__ = ["KeyPair", "allow_line", "make_key", "sign_file", "signer_lists"]


def _run(*arguments: str, data: bytes = b"") -> bytes:
    done = subprocess.run(
        ["ssh-keygen", *arguments], input=data, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


@dataclass(frozen=True)
class KeyPair:
    """A private key's file; the public one is next to it."""

    path: Path

    @property
    def public(self) -> str:
        """Its line, as in allowed_signers."""
        return self.path.with_suffix(".pub").read_text().strip()

    @property
    def fingerprint(self) -> str:
        """SHA256:…"""
        return _run("-l", "-f", str(self.path.with_suffix(".pub"))).decode().split()[1]

    def sign(self, content: bytes, namespace: str = "probeplan") -> bytes:
        """A detached signature of `content`."""
        return _run("-Y", "sign", "-q", "-n", namespace, "-f", str(self.path), data=content)

    def certify(self, other: "KeyPair", principals: str, valid: str = "-1m:+1h") -> "KeyPair":
        """`other` with a certificate of this authority; signing with it names the certificate."""
        public = other.path.with_suffix(".pub")
        _run("-q", "-s", str(self.path), "-I", "test", "-n", principals, "-V", valid, str(public))
        return KeyPair(other.path.with_name(f"{other.path.name}-cert.pub"))

    def revoke(self, *keys: "KeyPair") -> bytes:
        """A revocation list (KRL) with the public `keys`, made next to this key."""
        file = self.path.with_name(f"{self.path.name}.krl")
        _run("-q", "-k", "-f", str(file), *(str(key.path.with_suffix(".pub")) for key in keys))
        return file.read_bytes()


def make_key(folder: Path, name: str) -> KeyPair:
    """A new ed25519 key without a passphrase."""
    _run("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
    return KeyPair(folder / name)


def allow_line(principals: str, key: KeyPair, options: str = 'namespaces="probeplan"') -> str:
    """A line of allowed_signers."""
    return f"{principals} {options} {key.public}\n"


def sign_file(key: KeyPair, file: Path) -> Path:
    """Make FILE.sig; returns its path."""
    signature = file.with_name(f"{file.name}.sig")
    signature.write_bytes(key.sign(file.read_bytes()))
    return signature


def signer_lists(*lines: str, revoked: bytes | None = None) -> SignerLists:
    """Allowed signers of these lines, and what is revoked."""
    return SignerLists(
        signers="".join(lines).encode(),
        signers_file="/etc/probeplan/allowed_signers",
        revoked=revoked,
        revoked_file="/etc/probeplan/revoked",
    )
