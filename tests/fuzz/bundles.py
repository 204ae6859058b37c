"""Bytes → bundles, or one finding."""

import hashlib

from orchestrator.backends.bcc.compiler.places import fill_program
from orchestrator.backends.protocol import OpenNumber
from orchestrator.bundle.file import MOST_PROGRAMS, read_bundle, write_bundle
from orchestrator.plan.codes import CODES
from orchestrator.plan.findings import PlanError
from tests.fuzz.target import Target
from tests.support.bundles import fold_all, make_bundle, unfold_all

_OPENING = len(b'{"sha256":"",') + 64


def check(data: bytes) -> None:
    """As they are, as what a sound .xz unfolds to, and with a digest of the head that is right."""
    for content in (data, fold_all(data), fold_all(_sealed(data))):
        _check_file(content)


def _sealed(data: bytes) -> bytes:
    line, newline, body = data.partition(b"\n")
    rest = line[_OPENING:]
    return b'{"sha256":"%s",' % hashlib.sha256(rest).hexdigest().encode() + rest + newline + body


def _check_file(content: bytes) -> None:
    """Refused with one finding; or a bundle whose programs can be filled, and that is written and
    read again as it is."""
    try:
        bundle = read_bundle(content, "some.ppb", release="0.1.0")
    except PlanError as error:
        [finding] = error.findings
        assert finding.code in CODES
        assert finding.position.file == "some.ppb"
        assert len(finding.message) < 1000
        str(finding).encode()
        return
    assert len(bundle.programs) <= MOST_PROGRAMS
    for kept in bundle.programs.values():
        filled = fill_program(kept.program, [OpenNumber(name=name, value=1) for name in kept.slots])
        lengths = {name: len(code) for name, code in filled.items()}
        assert lengths == {name: len(code) for name, code in kept.program.code.items()}
    again = read_bundle(write_bundle(bundle), "some.ppb")
    assert again == bundle


def seeds() -> list[bytes]:
    """A bundle as a file, and what is in it."""
    content = write_bundle(make_bundle())
    return [
        content,
        unfold_all(content),
        unfold_all(write_bundle(make_bundle(programs={}, matrix=()))),
    ]


TARGET = Target(
    name="bundles",
    check=check,
    seeds=seeds,
    words=(b'"programs":', b'"places":', b'"functions":', b'"sha256":', b'[0,"add",0]', b'"wide"',
           b'"record"', b"null", b"true", b"1e999", b"Infinity", b"-1", b"[[", b"{}", b'\\ud800',
           b"probeplan-bundle/2", b"\n"),
    longest=6000,
)  # fmt: skip
