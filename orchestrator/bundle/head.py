"""The head of a bundle as JSON: everything in it but the instructions, whose extents it has.

Both directions are here, so that they agree. Reading checks the type and range of every value.
"""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.backends.bcc.compiler.places import OpenPlace
from orchestrator.bundle.json_values import JsonValue
from orchestrator.bundle.model import BUNDLE_FORMAT, Bundle, MatrixRow, Settings
from orchestrator.values import dataclass

__all__ = ["Head", "HeadProgram", "decode_head", "encode_head"]

_MOST_SETTINGS = 10_000
#: Texts of a plan that are no UTF-8 are kept as what Python makes of such file names.
_ENCODING = ("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadProgram:
    """A program without its instructions: `extents` are offset and length in bytes, by function;
    `sha256`: the digest of the instructions, function after function."""

    extents: Mapping[str, tuple[int, int]]
    places: tuple[OpenPlace, ...]
    slots: tuple[str, ...]
    shape: Mapping[str, str]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a bundle's head says; `bundle` has no programs. `plan_sha256`: the digest of the plan's
    text."""

    bundle: Bundle
    plan_sha256: str
    programs: Mapping[str, HeadProgram]


def encode_head(head: Head) -> dict[str, object]:
    """The head as plain data, which `decode_head` reads."""
    bundle = head.bundle
    return {
        "format": BUNDLE_FORMAT,
        "created": bundle.created,
        "expires": bundle.expires,
        "builder": bundle.builder,
        "compiler": bundle.compiler,
        "arch": bundle.arch,
        "plan": {
            "name": bundle.plan_name,
            "file": bundle.plan_file,
            "sha256": head.plan_sha256,
            "text": bundle.plan_text.decode(*_ENCODING),
        },
        "settings": [_encode_settings(settings) for settings in bundle.settings],
        "matrix": [_encode_row(row, bundle.settings) for row in bundle.matrix],
        "programs": {key: _encode_program(kept) for key, kept in head.programs.items()},
    }


def decode_head(data: object) -> Head:
    """The head from parsed JSON. Raises JsonValueError."""
    fields = JsonValue(data).take_record(
        "format", "created", "expires", "builder", "compiler", "arch", "plan", "settings", "matrix",
        "programs",
    )  # fmt: skip
    plan = fields["plan"].take_record("name", "file", "sha256", "text")
    settings = tuple(_decode_settings(field) for field in fields["settings"].take_list())
    programs = fields["programs"].take_mapping()
    bundle = Bundle(
        created=fields["created"].take_number(),
        expires=fields["expires"].take_optional(JsonValue.take_number),
        builder=fields["builder"].take_text(),
        compiler=fields["compiler"].take_text(),
        arch=fields["arch"].take_text(),
        plan_name=plan["name"].take_text(),
        plan_file=plan["file"].take_text(),
        plan_text=_decode_plan(plan["text"]),
        settings=settings,
        matrix=tuple(
            _decode_row(field, settings, programs) for field in fields["matrix"].take_list()
        ),
        programs={},
    )
    return Head(
        bundle=bundle,
        plan_sha256=plan["sha256"].take_text(),
        programs={key: _decode_program(field) for key, field in programs.items()},
    )


def _decode_plan(field: JsonValue) -> bytes:
    try:
        return field.take_text().encode(*_ENCODING)
    except UnicodeEncodeError:
        raise field.misfit("the text of a file") from None


# ---------------------------------------------------------------- settings and matrix


def _encode_settings(settings: Settings) -> dict[str, object]:
    added = {"additions": dict(settings.additions)} if settings.additions else {}
    return {
        "params": dict(settings.params),
        "target": dict(settings.target),
        **added,
        "command": settings.command,
    }


def _decode_settings(field: JsonValue) -> Settings:
    added = ("additions",) if "additions" in field.take_mapping() else ()
    fields = field.take_record("params", "target", *added, "command")
    return Settings(
        additions=fields["additions"].take_texts() if added else {},
        params=fields["params"].take_texts(),
        target=fields["target"].take_texts(),
        command=fields["command"].take_flag(),
    )


def _encode_row(row: MatrixRow, settings: Sequence[Settings]) -> dict[str, object]:
    """The row, its settings by their place among those of the bundle."""
    return {
        "kernel": row.kernel,
        "release": row.release,
        "arch": row.arch,
        "build_id": row.build_id,
        "trimmed": row.trimmed,
        "settings": settings.index(row.settings),
        "fetching": row.fetching,
        "trampolines": row.trampolines,
        "backend": row.backend,
        "key": row.key,
        "mechanisms": dict(row.mechanisms),
        "alternatives": dict(row.alternatives),
        "skipped": dict(row.skipped),
        "memory": row.memory,
        "reasons": list(row.reasons),
    }


def _decode_row(
    field: JsonValue, settings: Sequence[Settings], programs: Mapping[str, JsonValue]
) -> MatrixRow:
    fields = field.take_record(
        "kernel", "release", "arch", "build_id", "trimmed", "settings", "fetching", "trampolines",
        "backend", "key", "mechanisms", "alternatives", "skipped", "memory", "reasons",
    )  # fmt: skip
    key = fields["key"].take_optional(JsonValue.take_text)
    if key is not None and key not in programs:
        raise fields["key"].misfit("the key of one of the programs")
    number = fields["settings"].take_number(_MOST_SETTINGS)
    if number >= len(settings):
        raise fields["settings"].misfit(f"the number of one of {len(settings)} settings")
    return MatrixRow(
        kernel=fields["kernel"].take_text(),
        release=fields["release"].take_text(),
        arch=fields["arch"].take_text(),
        build_id=fields["build_id"].take_optional(JsonValue.take_text),
        trimmed=fields["trimmed"].take_optional(JsonValue.take_flag),
        settings=settings[number],
        fetching=fields["fetching"].take_word("as recorded", "none", "added"),
        trampolines=fields["trampolines"].take_word("as recorded", "none"),
        backend=fields["backend"].take_optional(JsonValue.take_text),
        key=key,
        mechanisms=fields["mechanisms"].take_texts(),
        alternatives=fields["alternatives"].take_texts(),
        skipped=fields["skipped"].take_texts(),
        memory=fields["memory"].take_optional(JsonValue.take_number),
        reasons=tuple(reason.take_text() for reason in fields["reasons"].take_list()),
    )


# ---------------------------------------------------------------- programs


def _encode_program(program: HeadProgram) -> dict[str, object]:
    places: dict[str, list[list[object]]] = {}
    for place in program.places:
        row: list[object] = [place.instruction, place.form, place.slot]
        places.setdefault(place.function, []).append(row)
    return {
        "functions": {name: list(extent) for name, extent in program.extents.items()},
        "places": places,
        "slots": list(program.slots),
        "shape": dict(program.shape),
        "sha256": program.sha256,
    }


def _decode_program(field: JsonValue) -> HeadProgram:
    fields = field.take_record("functions", "places", "slots", "shape", "sha256")
    functions = fields["functions"].take_mapping()
    return HeadProgram(
        extents={name: _decode_extent(extent) for name, extent in functions.items()},
        places=tuple(_decode_places(fields["places"])),
        slots=tuple(slot.take_text() for slot in fields["slots"].take_list()),
        shape=fields["shape"].take_texts(),
        sha256=fields["sha256"].take_text(),
    )


def _decode_extent(field: JsonValue) -> tuple[int, int]:
    numbers = [number.take_number() for number in field.take_list()]
    if len(numbers) != 2:
        raise field.misfit("an offset and a length")
    return numbers[0], numbers[1]


def _decode_places(field: JsonValue) -> Iterator[OpenPlace]:
    """The places of all functions: of thousands of rows, no JsonValue is made for each number."""
    for name, rows in field.take_mapping().items():
        for row in rows.take_list():
            match row.value:
                case [instruction, "add" | "wide" | "record" as form, slot] if (
                    type(instruction) is int and type(slot) is int
                ):
                    yield OpenPlace(function=name, instruction=instruction, form=form, slot=slot)
                case _:
                    raise row.misfit("an instruction, a form and a slot")
