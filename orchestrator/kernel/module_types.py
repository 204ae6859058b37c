"""The types of a kernel with those of its loaded modules.

A module's BTF is split: its types continue the kernel's ids, so those of two modules overlap. Here
an id of a module's type has the number of the module, from 1, above its lower 32 bits. The BTF of
modules is read when it is first needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from orchestrator.kernel.btf import Btf
from orchestrator.kernel.btf_blob import Blob
from orchestrator.kernel.btf_types import BtfMember, BtfType, FunctionType

__all__ = ["KernelTypes"]

_SHIFT = 32
_LOCAL = (1 << _SHIFT) - 1


class KernelTypes(Btf):
    """All types by one id each. `modules`: the names of modules that have BTF; `read` gives a
    module's types after the kernel's, None where they cannot be read."""

    def __init__(
        self, blob: Blob, modules: Sequence[str], read: Callable[[str], Btf | None]
    ) -> None:
        super().__init__(blob)
        self._own_type, self._own_member = self.type, self.member
        self._modules = tuple(modules)
        self._read = lru_cache(maxsize=None)(read)
        self.type = lru_cache(maxsize=4096)(self._type_anywhere)
        self.member = lru_cache(maxsize=4096)(self._member_anywhere)

    # -- by name -------------------------------------------------------------------------------

    def function(self, name: str, module: str | None = None) -> FunctionType | None:
        """The signature of a function of the kernel, or of a module; None where its BTF has none of
        this name."""
        if module is None:
            return super().function(name)
        types = self._types_of(module)
        signature = types.function_from(name, len(self)) if types is not None else None
        return None if signature is None else self._mark_signature(signature, module)

    def has_raw_tracepoint(self, event: str) -> bool:
        """Whether the kernel or a module has a raw tracepoint of this name."""
        return super().has_raw_tracepoint(event) or self._find_tracepoint(event) is not None

    def raw_tracepoint_names(self) -> frozenset[str]:
        """All events that are raw tracepoints of the kernel or of a module."""
        modules = [types for types in map(self._types_of, self._modules) if types is not None]
        return super().raw_tracepoint_names().union(*(t.raw_tracepoint_names() for t in modules))

    def raw_tracepoint(self, event: str) -> FunctionType | None:
        """The arguments of a raw tracepoint of the kernel or of a module."""
        known = super().raw_tracepoint(event)
        if known is not None:
            return known
        module = self._find_tracepoint(event)
        types = self._types_of(module) if module is not None else None
        signature = types.raw_tracepoint(event) if types is not None else None
        if signature is None or module is None:
            return None
        return self._mark_signature(signature, module)

    def _find_struct(self, name: str) -> int | None:
        """The type id of a struct or union of the kernel, else of the first module with one."""
        known = super()._find_struct(name)
        if known is not None:
            return known
        for module in self._modules:
            types = self._types_of(module)
            found = types.struct(name) if types is not None else None
            if found is not None:
                return self._mark(found, module)
        return None

    def enum(self, name: str) -> int | None:
        """The type id of an enum of the kernel, else of the first module with one."""
        known = super().enum(name)
        if known is not None:
            return known
        for module in self._modules:
            types = self._types_of(module)
            found = types.enum(name) if types is not None else None
            if found is not None:
                return self._mark(found, module)
        return None

    # -- by id ---------------------------------------------------------------------------------

    def _type_anywhere(self, type_id: int) -> BtfType:
        module = self._module_of(type_id)
        if module is None:
            return self._own_type(type_id)
        found = self._require(module).type(type_id & _LOCAL)
        return replace(
            found, id=self._mark(found.id, module), target=self._mark(found.target, module)
        )

    def _member_anywhere(self, type_id: int, name: str) -> BtfMember | None:
        module = self._module_of(type_id)
        if module is None:
            return self._own_member(type_id, name)
        found = self._require(module).member(type_id & _LOCAL, name)
        return found and replace(found, type_id=self._mark(found.type_id, module))

    def member_names(self, type_id: int) -> tuple[str, ...]:
        """All names that `member` would find, in order of declaration."""
        module = self._module_of(type_id)
        if module is None:
            return super().member_names(type_id)
        return self._require(module).member_names(type_id & _LOCAL)

    def enumerators(self, type_id: int) -> tuple[tuple[str, int], ...]:
        """Name and value of each constant of an enum; () for other types."""
        module = self._module_of(type_id)
        if module is None:
            return super().enumerators(type_id)
        return self._require(module).enumerators(type_id & _LOCAL)

    def is_user_pointer(self, type_id: int) -> bool:
        """Whether the type is a pointer tagged `user`."""
        module = self._module_of(type_id)
        if module is None:
            return super().is_user_pointer(type_id)
        return self._require(module).is_user_pointer(type_id & _LOCAL)

    def type_name(self, type_id: int) -> str:
        """The type as C would spell it, for messages."""
        module = self._module_of(type_id)
        if module is None:
            return super().type_name(type_id)
        return self._require(module).type_name(type_id & _LOCAL)

    # -- ids -----------------------------------------------------------------------------------

    def _types_of(self, module: str) -> Btf | None:
        return self._read(module) if module in self._modules else None

    def _require(self, module: str) -> Btf:
        types = self._types_of(module)
        assert types is not None  # an id of it was given out
        return types

    def _find_tracepoint(self, event: str) -> str | None:
        """The module with this raw tracepoint."""
        for module in self._modules:
            types = self._types_of(module)
            if types is not None and types.has_raw_tracepoint(event):
                return module
        return None

    def _module_of(self, type_id: int) -> str | None:
        number = type_id >> _SHIFT
        return self._modules[number - 1] if number else None

    def _mark(self, type_id: int, module: str) -> int:
        """A module's own id as one of all types; ids below are the kernel's."""
        if type_id < len(self):
            return type_id
        return type_id | self._modules.index(module) + 1 << _SHIFT

    def _mark_signature(self, signature: FunctionType, module: str) -> FunctionType:
        """The signature with marked types; `btf_id` stays as attaching takes it."""
        params = tuple(
            replace(param, type_id=self._mark(param.type_id, module)) for param in signature.params
        )
        returns = self._mark(signature.returns, module)
        return replace(signature, params=params, returns=returns, module=module)
