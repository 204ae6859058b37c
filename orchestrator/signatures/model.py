"""Who may sign, who has signed, and why a signature is refused."""

from orchestrator.values import dataclass

__all__ = ["NAMESPACE", "SignatureRefused", "SignatureUnchecked", "Signer", "SignerLists"]

#: What a signature has to be made for: `ssh-keygen -Y sign -n probeplan`.
NAMESPACE = "probeplan"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerLists:
    """The contents of the files that say whose signatures count, and their names for messages.
    `signers`: as ssh-keygen(1) describes under ALLOWED SIGNERS. `revoked`: a revocation list (KRL)
    or public keys, one a line; None: nothing is revoked."""

    signers: bytes
    signers_file: str
    revoked: bytes | None = None
    revoked_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed: a `principal` of the allowed signers, printable, and the fingerprint of the `key`
    (SHA256:…), of a certificate that of the key that it certifies."""

    principal: str
    key: str


class SignatureRefused(Exception):
    """The signature is not that of an allowed signer over these bytes. Its text, one printable
    line, has ssh-keygen's reason."""


class SignatureUnchecked(Exception):
    """ssh-keygen is missing or gave no answer, so that nothing is known about the signature. Its
    text, one printable line, says why. `missing`: there is no ssh-keygen."""

    def __init__(self, why: str, *, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing
