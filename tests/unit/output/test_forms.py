"""What numbers and bytes stand for: flags, symbols, devices, digests."""

from pathlib import Path

import pytest

from orchestrator.compile.program import FieldForm, KeyField, Presentation
from orchestrator.kernel.abi.devices import device_name
from orchestrator.output.fields import (
    bound_token_size,
    decode_field,
    is_number,
    make_token_renderer,
)


def field(form: FieldForm, size: int, /, **shown: object) -> KeyField:
    """A part of a key that is shown so."""
    return KeyField(
        name="x",
        form=form,
        offset=0,
        size=size,
        presentation=Presentation(**shown),  # type: ignore[arg-type]  # as the tests say
    )


@pytest.mark.parametrize(
    ("prefix", "number", "text"),
    [
        ("O_", 0, "O_RDONLY"),
        ("O_", 0x80442, "O_RDWR|O_CREAT|O_APPEND|O_CLOEXEC"),
        ("MAP_", 0x22, "MAP_PRIVATE|MAP_ANONYMOUS"),
        ("PROT_", 0, "0"),
        ("PROT_", 0x10000005, "PROT_READ|PROT_EXEC|0x10000000"),
    ],
)
def test_flags_are_told_by_name_and_the_rest_as_a_number(
    prefix: str, number: int, text: str
) -> None:
    """None of them is `0`."""
    flags = field("s32", 4, form="flags", prefix=prefix)
    assert decode_field(flags, number.to_bytes(4, "little")) == text
    assert not is_number(flags)
    assert len(make_token_renderer(flags)(number.to_bytes(4, "little"))) <= bound_token_size(flags)


def test_a_device_is_told_by_the_name_that_sysfs_links_to(tmp_path: Path) -> None:
    """Slashes stand as `!` there; a device that is gone is MAJOR:MINOR."""
    (tmp_path / "8:1").symlink_to("../../devices/pci/block/sda/sda1")
    (tmp_path / "104:0").symlink_to("../../devices/pci/block/cciss!c0d0")
    assert device_name(8 << 20 | 1, tmp_path) == "sda1"
    assert device_name(104 << 20, tmp_path) == "cciss/c0d0"
    assert device_name(7 << 20 | 1048575, tmp_path) == "7:1048575"


def test_equal_values_of_one_run_have_equal_digests_whatever_their_form() -> None:
    """What is behind the used bytes does not count; another salt gives another digest."""
    text = field("string", 8, hashed=True, salt=b"s")
    assert decode_field(text, b"ab\0xyz..") == decode_field(text, b"ab\0.....")
    listed = field("strings", 12, hashed=True, salt=b"s")
    assert decode_field(listed, b"\2\0\0\0a\0xxxxxx") == decode_field(listed, b"\2\0\0\0a\0......")
    number = field("u32", 4, hashed=True, salt=b"s")
    assert decode_field(number, b"1234") != decode_field(number, b"1235")
    assert decode_field(number, b"1234") != decode_field(
        field("u32", 4, hashed=True, salt=b"t"), b"1234"
    )
    assert not is_number(number)
