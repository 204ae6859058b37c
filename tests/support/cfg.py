"""What kernels such as 5.10 and 6.1 ask of a loop's layout, without booting one: check_cfg() of
kernel/bpf/verifier.c takes a way back only along a jump, not by falling into what is on the way."""

from collections.abc import Iterator

_CALL, _EXIT, _JA = 0x85, 0x95, 0x05
_JUMPS = (0x05, 0x06)  # BPF_JMP, BPF_JMP32
_LD_IMM64 = 0x18


def back_edges(code: bytes) -> list[tuple[int, int]]:
    """The ways back that such a kernel refuses, as (from, to) numbers of instructions."""
    found: list[tuple[int, int]] = []
    on_way, done = set(), set()
    way = [(0, _edges(code, 0))]
    on_way.add(0)
    while way:
        at, edges = way[-1]
        edge = next(edges, None)
        if edge is None:
            way.pop()
            on_way.discard(at)
            done.add(at)
            continue
        to, jump = edge
        if to in on_way and not jump:
            found.append((at, to))
        elif to not in on_way and to not in done:
            on_way.add(to)
            way.append((to, _edges(code, to)))
    return found


def _edges(code: bytes, at: int) -> Iterator[tuple[int, bool]]:
    """(next instruction, whether the edge may lead back)."""
    op = code[at * 8]
    offset = int.from_bytes(code[at * 8 + 2 : at * 8 + 4], "little", signed=True)
    if op == _EXIT:
        return
    if op == _JA:
        yield at + 1 + offset, True
    elif op & 7 in _JUMPS and op != _CALL:
        yield at + 1, True
        yield at + 1 + offset, True
    else:
        yield at + (2 if op == _LD_IMM64 else 1), False
