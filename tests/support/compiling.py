"""A compiler that starts no process, for tests of what is done with programs."""

from collections.abc import Sequence

import pytest

from orchestrator.backends.bcc.compiler import clang

#: `return 0`: r0 = 0 (BPF_ALU64 | BPF_MOV | BPF_K), exit.
RETURN_0 = bytes([0xB7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0])


def compile_to_nothing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every function becomes `return 0`, and nothing is kept. Returns the texts, as they come."""
    compiled: list[str] = []

    def compile_texts(texts: Sequence[tuple[str, Sequence[str]]]) -> list[dict[str, bytes]]:
        compiled.extend(text for text, _ in texts)
        return [dict.fromkeys(functions, RETURN_0) for _, functions in texts]

    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    monkeypatch.setattr(clang, "_latest", {})
    monkeypatch.setattr(clang, "compile_texts", compile_texts)
    return compiled
