"""The BTF reader against libbpf's, against the kernel's own tracepoint formats, and by hand."""

import ctypes
import ctypes.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.kernel.btf import Btf, BtfError
from orchestrator.kernel.facts import KernelFacts
from tests.support.btf_blobs import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    FUNC,
    INT,
    PTR,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    Blob,
)


@pytest.fixture(scope="module")
def libbpf() -> ctypes.CDLL:
    name = ctypes.util.find_library("bpf")
    if name is None:
        pytest.skip("libbpf is not installed: nothing to compare with")
    library = ctypes.CDLL(name)
    library.btf__load_vmlinux_btf.restype = ctypes.c_void_p
    library.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
    library.btf__resolve_size.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.btf__resolve_size.restype = ctypes.c_int64
    library.btf__resolve_type.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    return library


@pytest.fixture(scope="module")
def btf(live: KernelFacts) -> Btf:
    if live.btf is None:
        pytest.skip("this kernel lacks btf")
    return live.btf


def test_sizes_and_stripped_types_are_those_of_libbpf(btf: Btf, libbpf: ctypes.CDLL) -> None:
    """Every 7th type of this kernel resolves to the size that libbpf gives it."""
    oracle, compared = libbpf.btf__load_vmlinux_btf(), 0
    for type_id in range(1, len(btf), 7):
        size = libbpf.btf__resolve_size(oracle, type_id)
        if size >= 0 and btf.type(type_id).kind not in ("void", "function", "fwd"):
            assert btf.type(type_id).size == size, btf.type_name(type_id)
            compared += 1
    assert compared > 1000


@pytest.mark.parametrize("name", ["task_struct", "sock", "file", "request", "sk_buff"])
def test_structures_are_found_under_libbpfs_id(btf: Btf, libbpf: ctypes.CDLL, name: str) -> None:
    oracle = libbpf.btf__load_vmlinux_btf()
    assert btf.struct(name) == libbpf.btf__find_by_name_kind(oracle, name.encode(), 4)
    assert btf.struct(f"struct {name}") == btf.struct(name)
    assert btf.struct(f"union {name}") is None


@pytest.mark.parametrize("name", ["vfs_read", "vfs_write", "schedule"])
def test_functions_are_found_under_libbpfs_id(btf: Btf, libbpf: ctypes.CDLL, name: str) -> None:
    found = btf.function(name)
    oracle = libbpf.btf__load_vmlinux_btf()
    assert found is not None
    assert found.btf_id == libbpf.btf__find_by_name_kind(oracle, name.encode(), FUNC)


@pytest.mark.slow
def test_members_stand_where_tracepoint_formats_say(live: KernelFacts, btf: Btf) -> None:
    """Two accounts by the kernel of one record, its format file and its struct, agree."""
    compared = 0
    for category, event in live.tracepoint_names()[::4]:
        struct = btf.struct(f"trace_event_raw_{event}")
        tracepoint = live.tracepoint(category, event)
        if struct is None or tracepoint is None or category == "syscalls":
            continue
        for field in tracepoint.fields:
            name = field.name if field.kind != "data_loc" else f"__data_loc_{field.name}"
            member = btf.member(struct, name)
            if member is not None:
                assert member.bit_offset == field.offset * 8, (event, field)
                assert btf.type(member.type_id).size == field.size, (event, field)
                compared += 1
    assert compared > 300


def test_each_recorded_kernel_tells_the_arguments_of_what_plans_probe(
    recorded: KernelFacts,
) -> None:
    btf = recorded.btf
    assert btf is not None
    read, switch = btf.function("vfs_read"), btf.raw_tracepoint("sched_switch")
    assert read is not None
    assert [p.name for p in read.params] == ["file", "buf", "count", "pos"]
    assert btf.type_name(read.params[2].type_id) == "size_t"
    assert btf.type(read.returns).signed
    assert switch is not None
    assert switch.btf_id > 0
    assert [p.name for p in switch.params][:3] == ["preempt", "prev", "next"]
    task = btf.type(switch.params[1].type_id)
    assert (task.kind, btf.type(task.target).name) == ("pointer", "task_struct")
    assert btf.enumerator("PIDTYPE_TGID") == 1
    assert btf.function("no_such_function") is None
    assert btf.raw_tracepoint("no_such_event") is None


def test_bit_fields_and_anonymous_members_are_seen_through() -> None:
    blob = Blob()
    u32 = blob.add(INT, "unsigned int", 4, 32)
    inner = blob.struct_("", 8, ("low", u32, 0), ("bits", u32, 3 << 24 | 35), flag=1)
    union = blob.add(UNION, "", 8, blob.name(""), inner, 0, vlen=1)
    outer = blob.struct_("outer", 16, ("first", u32, 0), ("", union, 64))
    btf = blob.btf()
    low, bits = btf.member(outer, "low"), btf.member(outer, "bits")
    assert low is not None
    assert (low.bit_offset, low.bit_size) == (64, 0)
    assert bits is not None
    assert (bits.bit_offset, bits.bit_size) == (64 + 35, 3)
    assert btf.member_names(outer) == ("first", "low", "bits")
    assert btf.member(outer, "absent") is None


def test_enumerators_have_their_sign_and_width() -> None:
    blob = Blob()
    blob.add(ENUM, "e", 4, blob.name("MINUS"), -1, blob.name("FIVE"), 5, vlen=2, flag=1)
    blob.add(ENUM64, "f", 8, blob.name("BIG"), 0, 1, vlen=1)
    blob.add(ENUM64, "g", 8, blob.name("LOW"), 0, 0x80000000, vlen=1, flag=1)
    btf = blob.btf()
    assert [btf.enumerator(n) for n in ("MINUS", "FIVE", "BIG", "LOW", "NONE")] == [
        -1,
        5,
        1 << 32,
        -(1 << 63),
        None,
    ]


def test_user_pointers_are_told_by_their_tag() -> None:
    blob = Blob()
    char = blob.add(INT, "char", 1, 1 << 24 | 8)
    const = blob.add(CONST, "", char)
    user = blob.add(PTR, "", blob.add(TYPE_TAG, "user", const))
    plain = blob.add(PTR, "", const)
    alias = blob.add(TYPEDEF, "buffer_t", user)
    btf = blob.btf()
    assert list(map(btf.is_user_pointer, (user, alias, plain, char))) == [True, True, False, False]
    assert btf.has_user_tags
    assert btf.type(char).kind == "char"
    assert [btf.type_name(t) for t in (plain, alias)] == ["const char *", "buffer_t"]


def test_functions_of_one_name_are_flagged_when_their_signatures_differ() -> None:
    blob = Blob()
    number, long = blob.add(INT, "int", 4, 1 << 24 | 32), blob.add(INT, "long", 8, 1 << 24 | 64)
    same = [blob.proto(number, ("a", number)) for _ in range(2)]
    other = blob.proto(number, ("a", long))
    for proto in same:
        blob.add(FUNC, "twin", proto)
    first = blob.add(FUNC, "odd", same[0])
    blob.add(FUNC, "odd", other)
    btf = blob.btf()
    twin, odd = btf.function("twin"), btf.function("odd")
    assert twin is not None
    assert not twin.ambiguous
    assert odd is not None
    assert odd.ambiguous
    assert odd.btf_id == first


def test_a_template_lends_its_names_to_a_tracepoint_without_its_own() -> None:
    """An event of a class has only its typedef, whose prototype has types and no names."""
    blob = Blob()
    data, number = blob.add(PTR, "", 0), blob.add(INT, "int", 4, 1 << 24 | 32)
    nameless = blob.proto(0, ("", data), ("", number))
    event = blob.add(TYPEDEF, "btf_trace_event", blob.add(PTR, "", nameless))
    blob.add(FUNC, "__bpf_trace_class", blob.proto(0, ("__data", data), ("count", number)))
    found = blob.btf().raw_tracepoint("event")
    assert found is not None
    assert found.btf_id == event
    assert [(p.name, p.type_id) for p in found.params] == [("count", number)]


def test_a_loop_of_typedefs_is_an_error_and_not_a_hang() -> None:
    blob = Blob()
    blob.add(TYPEDEF, "a", 2)
    blob.add(TYPEDEF, "b", 1)
    with pytest.raises(BtfError, match="loop"):
        blob.btf().type(1)


def _sample() -> bytes:
    blob = Blob()
    number = blob.add(INT, "int", 4, 1 << 24 | 32)
    blob.add(ARRAY, "", 0, number, number, 4)
    blob.struct_("s", 8, ("x", number, 0), ("y", number, 32))
    blob.add(FUNC, "f", blob.proto(number, ("a", number)))
    return blob.bytes()


@given(cut=st.integers(0, len(_sample()) - 1))
def test_a_blob_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(BtfError):
        Btf.from_bytes(_sample()[:cut])


@given(at=st.integers(0, len(_sample()) - 1), value=st.integers(0, 255))
def test_a_damaged_blob_raises_nothing_but_btf_errors(at: int, value: int) -> None:
    data = bytearray(_sample())
    data[at] = value
    try:
        btf = Btf.from_bytes(bytes(data))
        for type_id in range(len(btf)):
            btf.type(type_id)
            btf.type_name(type_id)
            btf.member_names(type_id)
        btf.function("f")
        btf.enumerator("f")
    except BtfError:
        pass
