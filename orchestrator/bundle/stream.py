"""The outer form of a bundle: one xz stream of a line of JSON and of instructions, bounded.

Like a recording of facts, but small: what is larger than any bundle is refused before it takes
memory.
"""

import lzma

from orchestrator.plan.document.source import XZ_MAGIC

__all__ = ["MOST_BYTES", "MOST_FILE_BYTES", "MOST_LINE_BYTES", "StreamError"]
__all__ += ["fold_stream", "is_bundle", "unfold_stream"]

MOST_BYTES = 16 << 20
MOST_LINE_BYTES = 4 << 20  # a thousand programs with their places; as lists, 100 MB in memory
MOST_FILE_BYTES = MOST_BYTES + (64 << 10)  # random bytes grow a little when they are packed

#: lc, lp and pb are the best for instructions of 8 bytes (measured over the shipped plans); the
#: dictionary holds the whole of most bundles, and costs the writer twelve times its size.
_FILTER = {
    "id": lzma.FILTER_LZMA2,
    "preset": 9 | lzma.PRESET_EXTREME,
    "dict_size": 1 << 20,
    "lc": 0,
    "lp": 0,
    "pb": 3,
}
_MOST_MEMORY = 64 << 20


class StreamError(ValueError):
    """These bytes are no such stream; the text says why, after "it"."""


def is_bundle(content: bytes) -> bool:
    """Whether bytes begin as bundles do. Plans are text and never do so."""
    return content.startswith(XZ_MAGIC)


def fold_stream(line: bytes, body: bytes) -> bytes:
    """The stream: the same bytes for the same input, with nothing of the time or the machine."""
    content = line + b"\n" + body
    return lzma.compress(content, check=lzma.CHECK_CRC32, filters=[_FILTER])


def unfold_stream(content: bytes) -> tuple[bytes, bytes]:
    """The line and what follows it. Raises StreamError."""
    if not is_bundle(content):
        raise StreamError("does not begin as an .xz file, which a bundle is")
    if len(content) > MOST_FILE_BYTES:
        raise StreamError(f"has more than {MOST_FILE_BYTES:,} bytes")
    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)
    try:
        text = decompressor.decompress(content, max_length=MOST_BYTES + 1)
    except lzma.LZMAError as error:
        raise StreamError(f"is damaged: {error}") from None
    if len(text) > MOST_BYTES:
        raise StreamError(f"unfolds to more than {MOST_BYTES:,} bytes")
    if not decompressor.eof:
        raise StreamError("is cut short")
    if decompressor.unused_data:
        raise StreamError(f"has {len(decompressor.unused_data):,} bytes after its end")
    line, newline, body = text.partition(b"\n")
    if not newline or len(line) > MOST_LINE_BYTES:
        raise StreamError(f"does not begin with a line of at most {MOST_LINE_BYTES:,} bytes")
    return line, body
