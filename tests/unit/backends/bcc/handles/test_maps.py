"""Maps: what is asked of the kernel, and how its answers are read."""

import errno
import resource
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.backends.bcc.design.maps import MMAPABLE, MapSpec
from orchestrator.backends.bcc.handles.maps import Map, create_map
from orchestrator.kernel.abi import bpf_map
from orchestrator.kernel.abi.bpf_map import Batch

HASH = MapSpec(name="m", kind="hash", key_size=1, value_size=2, max_entries=4)


def refusing(code: int, *, unless: Callable[..., bool]) -> Callable[..., int]:
    """A bpf(2) that fails with `code` unless its arguments please it."""

    def call(*args: Any, **kwargs: Any) -> int:
        if unless(*args, **kwargs):
            return 7
        raise OSError(code, "refused")

    return call


def test_a_map_is_made_unmappable_where_the_kernel_cannot_map_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before 5.5 the flag is unknown; another refusal is not the flag's."""
    spec = MapSpec(name="m", kind="array", key_size=4, value_size=8, max_entries=1, flags=MMAPABLE)
    without_flag = refusing(errno.EINVAL, unless=lambda *_, flags, **__: not flags)
    monkeypatch.setattr(bpf_map, "map_create", without_flag)
    made = create_map(spec)
    assert (made.fd, made.mmapable) == (7, False)
    with pytest.raises(OSError, match="cannot be mapped"):
        made.map_memory()
    too_large = refusing(errno.E2BIG, unless=lambda *_, flags, **__: not flags)
    monkeypatch.setattr(bpf_map, "map_create", too_large)
    with pytest.raises(OSError, match="refused"):
        create_map(spec)


def test_a_map_that_is_charged_is_made_once_the_limit_is_lifted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before 5.11; where there is no limit, a refusal is final."""
    lifted: list[object] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (65536, 65536))
    monkeypatch.setattr(resource, "setrlimit", lambda *args: lifted.append(args))
    monkeypatch.setattr(
        bpf_map, "map_create", refusing(errno.EPERM, unless=lambda *_, **__: bool(lifted))
    )
    assert create_map(HASH).fd == 7
    unlimited = (resource.RLIM_INFINITY,) * 2
    monkeypatch.setattr(resource, "getrlimit", lambda _which: unlimited)
    lifted.clear()
    with pytest.raises(PermissionError):
        create_map(HASH)
    assert lifted == []


def test_keys_and_values_of_another_size_are_refused() -> None:
    """Before the kernel reads beyond them."""
    made = Map(spec=HASH, fd=-1, mmapable=False)
    for attempt in (
        lambda: made.lookup(b"12"),
        lambda: made.delete(b""),
        lambda: made.update(b"1", b"123"),
        lambda: made.update(b"12", b"12"),
    ):
        with pytest.raises(ValueError, match="map m"):
            attempt()


def test_batches_are_split_into_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last may be shorter than its buffer."""
    batches = {
        None: Batch(keys=b"ab", values=b"AABB", count=2, token=b"t"),
        b"t": Batch(keys=b"c?", values=b"CC??", count=1, token=None),
    }
    monkeypatch.setattr(bpf_map, "map_lookup_batch", lambda _fd, token, **_sizes: batches[token])
    made = Map(spec=HASH, fd=-1, mmapable=False)
    assert list(made.items()) == [(b"a", b"AA"), (b"b", b"BB"), (b"c", b"CC")]
    assert made.values() == b"AABBCC"


def test_a_walk_that_starts_again_shows_each_key_once_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without batches: a deletion restarts the walk, and here it never ends by itself; a key that
    is gone when it is looked up is not shown."""

    def no_batch(*_args: object, **_sizes: object) -> Batch:
        raise OSError(errno.EINVAL, "no such command")

    following: dict[bytes | None, bytes] = {None: b"a", b"a": b"b", b"b": b"x", b"x": b"a"}
    held = {b"a": b"AA", b"b": b"BB"}
    monkeypatch.setattr(bpf_map, "map_lookup_batch", no_batch)
    monkeypatch.setattr(bpf_map, "map_next_key", lambda _fd, key, _size: following[key])
    monkeypatch.setattr(bpf_map, "map_lookup", lambda _fd, key, _size: held.get(key))
    made = Map(spec=HASH, fd=-1, mmapable=False)
    assert list(made.items()) == [(b"a", b"AA"), (b"b", b"BB")]
    assert made.values() == b"AABB"
