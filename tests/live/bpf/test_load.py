"""Maps and programs in the real kernel."""

import os
import struct

import pytest

from orchestrator.backends.bcc.attach import load
from orchestrator.backends.bcc.attach.load import LoadError
from orchestrator.backends.bcc.compiler import clang
from orchestrator.backends.bcc.design.maps import MMAPABLE, MapKind, MapSpec
from orchestrator.backends.bcc.handles.maps import create_map
from orchestrator.kernel.abi import bpf, bpf_map, perf
from tests.support.bpf_programs import COUNT, COUNTS, COUNTS_SPEC


def test_placeholders_are_replaced_wherever_they_stand() -> None:
    """Only map loads are touched: no constant of the same value, and no second half."""
    constant = struct.pack("=BBhiBBhi", 0x18, 0x01, 0, 1001, 0, 0, 0, 0)
    place = struct.pack("=BBhiBBhi", 0x18, 0x12, 0, 1001, 0, 0, 0, 0)
    tricky = struct.pack("=BBhiBBhi", 0x18, 0x01, 0, 7, 0x18, 0x10, 0, 1001)
    patched = load.patch_maps(constant + place + tricky, {1001: 5})
    assert patched == constant + place.replace(b"\xe9\x03", b"\x05\x00") + tricky


def test_a_placeholder_without_a_map_is_refused() -> None:
    code = clang.compile_c(COUNT, ["count"])["count"]
    with pytest.raises(ValueError, match="placeholder 1001"):
        load.load_program(code, bpf.KPROBE, name="count", maps={})


def test_a_refused_program_tells_the_verifiers_reason() -> None:
    """The log comes with the error, and the last lines stand in its text."""
    text = f"{clang.PRELUDE}int f(unsigned long long *ctx) {{ return *(u64 *)ctx[0]; }}"
    code = clang.compile_c(text, ["f"])["f"]
    with pytest.raises(LoadError, match="invalid mem access") as refused:
        load.load_program(code, bpf.RAW_TRACEPOINT, name="f", maps={})
    assert refused.value.errno == 13
    assert "R1 invalid mem access 'scalar'" in refused.value.log


def test_a_long_verifier_log_comes_whole() -> None:
    """The buffer grows until the log fits."""
    lines = "".join(f"  x += ctx[{n % 4}] * {n}ULL; if (x == {n}) y ^= x;\n" for n in range(400))
    text = (
        f"{clang.PRELUDE}int f(unsigned long long *ctx) {{ u64 x = 0, y = 0;\n{lines}"
        "  return *(u64 *)(x + y); }"
    )
    code = clang.compile_c(text, ["f"])["f"]
    with pytest.raises(LoadError) as refused:
        load.load_program(code, bpf.RAW_TRACEPOINT, name="f", maps={})
    assert len(refused.value.log) > load.FIRST_LOG_BYTES
    assert "invalid mem access" in refused.value.log


def test_an_array_is_shared_memory_where_the_kernel_can() -> None:
    """What is written through memory is what lookups see, and the other way round."""
    made = create_map(COUNTS_SPEC)
    if not made.mmapable:
        pytest.skip("this kernel lacks mmap_array")
    memory = made.map_memory()
    memory[0:8] = struct.pack("=Q", 77)
    assert made.lookup(bytes(4)) == struct.pack("=QQQQ", 77, 0, 0, 0)
    made.update(bytes(4), struct.pack("=QQQQ", 1, 2, 3, 4))
    assert memory[0:32] == struct.pack("=QQQQ", 1, 2, 3, 4)
    assert COUNTS_SPEC.flags == MMAPABLE
    made.close()


@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize("kind", ["hash", "percpu_hash", "array", "percpu_array"])
def test_all_entries_are_read(
    kind: MapKind, batches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bulk and key by key, more entries than a batch holds."""
    if not batches:

        def refuse(*_: object, **__: object) -> bpf_map.Batch:
            raise OSError(22, "no batches here")

        monkeypatch.setattr(bpf_map, "map_lookup_batch", refuse)
    made = create_map(MapSpec(name="m", kind=kind, key_size=4, value_size=12, max_entries=5000))
    cpus = perf.possible_cpus() if made.spec.per_cpu else 1
    width = 16 if made.spec.per_cpu else 12
    for key in range(5000):
        slots = [struct.pack("=III", key, cpu, 9).ljust(width, b"\0") for cpu in range(cpus)]
        made.update(struct.pack("=I", key), b"".join(slots))
    found = {struct.unpack("=I", key)[0]: made.slots(value) for key, value in made.items()}
    assert found == {
        key: [struct.pack("=III", key, cpu, 9) for cpu in range(cpus)] for key in range(5000)
    }
    made.close()


def test_keys_come_and_go() -> None:
    made = create_map(MapSpec(name="m", kind="hash", key_size=4, value_size=8, max_entries=4))
    assert made.lookup(b"abcd") is None
    made.update(b"abcd", bytes(8))
    assert made.lookup(b"abcd") == bytes(8)
    assert made.delete(b"abcd")
    assert not made.delete(b"abcd")
    assert list(made.items()) == []
    with pytest.raises(ValueError, match="a key has 4 bytes"):
        made.lookup(b"abc")
    with pytest.raises(ValueError, match="a value has 8 bytes"):
        made.update(b"abcd", b"")
    made.close()


def test_the_kernel_tells_a_maps_memory() -> None:
    """fdinfo's memlock covers the ring's data."""
    ring = create_map(
        MapSpec(name="r", kind="ringbuf", key_size=0, value_size=0, max_entries=1 << 16)
    )
    reported = ring.memory_bytes()
    assert reported is not None
    assert reported >= 1 << 16
    ring.close()


def test_run_statistics_are_read() -> None:
    """A program that never ran has run zero times."""
    made = create_map(COUNTS_SPEC)
    code = clang.compile_c(COUNT, ["count"])["count"]
    program = load.load_program(
        code, bpf.KPROBE, name="a name-too long for it", maps={COUNTS: made.fd}
    )
    reported = bpf.program_statistics(program)
    assert (reported.run_time_ns, reported.run_count) == (0, 0)
    os.close(program)
    made.close()


def test_trials_say_yes_no_and_unknown() -> None:
    """yes: can_bpf as root; no, with the verifier's reason: an instruction that no kernel has."""
    assert bpf.can_bpf().yes
    assert bpf._try_load(bpf.KPROBE, b"\xff" * 8 + bpf.RETURN_0).state == "no"
    assert bpf.can_fentry(1).state != "yes"


def test_without_rights_trials_are_unknown() -> None:
    """A child that is no one learns nothing, and is reported that."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        states = {bpf.can_bpf().state, bpf.can_ringbuf().state, bpf.can_fetch_atomics().state}
        os.write(writer, ",".join(states).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"unknown"
    os.close(reader)
    os.close(writer)
