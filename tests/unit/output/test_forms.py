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


MAPPED = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])
V4, V6 = (4).to_bytes(4, "little"), (6).to_bytes(4, "little")
INET, INET6 = b"\x02\0\x50\0", b"\x0a\0\x50\0"  # the family, port 80


@pytest.mark.parametrize(
    ("form", "raw", "text"),
    [
        ("ip", V6 + MAPPED, "192.0.2.1"),
        ("ip", V4 + bytes([192, 0, 2, 1]) + bytes(12), "192.0.2.1"),
        ("ipv6", MAPPED, "192.0.2.1"),
        ("endpoint", INET6 + MAPPED, "192.0.2.1:80"),
        ("endpoint", INET + bytes([192, 0, 2, 1]) + bytes(12), "192.0.2.1:80"),
        ("ip", V6 + bytes(15) + b"\1", "::1"),
        ("ipv6", bytes(8) + b"\xff\xff\0\0\0\0\0\1", "::ffff:0:0:1"),
        ("ipv6", bytes(12) + bytes([192, 0, 2, 1]), "::192.0.2.1"),
        ("endpoint", INET6 + bytes(15) + b"\1", "[::1]:80"),
    ],
)
def test_an_ipv4_address_in_an_ipv6_socket_is_shown_as_ipv4_and_nothing_else_is(
    form: FieldForm, raw: bytes, text: str
) -> None:
    """One address is one text, however the socket was opened; look-alikes stay IPv6."""
    shown = field(form, len(raw))
    assert decode_field(shown, raw) == text
    assert len(make_token_renderer(shown)(raw)) <= max(bound_token_size(shown), 48)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (3, "A"), (7, "A|B"), (4, "B"), (1, "0x1"), (13, "B|0x9")],
)
def test_bits_are_named_as_the_kernel_prints_them(number: int, text: str) -> None:
    """Masks of several bits, in the order of the table; what is left as a number."""
    bits = field("u32", 4, names={3: "A", 4: "B"}, form="bits")
    assert decode_field(bits, number.to_bytes(4, "little")) == text
    assert len(make_token_renderer(bits)(number.to_bytes(4, "little"))) <= bound_token_size(bits)


@pytest.mark.parametrize(("number", "value"), [(1, "one"), (2, "rest")])
def test_numbers_without_a_name_have_that_of_the_rest(number: int, value: str) -> None:
    named = field("u16", 2, names={1: "one"}, otherwise="rest")
    assert decode_field(named, number.to_bytes(2, "little")) == value
    assert not is_number(named)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (-2, "ENOENT"),
        (-512, "ERESTARTSYS"),
        (-599, "errno 599"),
        (0, None),
        (5, None),
        (-4096, None),
    ],
)
def test_a_field_of_an_error_is_a_name_or_null_and_never_a_number(
    number: int, name: str | None
) -> None:
    """A column of one type: the number itself is another field."""
    error = field("s64", 8, form="errno")
    raw = number.to_bytes(8, "little", signed=True)
    assert decode_field(error, raw) == name
    assert make_token_renderer(error)(raw) == (b"null" if name is None else f'"{name}"'.encode())
    assert not is_number(error)
