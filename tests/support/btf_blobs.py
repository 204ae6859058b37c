"""BTF made by hand, record by record, as Documentation/bpf/btf.rst lays it out."""

import struct

from orchestrator.kernel.btf import Btf

INT, PTR, ARRAY, STRUCT, UNION, ENUM, TYPEDEF, CONST = 1, 2, 3, 4, 5, 6, 8, 10
FUNC, FUNC_PROTO, TYPE_TAG, ENUM64 = 12, 13, 18, 19


class Blob:
    """Collects records; each `add` returns the new type's id. With a `base` it is a module's split
    BTF, whose ids and strings continue those of the base."""

    def __init__(self, base: "Blob | None" = None) -> None:
        self.types, self.strings = b"", b"\0"
        self.count: int = base.count if base else 0
        self._strings_before: int = len(base.strings) if base else 0

    def name(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return self._strings_before + len(self.strings) - len(text) - 1

    def add(
        self, kind: int, name: str, third: int, *extra: int, vlen: int = 0, flag: int = 0
    ) -> int:
        info = flag << 31 | kind << 24 | vlen
        self.types += struct.pack("<III", self.name(name), info, third)
        self.types += b"".join(struct.pack("<I", word & 0xFFFFFFFF) for word in extra)
        self.count += 1
        return self.count

    def struct_(self, name: str, size: int, *members: tuple[str, int, int], flag: int = 0) -> int:
        words = [w for n, t, offset in members for w in (self.name(n), t, offset)]
        return self.add(STRUCT, name, size, *words, vlen=len(members), flag=flag)

    def proto(self, returns: int, *params: tuple[str, int]) -> int:
        words = [w for n, t in params for w in (self.name(n), t)]
        return self.add(FUNC_PROTO, "", returns, *words, vlen=len(params))

    def bytes(self) -> bytes:
        sizes = (0, len(self.types), len(self.types), len(self.strings))
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, *sizes) + self.types + self.strings

    def btf(self) -> Btf:
        return Btf.from_bytes(self.bytes())
