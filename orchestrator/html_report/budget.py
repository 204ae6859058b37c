"""How much of a result a page takes: beyond it, the rest is counted and said."""

from typing import Any

from orchestrator.output.json_codec import encode_json

__all__ = ["Budget"]


class Budget:
    """Bytes of JSON that are left. Values are taken until one does not fit; the page says how many
    it leaves out."""

    def __init__(self, size: int) -> None:
        self.left = size

    def takes(self, value: Any) -> bool:
        """Whether there is room for `value`, which is then counted."""
        size = len(encode_json(value)) + 1
        if size > self.left:
            self.left = 0
            return False
        self.left -= size
        return True
