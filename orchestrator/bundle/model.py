"""What a bundle holds. Kept free of files, compilers and kernels: these are in other modules."""

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from orchestrator.backends.bcc.compiler.places import OpenProgram
from orchestrator.values import dataclass

__all__ = ["Bundle", "BundledProgram", "Fetching", "MatrixRow", "Settings", "Trampolines"]
__all__ += ["BUNDLE_FORMAT", "shorten_key"]

BUNDLE_FORMAT = "probeplan-bundle/1"

#: Whether the programs of a variant use what a kernel may lack: `as recorded`, what the recorded
#: kernel has; `none`, made as for a host that has none; `added`, as for a host that has what the
#: recorded kernel lacks.
Fetching = Literal["as recorded", "none", "added"]
Trampolines = Literal["as recorded", "none"]


def shorten_key(key: str) -> str:
    """The first digits of a program's key, as git shows commits: findings and the matrix of
    `probeplan bundle --check` show as many."""
    return key[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was given to the plan, as text: `params` by --set, `target` by --target, `additions` by
    --by and --enrich. `command`: for runs with `-- COMMAND`, whose descendants are followed."""

    params: Mapping[str, str] = field(default_factory=dict)
    target: Mapping[str, str] = field(default_factory=dict)
    additions: Mapping[str, str] = field(default_factory=dict)
    command: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledProgram:
    """Instructions with their open places. `slots`: what each open number is, by slot. `shape`:
    everything that the text depends on besides those numbers, aspect by aspect, in words."""

    program: OpenProgram
    slots: tuple[str, ...]
    shape: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """What the plan comes to on one recorded kernel, under one of the settings and one variant.

    `kernel`: the recording's name for people; `build_id` and `trimmed`: None where that
    was not recorded.
    `backend`: None where none will do, and `reasons` say why, one finding each; where tracefs is
    taken, they say why not bcc. `key`: the program's, None unless the backend is bcc.
    `mechanisms`: by attach point; `alternatives`: by probe, the one taken, with those not taken
    and why in `skipped`. `memory`: bytes in the kernel.
    """

    kernel: str
    release: str
    arch: str
    build_id: str | None
    trimmed: bool | None
    settings: Settings
    fetching: Fetching
    trampolines: Trampolines
    backend: str | None
    key: str | None
    mechanisms: Mapping[str, str]
    alternatives: Mapping[str, str]
    skipped: Mapping[str, str]
    memory: int | None
    reasons: tuple[str, ...]

    @property
    def is_recorded(self) -> bool:
        """Whether the row is of the kernel as it was recorded."""
        return self.fetching == self.trampolines == "as recorded"

    @property
    def short_key(self) -> str:
        """The key for people; empty where there is none."""
        return shorten_key(self.key or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A plan with its programs by key. `created` and `expires`: seconds since the epoch.
    `builder`: the release of probeplan; `compiler`: bcc's version, a part of every key;
    `arch`: of the kernels that the programs are for; `plan_file`: the plan's file name, for
    positions in findings; `plan_text`: its bytes, as they were read."""

    created: int
    expires: int | None
    builder: str
    compiler: str
    arch: str
    plan_name: str
    plan_file: str
    plan_text: bytes
    settings: tuple[Settings, ...]
    matrix: tuple[MatrixRow, ...]
    programs: Mapping[str, BundledProgram]
