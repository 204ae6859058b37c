"""Files of bundles: the same bytes each time, read as they were written, and otherwise refused
with one finding."""

import hashlib
import lzma
import re
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.backends.bcc.compiler.places import OpenPlace, OpenProgram
from orchestrator.bundle import file
from orchestrator.bundle.file import is_bundle, read_bundle, write_bundle
from orchestrator.bundle.model import Bundle, BundledProgram, Settings
from orchestrator.plan.findings import Finding, PlanError
from tests.support.bundles import (
    KEYS,
    fold_all,
    fold_parts,
    make_bundle,
    make_code,
    make_row,
    rewrite_bundle,
    unfold_all,
    unfold_parts,
)

CONTENT = write_bundle(make_bundle())
A, B = KEYS
Change = Callable[[dict[str, Any]], object]


def refuse(content: bytes, **given: Any) -> Finding:
    """The one finding for which the bytes are refused."""
    with pytest.raises(PlanError) as refused:
        read_bundle(content, "some.ppb", **given)
    [finding] = refused.value.findings
    assert finding.position.file == "some.ppb"
    assert finding.hint
    return finding


def damaged(content: bytes) -> str:
    """Why the bytes are no bundle."""
    finding = refuse(content)
    assert finding.code == "PP240"
    return finding.message


# ---------------------------------------------------------------- right ones


def test_a_bundle_is_read_as_it_was_written() -> None:
    assert read_bundle(CONTENT, "some.ppb") == make_bundle()


def test_the_same_bundle_gives_the_same_bytes() -> None:
    """In whatever order its programs, functions and places were made."""
    bundle = make_bundle()
    programs = {
        key: BundledProgram(
            program=OpenProgram(
                code=dict(reversed(list(kept.program.code.items()))),
                places=tuple(reversed(kept.program.places)),
            ),
            slots=kept.slots,
            shape=dict(reversed(list(kept.shape.items()))),
        )
        for key, kept in reversed(list(bundle.programs.items()))
    }
    assert write_bundle(make_bundle(programs=programs)) == CONTENT


def test_the_first_bytes_distinguish_bundles_from_plans() -> None:
    assert is_bundle(CONTENT)
    assert not is_bundle(make_bundle().plan_text)
    assert not is_bundle(b"")


def test_a_function_that_two_programs_have_is_kept_once() -> None:
    head, body = unfold_parts(CONTENT)
    first, second = (head["programs"][key]["functions"] for key in KEYS)
    assert first["leave"] == second["leave"] == [40, 16]
    assert len(body) == 56


def test_a_plan_that_is_no_text_is_kept_to_the_byte() -> None:
    """Whether it is one is judged where it is parsed."""
    bundle = make_bundle(plan_text=b"\xff\xfe# \xc3\xa4 \xed\xa0\x80\r\n\0")
    assert read_bundle(write_bundle(bundle), "some.ppb") == bundle


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
tables = st.dictionaries(texts, texts, max_size=2)
given_settings = st.builds(Settings, params=tables, target=tables, command=st.booleans())


@st.composite
def bundled_programs(draw: st.DrawFn) -> BundledProgram:
    """A program of up to three functions, with places at some of its instructions."""
    slots = draw(st.lists(texts, min_size=1, max_size=4))
    code: dict[str, bytes] = {}
    places: list[OpenPlace] = []
    forms = {"add": (0x07,), "wide": (0x18, 0), "record": (0x79,), "none": (0xB7,)}
    for name in sorted(draw(st.sets(texts, max_size=3))):
        opcodes: list[int] = []
        for form in draw(st.lists(st.sampled_from(sorted(forms)), max_size=5)):
            if form != "none" and draw(st.booleans()):
                slot = draw(st.integers(0, len(slots) - 1))
                at = len(opcodes)
                places.append(OpenPlace(function=name, instruction=at, form=form, slot=slot))  # type: ignore[arg-type]  # one of them
            opcodes += forms[form]
        registers, immediate = draw(st.integers(0, 255)), draw(st.integers(-(2**31), 2**31 - 1))
        code[name] = make_code(*opcodes) + struct.pack("=BBhi", 0x95, registers, 0, immediate)
    program = OpenProgram(code=code, places=tuple(places))
    return BundledProgram(program=program, slots=tuple(slots), shape=draw(tables))


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    keys = st.text("0123456789abcdef", min_size=4, max_size=4)
    programs = draw(st.dictionaries(keys, bundled_programs(), max_size=3))
    some_settings = draw(st.lists(given_settings, min_size=1, max_size=2, unique_by=repr))
    rows = [
        make_row(
            settings=draw(st.sampled_from(some_settings)),
            key=draw(st.none() | st.sampled_from(sorted(programs))) if programs else None,
            build_id=draw(st.none() | texts),
            trimmed=draw(st.none() | st.booleans()),
            backend=draw(st.none() | texts),
            mechanisms=draw(tables),
            memory=draw(st.none() | st.integers(0, 2**40)),
            reasons=tuple(draw(st.lists(texts, max_size=2))),
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    return make_bundle(
        created=draw(st.integers(0, 2**40)),
        expires=draw(st.none() | st.integers(0, 2**40)),
        plan_name=draw(texts),
        plan_text=draw(st.binary(max_size=20)),
        settings=tuple(some_settings),
        matrix=tuple(rows),
        programs=programs,
    )


@settings(max_examples=60, deadline=None)
@given(bundles())
def test_any_bundle_is_read_as_it_was_written(bundle: Bundle) -> None:
    content = write_bundle(bundle)
    again = read_bundle(content, "some.ppb")
    assert again == bundle
    assert write_bundle(again) == content


# ---------------------------------------------------------------- damaged ones


@pytest.mark.parametrize("kept", [0, 3, 6, 40, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_truncated_bundle_is_refused(kept: int) -> None:
    assert re.search("cut short|does not begin as an .xz file", damaged(CONTENT[:kept]))


def test_other_files_are_refused() -> None:
    assert "does not begin as an .xz file" in damaged(b"apiVersion: probeplan/v1\n")
    assert "does not begin with a line" in damaged(fold_all(b"text"))
    assert "not JSON" in damaged(fold_all(b"text\n"))
    assert "its format is 'None'" in damaged(fold_all(b"[]\n"))
    facts = fold_all(b'{"format":"probeplan-facts/1"}\n')
    assert "its format is 'probeplan-facts/1', and not 'probeplan-bundle/1'" in damaged(facts)


def test_a_decompression_bomb_is_refused() -> None:
    """Before it has taken more than a bundle may: 17 MiB are 3 KB here."""
    bomb = lzma.compress(bytes(17 << 20), preset=0)
    assert len(bomb) < 20_000
    assert "unfolds to more than 16,777,216 bytes" in damaged(bomb)
    hungry = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 256 << 20}]
    assert "damaged" in damaged(lzma.compress(b"\n", filters=hungry))


def test_a_file_larger_than_any_bundle_is_not_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.bundle.stream.MOST_FILE_BYTES", len(CONTENT) - 1)
    assert "has more than" in damaged(CONTENT)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b'{"format":' * 100_000,
        b"1" * 100_000,
        b'{"format":"probeplan-bundle/1","created":' + b"9" * 5_000 + b"}",
        b'{"format":"probeplan-bundle/1"',
        b'"' + b"\xff" * 100,
        b"{" + b'"":0,' * 500_000 + b'"":0}',
    ],
    ids=["nested", "objects", "number", "large number", "open", "bytes", "many"],
)
def test_json_without_end_is_refused(text: bytes) -> None:
    damaged(fold_all(text + b"\n"))


def test_a_line_without_end_is_not_parsed() -> None:
    line = b'"' + b"x" * (4 << 20) + b'"\n'
    assert "does not begin with a line of at most 4,194,304 bytes" in damaged(fold_all(line))


def test_bytes_after_the_end_are_refused() -> None:
    assert "has 1 bytes after its end" in damaged(CONTENT + b"\n")
    assert "after its end" in damaged(CONTENT + CONTENT)
    more = rewrite_bundle(lambda _head: None, body=bytes(8))
    assert "there are 64 bytes of instructions, and 56 are listed" in damaged(more)


def _set(*path: Any, to: Any) -> Change:
    def change(head: Any) -> None:
        for name in path[:-1]:
            head = head[name]
        head[path[-1]] = to

    return change


def _remove(*path: Any) -> Change:
    def change(head: Any) -> None:
        for name in path[:-1]:
            head = head[name]
        del head[path[-1]]

    return change


ENTER, EXTENT = ("programs", A, "places", "enter"), ("programs", A, "functions", "enter")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_set(*ENTER, 0, to=[5, "add", 0]), "'enter' has no instruction 5"),
        (_set(*ENTER, 0, to=[-1, "add", 0]), "'enter' has no instruction -1"),
        (_set(*ENTER, 0, to=[10**30, "add", 0]), "'enter' has no instruction 10{30}"),
        (_set(*ENTER, 0, to=[4, "wide", 0]), "'enter' has no instruction 4"),
        (_set(*ENTER, 0, to=[1, "add", 0]), "instruction 1 of 'enter' has opcode 0x18, and is not"),
        (_set(*ENTER, 0, to=[0, "record", 0]), "has opcode 0x7, and is not of the form 'record'"),
        (_set(*ENTER, 0, to=[0, "add", 3]), "slot 3 has no name; there are 3"),
        (_set(*ENTER, 0, to=[0, "add", -1]), "slot -1 has no name"),
        (_set(*ENTER, 0, to=[1, "wide", 0]), "instruction 1 of 'enter' has two places"),
        (_set("programs", A, "slots", to=[]), "slot 0 has no name; there are 0"),
        (_set("programs", A, "places", to={"enters": [[0, "add", 0]]}), "no function 'enters'"),
        (_set(*ENTER, 0, to=[0, "sub", 0]), "not an instruction, a form and a slot"),
        (_set(*ENTER, 0, to=[True, "add", 0]), "not an instruction, a form and a slot"),
        (_set(*ENTER, 0, to=[0, "add"]), "not an instruction, a form and a slot"),
        (_set(*ENTER, to={}), "places.enter is an object, not a list"),
        (_set(*EXTENT, to=[0, 48]), "there is no function at"),
        (_set(*EXTENT, to=[8, 32]), "there is no function at 8 with 32 bytes"),
        (_set(*EXTENT, to=[0, 36]), "there is no function at 0 with 36 bytes"),
        (_set(*EXTENT, to=[0, 0]), "there is no function at 0 with 0 bytes"),
        (_set(*EXTENT, to=[0]), "not an offset and a length"),
        (_set(*EXTENT, to=[0, 40.0]), "is 40.0, not a whole number"),
        (_remove(*EXTENT), "there is no function at 40"),
        (_remove("created"), "the head lacks 'created'"),
        (_set("colour", to=1), "the head has an unknown 'colour'"),
        (_set("created", to="now"), "created is 'now', not a whole number"),
        (_set("created", to=-1), "created is -1, not a whole number"),
        (_set("created", to=True), "created is True, not a whole number"),
        (_set("expires", to=float("nan")), "expires is nan, not a whole number"),
        (_set("arch", to=None), "arch is None, not a text"),
        (_set("plan", to="x" * 500), r"plan is 'x{119}…, not an object"),
        (_set("plan", "text", to="\ud800"), "not the text of a file"),
        (_set("plan", "sha256", to=1), "plan.sha256 is 1, not a text"),
        (_set("settings", 0, "command", to=1), "settings.0.command is 1, not true or false"),
        (_set("settings", 0, "params", to={"a": 1}), "settings.0.params.a is 1, not a text"),
        (_set("matrix", to={}), "matrix is an object, not a list"),
        (_set("matrix", 0, "settings", to=2), "not the number of one of 2 settings"),
        (_set("matrix", 0, "key", to="c" * 64), "not the key of one of the programs"),
        (_set("matrix", 0, "fetching", to="some"), "one of as recorded, none, added"),
        (_set("matrix", 0, "memory", to=1 << 63), "matrix.0.memory is"),
        (_set("matrix", 0, "reasons", to=[[]]), "matrix.0.reasons.0 is a list, not a text"),
        (_remove("matrix", 0, "build_id"), "matrix.0 lacks 'build_id'"),
    ],
)  # fmt: skip
def test_what_does_not_belong_there_is_refused_by_its_place(change: Change, why: str) -> None:
    """Also with digests that are right: nothing of such a bundle is loaded."""
    assert re.search(why, damaged(rewrite_bundle(change)))


def test_too_many_programs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """When they are read, and before, when they are written."""
    monkeypatch.setattr(file, "MOST_PROGRAMS", 1)
    assert "there are 2 programs, and at most 1" in damaged(CONTENT)
    with pytest.raises(PlanError, match="would have 2 programs, and at most 1 are read again"):
        write_bundle(make_bundle())


def test_too_long_a_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "MOST_CODE_BYTES", 48)
    assert f"programs.{A} has 56 bytes, and at most 48" in damaged(CONTENT)
    with pytest.raises(PlanError, match="would have 56 bytes of instructions in one program"):
        write_bundle(make_bundle())


# ---------------------------------------------------------------- changed ones


def test_a_changed_part_is_named() -> None:
    """The plan, one of the programs, or the rest: each has a digest."""
    for old, new, part in (
        (b"next_comm", b"prev_comm", "the plan"),
        (make_code(0x61, 0x95), make_code(0x61, 0xB7), f"the program {A}"),
        (b"perf tracepoint", b"raw  tracepoint", "the head"),
        (b'"created":179', b'"created":178', "the head"),
        (b'[3,"record",2]', b'[3,"record",1]', "the head"),
    ):
        plain = unfold_all(CONTENT)
        assert old in plain
        finding = refuse(fold_all(plain.replace(old, new)))
        assert finding.code == "PP241"
        assert f"the digest of {part} does not match" in finding.message


def test_a_changed_byte_of_the_file_is_noticed() -> None:
    """xz has checksums itself; a byte of padding or size is no exception."""
    for at in range(len(CONTENT)):
        changed = bytearray(CONTENT)
        changed[at] ^= 0x10
        assert refuse(bytes(changed)).code == "PP240"


def test_a_changed_byte_of_the_content_is_noticed() -> None:
    """All bytes of the head and the instructions count: each change, packed again, is refused."""
    plain = unfold_all(CONTENT)
    for at in range(len(plain)):
        changed = bytearray(plain)
        changed[at] ^= 1 + at % 127
        finding = refuse(fold_all(bytes(changed)))
        assert finding.code in {"PP240", "PP241"}, at


# ---------------------------------------------------------------- newer ones


def test_a_bundle_of_a_newer_form_is_refused_with_both_releases() -> None:
    content = fold_all(b'{"format":"probeplan-bundle/2","builder":"0.9.0"}\n')
    finding = refuse(content, release="0.1.0")
    assert finding.code == "PP242"
    assert "built by probeplan 0.9.0 as probeplan-bundle/2, and this is 0.1.0" in finding.message
    assert "install probeplan 0.9.0 here" in finding.hint
    assert refuse(content).code == "PP242"


def test_a_bundle_of_a_newer_release_is_refused_with_both_releases() -> None:
    content = write_bundle(make_bundle(builder="0.2.0"))
    finding = refuse(content, release="0.1.0")
    assert finding.code == "PP242"
    assert "built by probeplan 0.2.0" in finding.message
    assert "this is 0.1.0" in finding.message


@pytest.mark.parametrize("release", ["0.1.0", "0.1", "0.1.1", "1.0.0", "unknown", None])
def test_bundles_of_this_and_of_older_releases_are_read(release: str | None) -> None:
    assert read_bundle(CONTENT, "some.ppb", release=release) == make_bundle()


def test_the_digest_of_a_program_is_that_of_its_instructions() -> None:
    """As docs/bundles.md says: function after function, in the order of their names."""
    head, body = unfold_parts(CONTENT)
    for kept in head["programs"].values():
        extents = [extent for _, extent in sorted(kept["functions"].items())]
        code = b"".join(body[offset : offset + length] for offset, length in extents)
        assert hashlib.sha256(code).hexdigest() == kept["sha256"]
    assert fold_parts(head, body) == CONTENT
