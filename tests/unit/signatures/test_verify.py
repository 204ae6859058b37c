"""What ssh-keygen accepts and refuses, with real keys, authorities, revocation and expiry."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.signatures import ssh_keygen
from orchestrator.signatures.model import SignatureRefused, SignatureUnchecked, Signer
from orchestrator.signatures.verify import verify_signature
from tests.support.signing import KeyPair, allow_line, make_key, signer_lists

CONTENT = b"apiVersion: probeplan/v1\nkind: ProbePlan\n"
SIGNERS = "/etc/probeplan/allowed_signers"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], KeyPair]:
    """Keys by name, each made once."""
    folder = tmp_path_factory.mktemp("keys")
    made: dict[str, KeyPair] = {}

    def find(name: str) -> KeyPair:
        if name not in made:
            made[name] = make_key(folder, name)
        return made[name]

    return find


def refusal(content: bytes, signature: bytes, *lines: str, revoked: bytes | None = None) -> str:
    with pytest.raises(SignatureRefused) as caught:
        verify_signature(content, signature, signer_lists(*lines, revoked=revoked))
    return str(caught.value)


def test_an_allowed_signer_is_named_with_the_fingerprint_of_the_key(keys) -> None:
    """As ssh-keygen -l shows it; other lines of the file do not matter."""
    ann, bob = keys("ann"), keys("bob")
    lists = signer_lists("# plans\n", allow_line("bob@x", bob), allow_line("ann@x", ann))
    signer = verify_signature(CONTENT, ann.sign(CONTENT), lists)
    assert signer == Signer(principal="ann@x", key=ann.fingerprint)


def test_a_certificate_of_an_authority_is_accepted_for_its_principals(keys) -> None:
    """The key is the certified one; a principal that the authority may not name is none."""
    authority, job = keys("authority"), keys("job")
    certified = authority.certify(job, "deploy,ci@example.com")
    allowed = allow_line("*@example.com", authority, 'cert-authority,namespaces="probeplan"')
    signer = verify_signature(CONTENT, certified.sign(CONTENT), signer_lists(allowed))
    assert signer == Signer(principal="ci@example.com", key=job.fingerprint)
    other = allow_line("*@example.org", authority, 'cert-authority,namespaces="probeplan"')
    why = refusal(CONTENT, certified.sign(CONTENT), other)
    assert f"{SIGNERS} does not accept the key {job.fingerprint}" in why


def test_without_cert_authority_in_its_line_an_authority_signs_for_no_one_else(keys) -> None:
    authority, job = keys("authority"), keys("job2")
    signature = authority.certify(job, "ci@example.com").sign(CONTENT)
    why = refusal(CONTENT, signature, allow_line("*@example.com", authority))
    assert why == f"{SIGNERS} does not accept the key {job.fingerprint}: it is not listed there"


@pytest.mark.parametrize("changed", [CONTENT + b"\n", CONTENT[:-1], CONTENT.upper(), b""])
def test_changed_bytes_are_refused(keys, changed: bytes) -> None:
    """Longer, shorter, other, none; also where the signer is unknown."""
    ann = keys("ann")
    why = "Signature verification failed: incorrect signature"
    assert refusal(changed, ann.sign(CONTENT), allow_line("ann@x", ann)) == why
    assert refusal(changed, ann.sign(CONTENT), allow_line("bob@x", keys("bob"))) == why


def test_a_signature_for_another_namespace_is_refused(keys) -> None:
    """A signed e-mail or commit is no approved plan."""
    ann = keys("ann")
    why = "Couldn't verify signature: namespace does not match"
    assert refusal(CONTENT, ann.sign(CONTENT, "git"), allow_line("ann@x", ann)) == why


def test_a_key_that_is_allowed_for_other_namespaces_is_refused(keys) -> None:
    ann = keys("ann")
    line = allow_line("ann@x", ann, 'namespaces="git"')
    why = f'{SIGNERS}:1: key is not permitted for use in signature namespace "probeplan"'
    assert refusal(CONTENT, ann.sign(CONTENT), line) == why


def test_an_unknown_key_is_named_so_that_it_can_be_added(keys) -> None:
    bob = keys("bob")
    for lines in ((), (allow_line("ann@x", keys("ann")),)):
        why = refusal(CONTENT, bob.sign(CONTENT), *lines)
        assert why == f"{SIGNERS} does not accept the key {bob.fingerprint}: it is not listed there"


def test_an_expired_key_and_one_of_the_future_are_refused(keys) -> None:
    """valid-before and valid-after; with the file's name, not the descriptor's."""
    ann = keys("ann")
    for options, why in (
        ('valid-before="20200101"', f"{SIGNERS}:1: key has expired"),
        ('valid-after="20990101"', f"{SIGNERS}:1: key is not yet valid"),
    ):
        given = refusal(CONTENT, ann.sign(CONTENT), allow_line("ann@x", ann, options))
        assert why in given
        assert "/proc/" not in given


def test_an_expired_certificate_is_refused_with_that_reason(keys) -> None:
    """Although ssh-keygen says it only when it is asked for details."""
    authority, job = keys("authority"), keys("job3")
    signature = authority.certify(job, "ci@x", "20200101:20200102").sign(CONTENT)
    line = allow_line("*", authority, "cert-authority")
    assert "Certificate invalid: expired" in refusal(CONTENT, signature, line)


def test_a_revoked_key_certificate_and_authority_are_refused(keys) -> None:
    """By a KRL or by public keys; and a revocation list of other keys revokes nothing."""
    ann, bob, authority, job = keys("ann"), keys("bob"), keys("authority"), keys("job4")
    certified = authority.certify(job, "ci@x")
    plain = (ann.sign(CONTENT), allow_line("ann@x", ann))
    by_authority = (certified.sign(CONTENT), allow_line("*", authority, "cert-authority"))
    for (signature, line), revoked, key in (
        (plain, ann.revoke(ann), ann),
        (plain, f"{ann.public}\n".encode(), ann),
        (by_authority, authority.revoke(authority), job),
        (by_authority, authority.revoke(job), job),
    ):
        why = refusal(CONTENT, signature, line, revoked=revoked)
        assert f"the key {key.fingerprint} is revoked by /etc/probeplan/revoked" in why
    for revoked in (bob.revoke(bob), b"", f"{bob.public}\n".encode()):
        lists = signer_lists(plain[1], revoked=revoked)
        assert verify_signature(CONTENT, plain[0], lists).principal == "ann@x"


@pytest.mark.parametrize("damaged", [b"not a key\n", b"SSHKRL\n\0", b"\x00SHKRL\n\x00"])
def test_a_revocation_list_that_is_none_refuses_all(keys, damaged: bytes) -> None:
    """It must not revoke nothing."""
    ann = keys("ann")
    lists = signer_lists(allow_line("ann@x", ann), revoked=damaged)
    with pytest.raises((SignatureRefused, SignatureUnchecked), match=r"revocation list") as caught:
        verify_signature(CONTENT, ann.sign(CONTENT), lists)
    assert "/etc/probeplan/revoked" in str(caught.value)


@pytest.mark.parametrize("junk", [b"", b"-----BEGIN SSH SIGNATURE-----\n", b"\x00\x1b[2J", CONTENT])
def test_what_is_no_signature_is_refused_in_one_printable_line(keys, junk: bytes) -> None:
    why = refusal(CONTENT, junk, allow_line("ann@x", keys("ann")))
    assert "Couldn't parse signature" in why
    assert why.isprintable()


def test_a_principal_is_taken_as_written_and_shown_without_control_characters(keys) -> None:
    """It reaches logs and terminals; and one that looks like an option is none."""
    ann = keys("ann")
    for written, shown in (("-Yfoo", "-Yfoo"), ('"ann b\x1b[31m"', "ann b\\x1b[31m")):
        lists = signer_lists(allow_line(written, ann))
        assert verify_signature(CONTENT, ann.sign(CONTENT), lists).principal == shown


@pytest.mark.parametrize("pattern", ["*@x", "!bob@x,*@x"])
def test_of_a_pattern_of_principals_the_part_that_matches_is_named(keys, pattern: str) -> None:
    ann = keys("ann")
    lists = signer_lists(allow_line(pattern, ann))
    assert verify_signature(CONTENT, ann.sign(CONTENT), lists).principal == "*@x"


# ---------------------------------------------------------------- ssh-keygen itself


def test_ssh_keygen_is_not_looked_for_in_path(
    keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can set PATH could replace it by one that accepts everything."""
    accepts = tmp_path / "ssh-keygen"
    accepts.write_text("#!/bin/sh\necho 'Good with X key SHA256:'\n")
    accepts.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ssh_keygen.find_ssh_keygen() == "/usr/bin/ssh-keygen"


def test_a_missing_ssh_keygen_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_keygen, "DIRECTORIES", (str(tmp_path),))
    with pytest.raises(SignatureUnchecked, match=f"there is no ssh-keygen in {tmp_path}") as caught:
        verify_signature(CONTENT, b"", signer_lists())
    assert caught.value.missing


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exec sleep 600", "gave no answer in 0.3 s"),
        ("while :; do echo ann@x; done", "it printed more than 64 KiB"),
        ("while :; do echo no >&2; done", "it printed more than 64 KiB"),
        ("exec >&- 2>&-; exec sleep 600", "gave no answer in 0.3 s"),
        ("echo ann@x", "answer has no fingerprint: 'ann@x\\\\n'"),
    ],
)
def test_an_ssh_keygen_that_hangs_or_chatters_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, why: str
) -> None:
    """And what it printed accepts nothing."""
    tool = tmp_path / "ssh-keygen"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(ssh_keygen, "DIRECTORIES", (str(tmp_path),))
    monkeypatch.setattr(ssh_keygen, "_PATIENCE_S", 0.3)
    with pytest.raises(SignatureUnchecked) as caught:
        verify_signature(CONTENT, b"", signer_lists())
    assert why in str(caught.value)
    assert not caught.value.missing
