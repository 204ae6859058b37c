"""Types and function signatures of one kernel, from its BTF blob.

Lookups are by name and cost microseconds to a few milliseconds each; nothing is built that is not
needed. Sizes assume 8-byte pointers: every supported architecture is 64-bit.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from orchestrator.kernel.btf_blob import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC,
    FUNC_PROTO,
    FWD,
    INT,
    MODIFIERS,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
    Blob,
    kind_of,
    vlen_of,
)
from orchestrator.kernel.btf_types import (
    BtfError,
    BtfMember,
    BtfParam,
    BtfType,
    FunctionType,
    TypeKind,
)

__all__ = ["Btf", "BtfError", "BtfMember", "BtfParam", "BtfType", "FunctionType"]

_POINTER_SIZE = 8
_INT_SIGNED, _INT_CHAR, _INT_BOOL = 1, 2, 4  # BTF_INT_*, include/uapi/linux/btf.h
_KIND_FLAG = 1 << 31
_MAX_DEPTH = 64  # deeper chains of modifiers mean a broken blob

_KINDS: dict[int, TypeKind] = {
    PTR: "pointer",
    ARRAY: "array",
    STRUCT: "struct",
    UNION: "union",
    ENUM: "enum",
    ENUM64: "enum",
    FWD: "fwd",
    FUNC: "function",
    FUNC_PROTO: "function",
    FLOAT: "float",
}
_QUALIFIERS = {CONST: "const", VOLATILE: "volatile", RESTRICT: "restrict"}


class Btf:
    """One kernel's types. `from_bytes` makes one; every method is a pure lookup."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._enumerators: dict[int, int] | None = None
        self._named_values: list[tuple[int, int]] | None = None
        self.type = lru_cache(maxsize=4096)(self._type_of)
        self.member = lru_cache(maxsize=4096)(self._search_member)
        self.struct = lru_cache(maxsize=1024)(self._find_struct)  # by name, a scan of all types

    @classmethod
    def from_bytes(cls, data: bytes, base: "Btf | None" = None) -> "Btf":
        """Read a raw blob, or with `base` a module's split BTF. Raises BtfError."""
        return cls(Blob.parse(data, base._blob if base is not None else None))

    def __len__(self) -> int:
        """The number of types, void included."""
        return len(self._blob)

    def has_placeholders(self) -> bool:
        """Whether types were left out after the kernel gave them."""
        return self._blob.has_placeholders()

    # -- functions -----------------------------------------------------------------------------

    def function(self, name: str) -> FunctionType | None:
        """The signature of a kernel function, or None where BTF has none of this name."""
        return self.function_from(name, 0)

    def function_from(self, name: str, first_id: int) -> FunctionType | None:
        """The same among the types from `first_id` on, such as those of a module alone."""
        signatures = [
            self._function_type(func, name)
            for func in self._blob.ids(name, FUNC)
            if func >= first_id
        ]
        if not signatures:
            return None
        first = signatures[0]
        if all(self._same_signature(first, other) for other in signatures[1:]):
            return first
        return FunctionType(
            btf_id=first.btf_id,
            name=name,
            params=first.params,
            returns=first.returns,
            ambiguous=True,
        )

    def has_raw_tracepoint(self, event: str) -> bool:
        """Whether there is a raw tracepoint of this name: quicker than asking for its arguments."""
        return next(self._blob.ids(f"btf_trace_{event}", TYPEDEF), None) is not None

    def raw_tracepoint_names(self) -> frozenset[str]:
        """All events that are raw tracepoints."""
        return self._blob.names_after("btf_trace_")

    def iterator_names(self) -> frozenset[str]:
        """All objects that a BPF iterator may be for: some names have no function."""
        return self._blob.names_after("bpf_iter__")

    def raw_tracepoint(self, event: str) -> FunctionType | None:
        """The arguments of a raw tracepoint, without the leading `void *__data`.

        Names come from `__traceiter_EVENT` or `__bpf_trace_EVENT`, else from the one
        `__bpf_trace_*` template with the same argument types (include/trace/bpf_probe.h); where
        none has them they are "".
        """
        typedef = next(self._blob.ids(f"btf_trace_{event}", TYPEDEF), 0)
        for prefix in ("__traceiter_", "__bpf_trace_"):
            func = self.function(prefix + event)
            if func is not None and all(param.name for param in func.params):
                return self._drop_data_param(typedef, event, func.params)
        proto = self._trace_prototype(typedef)
        if proto is None:
            return None
        return self._drop_data_param(typedef, event, self._template_params(proto))

    def _drop_data_param(
        self, typedef: int, event: str, params: tuple[BtfParam, ...]
    ) -> FunctionType:
        return FunctionType(btf_id=typedef, name=event, params=params[1:], returns=0)

    def _trace_prototype(self, typedef: int) -> int | None:
        """`typedef void (*btf_trace_EVENT)(void *, ...)` → the id of its FUNC_PROTO."""
        pointer = self._strip_modifiers(typedef) if typedef else 0
        if self._kind(pointer) != PTR:
            return None
        proto = self._strip_modifiers(self._target(pointer))
        return proto if self._kind(proto) == FUNC_PROTO else None

    def _template_params(self, proto: int) -> tuple[BtfParam, ...]:
        """The prototype's parameters, with names if all templates of these types agree on them."""
        params = self._prototype_params(proto)
        types = [param.type_id for param in params]
        candidates = {
            named
            for named in map(self._prototype_params, self._template_prototypes(len(params)))
            if [param.type_id for param in named] == types
        }
        return candidates.pop() if len(candidates) == 1 else params

    def _template_prototypes(self, arity: int) -> Iterator[int]:
        blob = self._blob
        for type_id in range(1, len(blob)):
            start = blob.starts[type_id]
            if kind_of(blob.words[start + 1]) != FUNC:
                continue
            proto = blob.words[start + 2]
            if vlen_of(self._info(proto)) == arity and blob.strings.startswith(
                b"__bpf_trace_", blob.words[start]
            ):
                yield proto

    def _function_type(self, func: int, name: str) -> FunctionType:
        proto = self._target(func)
        return FunctionType(
            btf_id=func,
            name=name,
            params=self._prototype_params(proto),
            returns=self._target(proto),
        )

    def _prototype_params(self, proto: int) -> tuple[BtfParam, ...]:
        """Parameters of a FUNC_PROTO; the nameless void that means `...` is left out."""
        if self._kind(proto) != FUNC_PROTO:
            raise BtfError(f"type {proto} is not a function's prototype")
        words, at = self._blob.words, self._blob.start(proto) + 3
        pairs = [(words[i], words[i + 1]) for i in self._records(proto, at, 2)]
        return tuple(
            BtfParam(name=self._blob.text(name), type_id=type_id)
            for name, type_id in pairs
            if name or type_id
        )

    def _same_signature(self, first: FunctionType, second: FunctionType) -> bool:
        def spell(func: FunctionType) -> list[str]:
            return [self.type_name(t) for t in (func.returns, *(p.type_id for p in func.params))]

        return spell(first) == spell(second)

    # -- types ---------------------------------------------------------------------------------

    def _type_of(self, type_id: int) -> BtfType:
        """The type behind typedefs, qualifiers and type tags. Raises BtfError for a wrong id."""
        bare = self._strip_modifiers(type_id)
        kind = self._kind(bare)
        name = self._name(bare)
        if kind == INT:
            return self._int_type(bare, name)
        if kind == ARRAY:
            return self._array_type(bare)
        size = {PTR: _POINTER_SIZE, FWD: 0, FUNC: 0, FUNC_PROTO: 0}.get(kind, self._target(bare))
        return BtfType(
            id=bare,
            kind=_KINDS.get(kind, "void"),
            name=name,
            size=size,
            signed=kind in (ENUM, ENUM64) and self._is_signed_enum(bare),
            target=self._target(bare) if kind == PTR else 0,
        )

    def _int_type(self, type_id: int, name: str) -> BtfType:
        encoding = self._blob.words[self._blob.start(type_id) + 3] >> 24 & 0x0F
        kind: TypeKind = "int"
        if encoding & _INT_BOOL:
            kind = "bool"
        elif encoding & _INT_CHAR or name == "char":  # gcc's char has no separate encoding
            kind = "char"
        signed = bool(encoding & _INT_SIGNED)
        return BtfType(id=type_id, kind=kind, name=name, size=self._target(type_id), signed=signed)

    def _array_type(self, type_id: int) -> BtfType:
        element, count = self._array_elements(type_id)
        size, inner = count, self._strip_modifiers(element)
        for _ in range(_MAX_DEPTH):
            if self._kind(inner) != ARRAY:
                size *= self.type(inner).size
                break
            deeper, many = self._array_elements(inner)
            size, inner = size * many, self._strip_modifiers(deeper)
        return BtfType(id=type_id, kind="array", name="", size=size, target=element, count=count)

    def _array_elements(self, array: int) -> tuple[int, int]:
        """(type, number) of an array's elements."""
        at = self._blob.start(array) + 3
        return self._blob.words[at], self._blob.words[at + 2]

    def _is_signed_enum(self, type_id: int) -> bool:
        """By the flag where pahole sets it; else by a value that is negative as 32 bits."""
        if self._info(type_id) & _KIND_FLAG:
            return True
        if self._kind(type_id) == ENUM64:
            return False
        words, at = self._blob.words, self._blob.start(type_id) + 3
        return any(words[i + 1] >> 31 for i in self._records(type_id, at, 2))

    def is_user_pointer(self, type_id: int) -> bool:
        """Whether the type is a pointer tagged `user`.

        False also where the compiler recorded no tags: see `has_user_tags`.
        """
        pointer = self._strip_modifiers(type_id)
        if self._kind(pointer) != PTR:
            return False
        return any(
            self._kind(step) == TYPE_TAG and self._name(step) == "user"
            for step in self._modifier_chain(self._target(pointer))
        )

    @property
    def has_user_tags(self) -> bool:
        """Whether this kernel records `__user` at all (clang does, gcc only lately)."""
        return next(self._blob.ids("user", TYPE_TAG), None) is not None

    # -- structures and constants --------------------------------------------------------------

    def _find_struct(self, name: str) -> int | None:
        """The type id of a struct or union: "task_struct", "struct task_struct", "union …"."""
        keyword, _, bare = name.rpartition(" ")
        kinds = {"struct": (STRUCT,), "union": (UNION,)}.get(keyword, (STRUCT, UNION))
        return next(self._blob.ids(bare, *kinds), None)

    def _search_member(self, type_id: int, name: str) -> BtfMember | None:
        """A member of a struct or union, looked for in anonymous members too, or None."""
        offsets = set(self._blob.name_offsets(name)) if name else set()
        return self._find_member(self._strip_modifiers(type_id), name, offsets) if offsets else None

    def _find_member(self, type_id: int, name: str, offsets: set[int]) -> BtfMember | None:
        words, seen, waiting = self._blob.words, set[int](), [(type_id, 0)]
        while waiting:
            struct, base = waiting.pop()
            if struct in seen:  # already searched
                continue
            seen.add(struct)
            nested = []
            for at in self._member_records(struct):
                member = self._member_at(struct, at, name, base)
                if words[at] in offsets:
                    return member
                if words[at] == 0:
                    nested.append((self._strip_modifiers(member.type_id), member.bit_offset))
            waiting += reversed(nested)
        return None

    def _member_at(self, type_id: int, at: int, name: str, base: int) -> BtfMember:
        member_type, where = self._blob.words[at + 1], self._blob.words[at + 2]
        bits = 0
        if self._info(type_id) & _KIND_FLAG:
            where, bits = where & 0xFFFFFF, where >> 24
        return BtfMember(name=name, bit_offset=base + where, bit_size=bits, type_id=member_type)

    def member_names(self, type_id: int) -> tuple[str, ...]:
        """All names that `member` would find, in order of declaration."""
        words, names, outer = self._blob.words, [], self._strip_modifiers(type_id)
        seen, waiting = {outer}, [*reversed(self._member_records(outer))]
        while waiting:
            at = waiting.pop()
            if words[at]:
                names.append(self._blob.text(words[at]))
            elif (inner := self._strip_modifiers(words[at + 1])) not in seen:
                seen.add(inner)
                waiting += reversed(self._member_records(inner))
        return tuple(names)

    def _member_records(self, type_id: int) -> range:
        if self._kind(type_id) not in (STRUCT, UNION):
            return range(0)
        return self._records(type_id, self._blob.start(type_id) + 3, 3)

    def enum(self, name: str) -> int | None:
        """The type id of an enum, or None."""
        return next(self._blob.ids(name.removeprefix("enum "), ENUM, ENUM64), None)

    def enumerators(self, type_id: int) -> tuple[tuple[str, int], ...]:
        """Name and value of each constant of an enum, in order of declaration; () for other
        types."""
        bare = self._strip_modifiers(type_id)
        kind = self._kind(bare)
        if kind not in (ENUM, ENUM64):
            return ()
        values = self._enum_values(self._blob.start(bare), self._info(bare), 2 + (kind == ENUM64))
        return tuple((self._blob.text(name), value) for name, value in values)

    def enumerator(self, name: str) -> int | None:
        """The value of an enum's constant; the first where several enums have the name."""
        if self._enumerators is None:
            self._enumerators = dict(reversed(self._list_enumerators()))
        values = (self._enumerators.get(offset) for offset in self._blob.name_offsets(name))
        return next((value for value in values if value is not None), None)

    def enumerators_from(self, prefix: str) -> dict[int, str]:
        """The names that begin with `prefix`, of all enums, by their values; of several names of a
        value the first of the enum with the least id."""
        text, wanted = self._blob.strings, prefix.encode()
        return self._names_by_value(
            pair for pair in self._list_enumerators() if text.startswith(wanted, pair[0])
        )

    def _names_by_value(self, pairs: Iterable[tuple[int, int]]) -> dict[int, str]:
        names: dict[int, str] = {}
        for offset, value in pairs:
            names.setdefault(value, self._blob.text(offset))
        return names

    def _list_enumerators(self) -> Sequence[tuple[int, int]]:
        """(name offset, value) of all enums, in the order of their ids."""
        if self._named_values is None:
            starts = self._blob.starts
            every = range(1, len(self._blob))
            self._named_values = [pair for i in every for pair in self._read_enum(starts[i])]
        return self._named_values

    def _read_enum(self, start: int) -> Iterator[tuple[int, int]]:
        """(name offset, value) of the enum at `start`; nothing for another type."""
        info = self._blob.words[start + 1]
        each = {ENUM: 2, ENUM64: 3}.get(kind_of(info))
        if each is not None:
            yield from self._enum_values(start, info, each)

    def _enum_values(self, start: int, info: int, each: int) -> Iterator[tuple[int, int]]:
        words, width = self._blob.words, 32 * (each - 1)
        for at in range(start + 3, start + 3 + each * vlen_of(info), each):
            value = words[at + 1] | (words[at + 2] << 32 if each == 3 else 0)
            # pahole before 1.24 sets no sign flag, and then every enum was meant as signed
            signed = info & _KIND_FLAG or (each == 2 and value >= 0xFFFFF000)
            if signed and value >> (width - 1):
                value -= 1 << width
            yield words[at], value

    # -- spelling ------------------------------------------------------------------------------

    def type_name(self, type_id: int) -> str:
        """The type as C would spell it, for messages."""
        return self._spell(type_id, 0)

    def _spell(self, type_id: int, depth: int) -> str:
        kind, name = self._kind(type_id), self._name(type_id)
        if depth > _MAX_DEPTH:
            return "…"
        if kind in _QUALIFIERS:
            return self._spell_qualified(type_id, _QUALIFIERS[kind], depth)
        if kind == TYPE_TAG:
            return self._spell(self._target(type_id), depth + 1)
        if kind == PTR:
            return self._spell_pointer(type_id, depth)
        if kind == ARRAY:
            array = self.type(type_id)
            return f"{self._spell(array.target, depth + 1)}[{array.count}]"
        if kind == FUNC_PROTO:
            return f"{self._spell(self._target(type_id), depth + 1)} ()"
        return self._spell_tagged(type_id, kind, name)

    def _spell_qualified(self, type_id: int, qualifier: str, depth: int) -> str:
        target = self._target(type_id)
        inner = self._spell(target, depth + 1)
        return f"{inner} {qualifier}" if self._kind(target) == PTR else f"{qualifier} {inner}"

    def _spell_pointer(self, type_id: int, depth: int) -> str:
        target = self._target(type_id)
        if self._kind(target) == FUNC_PROTO:
            return f"{self._spell(self._target(target), depth + 1)} (*)()"
        inner = self._spell(target, depth + 1)
        return inner + ("*" if inner.endswith("*") else " *")

    def _spell_tagged(self, type_id: int, kind: int, name: str) -> str:
        if kind == FWD:
            keyword = "union" if self._info(type_id) & _KIND_FLAG else "struct"
            return f"{keyword} {name}"
        keyword = {STRUCT: "struct ", UNION: "union ", ENUM: "enum ", ENUM64: "enum "}.get(kind, "")
        return keyword + (name or ("void" if not type_id else "{…}"))

    # -- records -------------------------------------------------------------------------------

    def _info(self, type_id: int) -> int:
        return self._blob.words[self._blob.start(type_id) + 1]

    def _kind(self, type_id: int) -> int:
        return kind_of(self._info(type_id))

    def _target(self, type_id: int) -> int:
        """The third word: the type pointed to, or the size of what has one."""
        return self._blob.words[self._blob.start(type_id) + 2]

    def _name(self, type_id: int) -> str:
        return self._blob.text(self._blob.words[self._blob.start(type_id)])

    def _records(self, type_id: int, first: int, each: int) -> range:
        return range(first, first + each * vlen_of(self._info(type_id)), each)

    def _modifier_chain(self, type_id: int) -> Iterator[int]:
        """The id, then what its typedefs and qualifiers lead to. Raises BtfError for a loop."""
        for _ in range(_MAX_DEPTH):
            yield type_id
            if self._kind(type_id) not in MODIFIERS:
                return
            type_id = self._target(type_id)
        raise BtfError(f"type {type_id} is a loop of typedefs")

    def _strip_modifiers(self, type_id: int) -> int:
        *_, last = self._modifier_chain(type_id)
        return last
