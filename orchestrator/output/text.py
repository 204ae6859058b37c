"""Kernel strings as text, without losing a byte.

The kernel returns bytes: file names, comm and user memory may hold anything but NUL. In our output
valid UTF-8 is unchanged, a backslash is doubled, and each byte that is not part of valid UTF-8
becomes `\\xNN`. So distinct byte strings give distinct texts, and `kernel_from_text` returns the
original bytes.
"""

import re

__all__ = ["kernel_from_text", "text_from_kernel"]

_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def text_from_kernel(raw: bytes) -> str:
    """The text of a kernel string: `raw` up to its first NUL, escaped so that nothing is lost."""
    return raw.partition(b"\0")[0].replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def kernel_from_text(text: str) -> bytes:
    """The bytes that `text_from_kernel` made `text` of (without the NUL)."""

    def byte(match: re.Match[bytes]) -> bytes:
        return bytes.fromhex(match[1].decode()) if match[1] else b"\\"

    return _ESCAPE.sub(byte, text.encode())
