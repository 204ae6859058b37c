"""A bundle as a file: written so that the same bundle gives the same bytes, and read with every
value, extent, place and digest checked before anything of it is used.

The form is `probeplan-bundle/1`: in one xz stream a line of JSON and, after it, the instructions of
all functions, each function that several programs have only once. Digests find accidents; who made
a bundle is what its signature says.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace

from orchestrator.backends.bcc.compiler.places import FillError, OpenProgram, check_places
from orchestrator.bundle.head import Head, HeadProgram, decode_head, encode_head
from orchestrator.bundle.json_values import JsonValueError
from orchestrator.bundle.model import BUNDLE_FORMAT, Bundle, BundledProgram
from orchestrator.bundle.releases import is_newer_release
from orchestrator.bundle.stream import (
    MOST_BYTES,
    MOST_FILE_BYTES,
    MOST_LINE_BYTES,
    StreamError,
    fold_stream,
    is_bundle,
    unfold_stream,
)
from orchestrator.plan.findings import PlanError, Position, of_command_line, plan_error

__all__ = ["MOST_CODE_BYTES", "MOST_FILE_BYTES", "MOST_PROGRAMS"]
__all__ += ["is_bundle", "read_bundle", "write_bundle"]

MOST_PROGRAMS = 1_000
MOST_CODE_BYTES = 1 << 20  # of one program
_INSTRUCTION_BYTES = 8  # struct bpf_insn, include/uapi/linux/bpf.h
_AGAIN = "copy it again, or build it again: probeplan bundle PLAN --kernel FACTS -o FILE.ppb"
#: How the line begins: the digest of what follows it there.
_OPENING = re.compile(rb'\{"sha256":"([0-9a-f]{64})",')
_FORMAT = re.compile(r"probeplan-bundle/([0-9]{1,9})")


# ---------------------------------------------------------------- writing


def write_bundle(bundle: Bundle) -> bytes:
    """The bundle's file. Equal bundles give the same bytes; places are kept in the order of
    functions and instructions. Raises PlanError for one that is larger than `read_bundle` takes,
    ValueError for a row whose settings are none of the bundle's."""
    programs, body = {}, _CodeStore()
    for key, kept in sorted(bundle.programs.items()):
        programs[key] = _describe_program(kept, body)
    plan_digest = hashlib.sha256(bundle.plan_text).hexdigest()
    head = Head(bundle=bundle, plan_sha256=plan_digest, programs=programs)
    rest = json.dumps(encode_head(head), sort_keys=True, separators=(",", ":"))[1:].encode()
    line = b'{"sha256":"%s",%s' % (hashlib.sha256(rest).hexdigest().encode(), rest)
    _check_sizes(bundle, line, body.content)
    return fold_stream(line, bytes(body.content))


class _CodeStore:
    """The instructions of all programs: what was added before is found again."""

    def __init__(self) -> None:
        self.content = bytearray()
        self._offsets: dict[bytes, int] = {}

    def add(self, code: bytes) -> tuple[int, int]:
        """The code's offset and length, in bytes."""
        if code not in self._offsets:
            self._offsets[code] = len(self.content)
            self.content += code
        return self._offsets[code], len(code)


def _describe_program(kept: BundledProgram, body: _CodeStore) -> HeadProgram:
    program = kept.program
    places = sorted(program.places, key=lambda place: (place.function, place.instruction))
    return HeadProgram(
        extents={name: body.add(code) for name, code in sorted(program.code.items())},
        places=tuple(places),
        slots=kept.slots,
        shape=kept.shape,
        sha256=_digest_code(program.code),
    )


def _digest_code(code: Mapping[str, bytes]) -> str:
    return hashlib.sha256(b"".join(code[name] for name in sorted(code))).hexdigest()


def _check_sizes(bundle: Bundle, line: bytes, body: bytearray) -> None:
    """Raises PlanError for what could not be read again."""
    largest = max((_code_bytes(kept) for kept in bundle.programs.values()), default=0)
    for size, most, what in (
        (len(bundle.programs), MOST_PROGRAMS, "programs"),
        (largest, MOST_CODE_BYTES, "bytes of instructions in one program"),
        (len(line), MOST_LINE_BYTES, "bytes besides instructions"),
        (len(line) + 1 + len(body), MOST_BYTES, "bytes"),
    ):
        if size > most:
            message = f"the bundle would have {size:,} {what}, and at most {most:,} are read again"
            hint = "build several bundles, with fewer kernels or settings each"
            raise PlanError([of_command_line(message, hint)])


def _code_bytes(kept: BundledProgram) -> int:
    return sum(map(len, kept.program.code.values()))


# ---------------------------------------------------------------- reading


def read_bundle(content: bytes, source: str, *, release: str | None = None) -> Bundle:
    """The bundle in the bytes of a file. `source`: the file's name, for findings; `release`: of
    this probeplan, None: it is not known, and bundles of newer ones are not refused for that.

    Raises PlanError with one finding: for what is no bundle or damaged (PP240), was changed
    (PP241), or was built by a newer probeplan (PP242).
    """
    position = Position(file=source)
    try:
        line, body = unfold_stream(content)
        data = json.loads(line)
        _check_release(data, release, position)
        return _read_parts(line, data, body, position)
    except (StreamError, JsonValueError, FillError) as error:
        raise _refuse(
            position, f"it {error}" if isinstance(error, StreamError) else str(error)
        ) from None
    except (ValueError, RecursionError) as error:  # from json.loads
        raise _refuse(position, f"its head is not JSON: {error}") from None


def _refuse(position: Position, why: str) -> PlanError:
    return plan_error("PP240", f"this bundle cannot be read: {why}", position, _AGAIN)


def _check_release(data: object, release: str | None, position: Position) -> None:
    """Raises PlanError for what a newer probeplan wrote, which may have another meaning."""
    head = data if isinstance(data, dict) else {}
    written, builder = str(head.get("format"))[:40], str(head.get("builder"))[:40]
    form = _FORMAT.fullmatch(written)
    if form is None:
        raise JsonValueError(f"its format is {written!r}, and not {BUNDLE_FORMAT!r}")
    newer = release is not None and is_newer_release(builder, release)
    if written != BUNDLE_FORMAT or newer:
        message = (
            f"this bundle was built by probeplan {builder} as {written}, and this is "
            f"{release or 'an older one'}, which reads {BUNDLE_FORMAT}"
        )
        hint = (
            f"install probeplan {builder} here, or build the bundle with the release that is here"
        )
        raise plan_error("PP242", message, position, hint)


def _read_parts(line: bytes, data: dict[str, object], body: bytes, position: Position) -> Bundle:
    """The bundle, its digests checked last: they name the part that differs. Raises JsonValueError,
    FillError, PlanError."""
    digest = data.pop("sha256", None)
    head = decode_head(data)
    codes = _read_codes(head.programs, body)
    programs = {key: _read_program(key, kept, codes[key]) for key, kept in head.programs.items()}
    if hashlib.sha256(head.bundle.plan_text).hexdigest() != head.plan_sha256:
        raise _changed(position, "the plan")
    for key, kept in head.programs.items():
        if _digest_code(codes[key]) != kept.sha256:
            raise _changed(position, f"the program {key}")
    opening = _OPENING.match(line)
    if opening is None or hashlib.sha256(line[opening.end() :]).hexdigest() != digest:
        raise _changed(position, "the head")
    return replace(head.bundle, programs=programs)


def _changed(position: Position, part: str) -> PlanError:
    message = f"this bundle was changed since it was built: the digest of {part} does not match"
    return plan_error("PP241", message, position, _AGAIN)


def _read_codes(
    programs: Mapping[str, HeadProgram], body: bytes
) -> Mapping[str, Mapping[str, bytes]]:
    """The instructions by program and function; together they are the whole of `body`."""
    if len(programs) > MOST_PROGRAMS:
        raise JsonValueError(f"there are {len(programs):,} programs, and at most {MOST_PROGRAMS:,}")
    extents = {extent for kept in programs.values() for extent in kept.extents.values()}
    end = 0
    for offset, length in sorted(extents):
        if offset != end or not length or length % _INSTRUCTION_BYTES:
            raise JsonValueError(f"there is no function at {offset:,} with {length:,} bytes")
        end += length
    if end != len(body):
        raise JsonValueError(
            f"there are {len(body):,} bytes of instructions, and {end:,} are listed"
        )
    pieces = {(offset, length): body[offset : offset + length] for offset, length in extents}
    return {
        key: {name: pieces[extent] for name, extent in kept.extents.items()}
        for key, kept in programs.items()
    }


def _read_program(key: str, kept: HeadProgram, code: Mapping[str, bytes]) -> BundledProgram:
    size = sum(map(len, code.values()))
    if size > MOST_CODE_BYTES:
        raise JsonValueError(f"programs.{key} has {size:,} bytes, and at most {MOST_CODE_BYTES:,}")
    program = OpenProgram(code=code, places=kept.places)
    try:
        check_places(program, len(kept.slots))
    except FillError as error:
        raise JsonValueError(f"programs.{key}: {error}") from None
    return BundledProgram(program=program, slots=kept.slots, shape=kept.shape)
