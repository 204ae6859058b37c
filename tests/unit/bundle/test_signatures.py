"""Bundles are opened only with the signature that the policies ask for, made by the real ssh-keygen
over the very bytes that are used."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.bundle.file import write_bundle
from orchestrator.bundle.inspection import inspect_bundle
from orchestrator.bundle.opening import OpenedBundle, open_bundle
from orchestrator.plan.findings import Finding, HostError
from orchestrator.policy.file import read_policy
from orchestrator.policy.model import Policy
from orchestrator.signatures import ssh_keygen
from tests.support.bundles import make_bundle
from tests.support.signing import KeyPair, allow_line, make_key, sign_file

NOW = 1_795_000_000
GOOD = write_bundle(make_bundle())
EVIL = write_bundle(make_bundle(plan_text=b"another plan"))
Open = Callable[..., OpenedBundle]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyPair]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("ann", "bob", "authority")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.ppb"
    path.write_bytes(GOOD)
    return path


def make_policy(folder: Path, signers: str, revoked: bytes | None = None) -> Policy:
    """A policy that requires a signature of one of `signers`."""
    (folder / "signers").write_text(signers)
    rules = f"required: true, signers: {folder / 'signers'}"
    if revoked is not None:
        (folder / "revoked").write_bytes(revoked)
        rules += f", revoked: {folder / 'revoked'}"
    policy = folder / "policy.yaml"
    policy.write_text(
        f"apiVersion: probeplan/v1\nkind: Policy\nowner: sec\nsignatures: {{{rules}}}\n"
    )
    return read_policy(policy)


def open_file(file: Path, policy: Policy) -> OpenedBundle:
    return open_bundle(file.read_bytes(), str(file), [policy], "x86_64", NOW)


def refuse(file: Path, policy: Policy) -> Finding:
    """The one finding for which the bundle is not opened; `lint` has it, too."""
    with pytest.raises(HostError) as refused:
        open_file(file, policy)
    [finding] = refused.value.findings
    inspected = inspect_bundle(file.read_bytes(), str(file), [policy])
    assert finding.message in {one.message for one in inspected.findings}
    return finding


def test_a_signed_bundle_is_opened_and_its_signer_named(file, keys, tmp_path) -> None:
    sign_file(keys["ann"], file)
    opened = open_file(file, make_policy(tmp_path, allow_line("ann@example.com", keys["ann"])))
    [acceptance] = opened.acceptances
    assert acceptance.status == "accepted"
    assert acceptance.signer.principal == "ann@example.com"
    assert acceptance.signer.key == keys["ann"].fingerprint


def test_a_bundle_signed_by_a_certified_key_is_opened(file, keys, tmp_path) -> None:
    """The hosts know the authority, and no key of a job."""
    signing = keys["authority"].certify(make_key(tmp_path, "job"), "ci@example.com")
    sign_file(signing, file)
    line = allow_line("*@example.com", keys["authority"], 'cert-authority,namespaces="probeplan"')
    [acceptance] = open_file(file, make_policy(tmp_path, line)).acceptances
    assert acceptance.signer.principal == "ci@example.com"


def test_an_unsigned_bundle_is_refused(file, keys, tmp_path) -> None:
    """Also one whose plan comes with probeplan: its programs do not."""
    finding = refuse(file, make_policy(tmp_path, allow_line("ann", keys["ann"])))
    assert finding.code == "PP131"
    assert finding.message.startswith(f"this bundle is not signed: there is no {file}.sig")
    assert "ssh-keygen -Y sign -n probeplan" in finding.hint


def test_a_changed_bundle_is_refused(file, keys, tmp_path) -> None:
    """By the signature, before anything in it is read."""
    sign_file(keys["ann"], file)
    file.write_bytes(EVIL)
    finding = refuse(file, make_policy(tmp_path, allow_line("ann", keys["ann"])))
    assert finding.code == "PP132"
    assert "incorrect signature" in finding.message
    assert finding.hint.startswith("have the bundle, as it is now, signed")
    file.write_bytes(b"\xfd7zXZ\0 no bundle at all")
    with pytest.raises(HostError, match="incorrect signature"):
        open_file(file, make_policy(tmp_path, allow_line("ann", keys["ann"])))


def test_a_signature_for_another_namespace_is_refused(file, keys, tmp_path) -> None:
    Path(f"{file}.sig").write_bytes(keys["ann"].sign(GOOD, "git"))
    finding = refuse(file, make_policy(tmp_path, allow_line("ann", keys["ann"])))
    assert finding.code == "PP132"
    assert "namespace" in finding.message


def test_an_unknown_signer_is_refused(file, keys, tmp_path) -> None:
    sign_file(keys["bob"], file)
    finding = refuse(file, make_policy(tmp_path, allow_line("ann", keys["ann"])))
    assert finding.code == "PP132"
    assert f"does not accept the key {keys['bob'].fingerprint}" in finding.message


def test_a_signer_whose_time_is_over_is_refused(file, keys, tmp_path) -> None:
    sign_file(keys["ann"], file)
    line = allow_line("ann", keys["ann"], 'namespaces="probeplan",valid-before="20200101"')
    finding = refuse(file, make_policy(tmp_path, line))
    assert finding.code == "PP132"
    assert "expired" in finding.message


def test_an_expired_certificate_is_refused(file, keys, tmp_path) -> None:
    signing = keys["authority"].certify(make_key(tmp_path, "job"), "ci", valid="-2m:-1m")
    sign_file(signing, file)
    line = allow_line("*", keys["authority"], 'cert-authority,namespaces="probeplan"')
    finding = refuse(file, make_policy(tmp_path, line))
    assert finding.code == "PP132"
    assert "expired" in finding.message


def test_a_revoked_key_is_refused(file, keys, tmp_path) -> None:
    sign_file(keys["ann"], file)
    policy = make_policy(tmp_path, allow_line("ann", keys["ann"]), keys["ann"].revoke(keys["ann"]))
    finding = refuse(file, policy)
    assert finding.code == "PP132"
    assert f"the key {keys['ann'].fingerprint} is revoked" in finding.message


def test_without_ssh_keygen_a_required_signature_is_refused(
    file, keys, tmp_path, monkeypatch
) -> None:
    sign_file(keys["ann"], file)
    monkeypatch.setattr(ssh_keygen, "DIRECTORIES", (str(tmp_path),))
    with pytest.raises(HostError, match="there is no ssh-keygen") as refused:
        open_file(file, make_policy(tmp_path, allow_line("ann", keys["ann"])))
    assert [finding.code for finding in refused.value.findings] == ["PP133"]


def test_the_bytes_that_are_used_are_the_bytes_that_were_checked(file, keys, tmp_path) -> None:
    """The file is replaced after it was read: by a signed one, which does not help the evil bytes
    that were read, and by an evil one, of which nothing is used."""
    policy = make_policy(tmp_path, allow_line("ann", keys["ann"]))
    sign_file(keys["ann"], file)
    with pytest.raises(HostError, match="incorrect signature"):
        open_bundle(EVIL, str(file), [policy], "x86_64", NOW)
    file.write_bytes(EVIL)
    assert open_bundle(GOOD, str(file), [policy], "x86_64", NOW).bundle == make_bundle()
