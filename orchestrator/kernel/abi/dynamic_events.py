"""Private kprobe and uprobe events: defined, counted and removed through tracefs.

Syntax: Documentation/trace/kprobetrace.rst and uprobetracer.rst. Lines are appended, each with one
write; opening these files for writing without O_APPEND clears all probes of the host. Every line
comes from Event.line, whose parts are validated.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from orchestrator.kernel.abi.file_identity import FileIdentity, require_unchanged
from orchestrator.values import dataclass

TRACEFS = Path("/sys/kernel/tracing")
NAME = re.compile(r"[a-z0-9_]{1,63}")
SYMBOL = re.compile(r"(?:[A-Za-z0-9_]+:)?[A-Za-z_.$][\w.$]*", re.ASCII)
FETCH = re.compile(r"[A-Za-z_]\w*=[-+@$%\w:().,/\[\]]+", re.ASCII)
MAXACTIVE_DEFAULT = 1024
MAXACTIVE_MOST = 4096  # KRETPROBE_MAXACTIVE_MAX, kernel/trace/trace_probe.h
LINE_BYTES = 4095  # MAX_PROBE_EVENT_NAME_LEN and WRITE_BUFSIZE, kernel/trace/trace.c
BUSY_SECONDS = 3.0
BUSY_PAUSE = 0.02

GENERIC_REFUSAL = "Failed to register probe event"  # error_log, whatever the errno was
REASONS = {
    errno.ENOENT: "the kernel has no such symbol or file",
    errno.EADDRNOTAVAIL: "the symbol occurs more than once, so its address is not certain",
    errno.EILSEQ: "the offset is not the start of an instruction",
    errno.EINVAL: "the function is blacklisted or not traceable, or the kernel lacks the syntax",
    errno.EEXIST: "an event of that name is defined differently",
    errno.EPERM: "not permitted (CAP_SYS_ADMIN, or the kernel is locked down)",
    errno.EACCES: "tracefs may not be written to by this user",
    errno.EOPNOTSUPP: "this kernel has no such dynamic events",
    errno.E2BIG: "the definition is too long or has too many arguments",
    errno.ENOMEM: "not enough kernel memory",
    errno.ESTALE: "the file was replaced or changed after the offset in it was found; run again",
}


class DefinitionError(Exception):
    """The kernel refused a definition: its errno, the line, and the reason as far as it is
    known."""

    def __init__(self, code: int, line: str, why: str) -> None:
        self.errno, self.line, self.why = code, line, why
        super().__init__(f"cannot define {line!r}: {why} ({errno.errorcode.get(code, code)})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A probe event: of the kernel by `symbol`, or of a file by `path`. Validated when it is made.

    `offset` in bytes: from the symbol, or in the file. `maxactive` bounds the calls that a return
    probe of the kernel follows at once; the kernel's own default loses nested returns.
    `ref_counter` is the file offset of a USDT semaphore. `fetch` are fetch arguments
    ("NAME=ARG:TYPE"). `identity`: the file for which `offset` was found (None: whatever `path`
    names). Event names should be unique on the host: the kernel's profiles list them without their
    group.
    """

    group: str
    name: str
    symbol: str | None = None
    path: str | None = None
    identity: FileIdentity | None = None
    offset: int = 0
    returns: bool = False
    maxactive: int = MAXACTIVE_DEFAULT
    ref_counter: int = 0
    fetch: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, text in (("group", self.group), ("event", self.name)):
            _require(bool(NAME.fullmatch(text)), f"{what} name {text!r} is not [a-z0-9_]{{1,63}}")
        _require((self.symbol is None) != (self.path is None), "an event has a symbol or a path")
        _require(self.offset >= 0 and self.ref_counter >= 0, "offsets are not negative")
        _require(1 <= self.maxactive <= MAXACTIVE_MOST, f"maxactive is 1 to {MAXACTIVE_MOST}")
        if self.symbol is not None:
            _require(bool(SYMBOL.fullmatch(self.symbol)), f"{self.symbol!r} is not a symbol")
            _require(not (self.returns and self.offset), "a return probe is at offset 0")
        else:
            check_path(self.path or "")
        for argument in self.fetch:
            _require(bool(FETCH.fullmatch(argument)), f"{argument!r} is not a fetch argument")
        _require(
            len(self.line.encode()) <= LINE_BYTES,
            f"the definition is longer than {LINE_BYTES} bytes",
        )

    @property
    def full_name(self) -> str:
        """ "group/name", as in events/ of tracefs."""
        return f"{self.group}/{self.name}"

    @property
    def line(self) -> str:
        """What is written to tracefs, without the newline."""
        return " ".join([f"{self._kind_letter()}:{self.full_name}", self._location(), *self.fetch])

    def _kind_letter(self) -> str:
        if not self.returns:
            return "p"
        return "r" if self.symbol is None else f"r{self.maxactive}"

    def _location(self) -> str:
        if self.symbol is not None:
            return f"{self.symbol}+{self.offset}" if self.offset else self.symbol
        counter = f"({self.ref_counter:#x})" if self.ref_counter else ""
        return f"{self.path}:{self.offset:#x}{counter}"


def check_path(path: str) -> None:
    """Raise ValueError for a path that would change how a definition line is read.

    White space separates arguments, and the last colon the offset (trace_uprobe.c,
    __trace_uprobe_create).
    """
    plain = path.startswith("/") and path.isprintable() and not re.search(r"[\s:(),;#\\]", path)
    _require(plain, f"{path!r} is not an absolute path that a probe definition can contain")


def _require(right: bool, otherwise: str) -> None:
    if not right:
        raise ValueError(otherwise)


def define_events(
    events: Sequence[Event], journal: Callable[[str], None], *, tracefs: Path = TRACEFS
) -> None:
    """Define all events, or none: when one is refused, the others are removed again.

    `journal` is called with "group/event" before each is created. Raises DefinitionError; its errno
    is ESTALE where a file is no longer the one that the event is for.
    """
    defined: list[Event] = []
    for event in events:
        journal(event.full_name)
        try:
            _define_event(event, tracefs)
        except OSError as refused:
            reason = explain_refusal(refused.errno or 0, event.line, tracefs)
            remove_events([earlier.full_name for earlier in defined], tracefs=tracefs)
            raise DefinitionError(refused.errno or 0, event.line, reason) from None
        defined.append(event)


def _define_event(event: Event, tracefs: Path) -> None:
    """A definition holds the file that its path named when it was written, and changes nothing in
    it before the event is enabled. So a file that is the right one afterwards is the one held."""
    file = _file_for(event, tracefs)
    _require_file(event)
    _append_line(file, event.line)
    try:
        _require_file(event)
    except OSError:
        remove_events([event.full_name], tracefs=tracefs)
        raise


def _require_file(event: Event) -> None:
    if event.path is not None and event.identity is not None:
        require_unchanged(event.path, event.identity)


def _file_for(event: Event, tracefs: Path) -> Path:
    own = tracefs / ("kprobe_events" if event.symbol is not None else "uprobe_events")
    if not own.exists():
        raise OSError(errno.EOPNOTSUPP, f"{own} does not exist")
    return own


def _append_line(file: Path, line: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(handle, line.encode() + b"\n")
    finally:
        os.close(handle)


def explain_refusal(code: int, line: str, tracefs: Path = TRACEFS) -> str:
    """Why the kernel refused `line`: from its error_log if possible, else what the errno can
    mean."""
    logged = _from_error_log(line, tracefs)
    if logged and logged != GENERIC_REFUSAL:
        return logged
    return REASONS.get(code, os.strerror(code))


def _from_error_log(line: str, tracefs: Path) -> str | None:
    """The newest entry for this very line: "[time] trace_kprobe: error: TEXT", "Command: LINE"."""
    try:
        entries = (tracefs / "error_log").read_text(errors="replace").splitlines()
    except OSError:
        return None
    for text, command in reversed(list(pairwise(entries))):
        if command.strip() == f"Command: {line}":
            return text.partition("error: ")[2] or None
    return None


def remove_events(names: Iterable[str], *, tracefs: Path = TRACEFS) -> None:
    """Remove events ("group/event"), newest first; an event that is proven to be gone is not an
    error.

    An event that is still in use is retried for three seconds: a program is detached after a grace
    period only. Raises OSError (EBUSY) with the name when that was not enough.
    """
    for name in reversed(list(names)):
        deadline = time.monotonic() + BUSY_SECONDS
        while not _try_remove(name, tracefs):
            if time.monotonic() > deadline:
                raise OSError(errno.EBUSY, f"event {name} is still in use")
            time.sleep(BUSY_PAUSE)


def _try_remove(name: str, tracefs: Path) -> bool:
    for file in ("kprobe_events", "uprobe_events"):
        try:
            _append_line(tracefs / file, f"-:{name}")
        except FileNotFoundError:
            continue
        except OSError as refused:
            if refused.errno == errno.EBUSY:
                return False
            raise
        else:
            return True
    require_tracefs(tracefs)
    return not (tracefs / "events" / name).exists()


def require_tracefs(tracefs: Path) -> None:
    """Raise OSError where tracefs is not mounted, or covered: that nothing is found there does not
    prove that it is gone."""
    if not (tracefs / "events").is_dir():
        raise OSError(errno.ENOENT, "tracefs is not mounted any more, or covered", str(tracefs))


def event_id(name: str, *, tracefs: Path = TRACEFS) -> int:
    """The number of "group/event" (or "subsystem/event") for perf_event_open."""
    return int((tracefs / "events" / name / "id").read_text())


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """How often an event fired, and how often it could not run (None: unknown)."""

    hits: int
    misses: int | None


def read_profile(names: Iterable[str], *, tracefs: Path = TRACEFS) -> dict[str, Hits]:
    """Hits of events by name (without group). A name that occurs twice on the host is left out.

    kprobe_profile: "NAME HITS MISSES", misses being kprobes' and kretprobes' nmissed together.
    uprobe_profile: "FILE NAME HITS"; uprobes report no misses.
    """
    wanted = set(names)
    by_name: dict[str, list[Hits]] = {}
    for words in _read_words(tracefs / "kprobe_profile"):
        if len(words) == 3 and words[0] in wanted:
            hit = Hits(hits=int(words[1]), misses=int(words[2]))
            by_name.setdefault(words[0], []).append(hit)
    for words in _read_words(tracefs / "uprobe_profile"):
        if len(words) >= 3 and words[-2] in wanted:
            by_name.setdefault(words[-2], []).append(Hits(hits=int(words[-1]), misses=None))
    return {name: hits[0] for name, hits in by_name.items() if len(hits) == 1}


def _read_words(file: Path) -> list[list[str]]:
    try:
        return [line.split() for line in file.read_text(errors="replace").splitlines()]
    except OSError:
        return []
