"""Kernel strings as text, without losing a byte.

The kernel returns bytes: file names, comm and user memory may hold anything but NUL. In our output
valid UTF-8 is unchanged, a backslash is doubled, and each byte that is not part of valid UTF-8
becomes `\\xNN`. So distinct byte strings give distinct texts, and `kernel_from_text` returns the
original bytes.
"""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["dump_json", "kernel_from_text", "text_from_bytes", "text_from_kernel"]

#: In UTF-8: DEL and C1, and what hides or reorders text, all of which a terminal obeys.
_OBEYED = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xc2\xad|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]"
    rb"|\xef\xbb\xbf"
)


#: Bytes that are not UTF-8, as Python has them in arguments and file names (PEP 383).
_UNDECODED = re.compile("[\ud800-\udfff]")


def dump_json(value: Any, *, indented: bool = False) -> bytes:
    """`value` as JSON that a terminal shows and does not obey: names of tasks and files may have
    control characters, which JSON permits unescaped above U+001F. It means the same. A byte of a
    command or a file name that is not UTF-8 becomes `\\xNN`. `indented` as for `encode_json`."""
    from orchestrator.output.json_codec import encode_json  # what starts needs no JSON yet

    try:
        text = encode_json(value, indented=indented)
    except TypeError:  # rare: looking at every string first would cost each record
        text = encode_json(_escape_undecoded(value), indented=indented)
    return _OBEYED.sub(_escape_character, text) if not text.isascii() or b"\x7f" in text else text


def _escape_undecoded(value: Any) -> Any:
    if isinstance(value, str):
        return _UNDECODED.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", value)
    if isinstance(value, Mapping):
        return {_escape_undecoded(key): _escape_undecoded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_escape_undecoded(part) for part in value]
    return value


def _escape_character(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def text_from_kernel(raw: bytes) -> str:
    """The text of a kernel string: `raw` up to its first NUL, escaped so that nothing is lost."""
    return text_from_bytes(raw.partition(b"\0")[0])


def text_from_bytes(raw: bytes) -> str:
    """The text of any bytes, escaped in the same way; a NUL is `\\x00`."""
    text = raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return text.replace("\0", "\\x00")


def kernel_from_text(text: str) -> bytes:
    """The bytes that `text_from_kernel` made `text` of (without the NUL)."""

    def byte(match: re.Match[bytes]) -> bytes:
        return bytes.fromhex(match[1].decode()) if match[1] else b"\\"

    return _ESCAPE.sub(byte, text.encode())
