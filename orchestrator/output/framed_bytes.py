"""Bytes as lines of text with a digest, found again in whatever else a serial line has carried."""

import base64
import binascii
import hashlib
import re
import zlib

__all__ = ["find_framed", "frame_bytes"]

_FRAME = re.compile(rb"probeplan-result ([0-9a-f]{64})\n([A-Za-z0-9+/=\n]*)\nprobeplan-end\n")
_MOST_BYTES = 256 << 20


def frame_bytes(data: bytes) -> bytes:
    """The lines, compressed."""
    text = base64.encodebytes(zlib.compress(data, 1))
    digest = hashlib.sha256(data).hexdigest().encode()
    return b"probeplan-result " + digest + b"\n" + text.rstrip() + b"\nprobeplan-end\n"


def find_framed(carried: bytes) -> bytes | None:
    """What was framed; None where there is no frame, or a damaged one. Line ends may be those of a
    terminal."""
    found = _FRAME.search(carried.replace(b"\r", b""))
    if found is None:
        return None
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(found[2]), _MOST_BYTES)
    except (binascii.Error, zlib.error):
        return None
    return data if hashlib.sha256(data).hexdigest().encode() == found[1] else None
