"""What a value of a record is as the text of a cell."""

import json

import pytest

from orchestrator.compile.program import FieldForm, FieldUnit, Presentation, RecordField
from orchestrator.output.fields import ShownField, make_token_renderer, shown_field
from orchestrator.output.rows.values import RowCell, make_cell_renderer, show_logged

HEADER = 32


@pytest.mark.parametrize(
    ("number", "is_null", "cell"),
    [
        (-2, False, RowCell("ENOENT", "failure")),
        (0, False, RowCell("-")),
        (4096, False, RowCell("-")),
        (0, True, RowCell("?", "unknown")),
    ],
)
def test_the_error_of_a_success_is_none_and_not_unknown(
    number: int, is_null: bool, cell: RowCell
) -> None:
    """What could not be read is unknown."""
    error = RecordField(
        name="result_name", form="s64", offset=HEADER, size=8, bit=0,
        presentation=Presentation(form="errno"),
    )  # fmt: skip
    header = bytes(24) + int(is_null).to_bytes(4, "little") + bytes(4)
    record = header + number.to_bytes(8, "little", signed=True)
    assert make_cell_renderer(error)(record) == cell


def make_field(
    form: FieldForm, unit: FieldUnit = "", presentation: Presentation | None = None
) -> RecordField:
    size = 1 if form == "bool" else int(form[1:]) // 8
    return RecordField(
        name="x", form=form, offset=HEADER, size=size, bit=0, presentation=presentation, unit=unit
    )


FIELDS = [
    (make_field("u64", "ns"), 1500, "1.5 µs"),
    (make_field("s64", "bytes"), 8 << 20, "8 MiB"),
    (make_field("u64", "address"), 4096, "0x1000"),
    (make_field("u64", "word"), 1 << 41, "0x20000000000"),
    (make_field("u64", "word"), 4096, "4096"),
    (make_field("u64"), 0xFFFF_8880_0000_0000, "0xffff888000000000"),
    (make_field("u32"), 3_000_000_000, "3000000000"),
    (make_field("s32"), -9, "-9"),
    (make_field("bool"), 1, "true"),
    (make_field("u32", presentation=Presentation(names={2: "NO_SOCKET"})), 2, "NO_SOCKET"),
    (make_field("u32", presentation=Presentation(names={2: "NO_SOCKET"})), 3, "3"),
    (make_field("s64", presentation=Presentation(form="errno")), -2, "ENOENT"),
    (make_field("s64", presentation=Presentation(form="errno")), 5, "-"),
    (make_field("u32", presentation=Presentation(hashed=True, salt=b"salt")), 5, None),
]


@pytest.mark.parametrize(("field", "number", "text"), FIELDS)
def test_a_value_of_the_log_is_shown_as_on_a_terminal(
    field: RecordField, number: int, text: str | None
) -> None:
    raw = number.to_bytes(field.size, "little", signed=number < 0)
    cell = make_cell_renderer(field)(bytes(HEADER) + raw)
    logged = json.loads(make_token_renderer(field)(raw))
    assert show_logged(shown_field(field), logged) == cell
    assert cell.text == (text or logged)


def test_a_truncated_value_of_the_log_is_marked() -> None:
    assert show_logged(ShownField("string"), "/etc/pas", is_cut=True).text == "/etc/pas…"


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"id": "4f797c539e6c745d", "runtime": "docker", "name": "web", "pod": None,
          "name_from": "runtime"}, "web (4f797c539e6c)"),
        ({"id": "4f797c539e6c745d", "runtime": "containerd", "name": "web", "pod": "shop/web-0",
          "name_from": "runtime"}, "shop/web-0/web (4f797c539e6c)"),
        ({"id": "4f797c539e6c745d", "runtime": "docker", "name": None, "pod": None,
          "name_from": None}, "docker 4f797c539e6c"),
        ({"id": "4f797c539e6c745d", "runtime": "podman", "name": "web", "pod": None,
          "name_from": "user"}, "web (4f797c539e6c) of a user"),
        ({"id": "machine", "runtime": "lxc", "name": "machine", "pod": None,
          "name_from": "cgroup"}, "lxc machine"),
    ],
)  # fmt: skip
def test_a_container_of_the_log_is_shown_by_its_name(
    facts: dict[str, str | None], text: str
) -> None:
    container = ShownField("u64", "", "container")
    assert show_logged(container, facts).text == text
    assert show_logged(container, None).text == "-"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.5, "2.5"),
        ([1, "read"], "1 < read"),
        ({"id": 5, "name": ["x"]}, "['x'] (5)"),
        ("\x1b[31m", "\\x1b[31m"),
        (None, "?"),
    ],
)
def test_a_value_that_no_run_writes_is_shown_as_text(value: object, text: str) -> None:
    assert show_logged(ShownField("", "later", "later"), value).text == text
