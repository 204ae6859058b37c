"""The file format of recorded facts: the files that facts are read from, trimmed, in one xz stream.

Inside: one line of JSON (the host's release and architecture, the features detected there, and the
list of files with their lengths or the errno that reading gave), then the contents end to end.
Loading makes a tree of them, which is read like a live system.
"""

import errno
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from orchestrator.kernel.abi.elf_notes import RUNNING_NOTES, keep_build_id
from orchestrator.kernel.feature import Feature
from orchestrator.kernel.kallsyms import add_aliases, function_lines
from orchestrator.kernel.tree import TRACING_PATHS, RecordedTree, Tree
from orchestrator.values import dataclass

FORMAT = "probeplan-facts/1"
_MAX_BYTES = 256 << 20  # ten times what any kernel needs: refuses decompression bombs
_PRINT_FORMAT = b"\nprint fmt:"
_DYNAMIC = re.compile(rb"^\w+:([\w-]+)/([\w-]+)", re.MULTILINE)


class RecordingError(ValueError):
    """The file is not a recording of probeplan, or is damaged; the text names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The contents of a recording: facts about the host, and its files. `trimmed`: whether types
    were left out of its BTF after the kernel gave it; None: that was not recorded."""

    tree: Tree
    release: str
    arch: str
    page_size: int
    features: Mapping[str, Feature]
    trimmed: bool | None = None


def write_recording(
    kept: Recording, tracepoints: Iterable[tuple[str, str]], tracing: str | None, preset: int
) -> bytes:
    """The recording as bytes, compressed by xz's `preset`.

    Dynamic events that exist on the host are left out.
    """
    files = dict(_read_files(kept.tree, tracepoints, tracing))
    head = {
        "format": FORMAT,
        "release": kept.release,
        "arch": kept.arch,
        "page_size": kept.page_size,
        "trimmed": kept.trimmed,
        "features": {name: [f.state, f.detail] for name, f in sorted(kept.features.items())},
        "files": [[p, -c if isinstance(c, int) else len(c)] for p, c in files.items()],
    }
    body = b"".join(content for content in files.values() if isinstance(content, bytes))
    text = json.dumps(head, separators=(",", ":")).encode() + b"\n" + body
    import lzma  # a run reads and writes no recordings

    return lzma.compress(text, preset=preset)


def read_recording(data: bytes, source: str) -> Recording:
    """Read the bytes that `write_recording` made. Raises RecordingError, quoting `source`."""
    text = _decompress(data, source)
    line, _, body = text.partition(b"\n")
    try:
        head = json.loads(line)
        if head["format"] != FORMAT:
            raise RecordingError(
                f"{source}: recorded as {head['format']!r}, this release reads {FORMAT!r}: "
                "record the host again with `probeplan facts`"
            )
        return Recording(
            tree=RecordedTree(_decode_difference(dict(_split_files(body, head["files"])))),
            release=str(head["release"]),
            arch=str(head["arch"]),
            page_size=int(head["page_size"]),
            features={n: Feature(state=s, detail=d) for n, (s, d) in head["features"].items()},
            trimmed=None if head.get("trimmed") is None else bool(head["trimmed"]),
        )
    except _MISFITS as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{source}: not facts recorded by probeplan ({error!r})") from error


#: What JSON of another shape leads to: also numbers without end, and lists nested without end.
_MISFITS = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def _decompress(data: bytes, source: str) -> bytes:
    import lzma

    try:
        decompressor = lzma.LZMADecompressor(memlimit=_MAX_BYTES)
        text = decompressor.decompress(data, max_length=_MAX_BYTES)
    except lzma.LZMAError as error:
        raise RecordingError(
            f"{source}: not facts recorded by probeplan, which are an .xz file: {error}"
        ) from error
    if not decompressor.eof:
        raise RecordingError(f"{source}: cut short, or expands to more than {_MAX_BYTES} bytes")
    return text


def _split_files(body: bytes, files: list[tuple[str, int]]) -> Iterator[tuple[str, bytes | int]]:
    """Negative lengths are the errno that reading the file gave."""
    at = 0
    for path, length in files:
        if length < 0:
            yield path, -length
            continue
        yield path, body[at : at + length]
        at += length
    if at != len(body):
        raise ValueError(f"{len(body)} bytes of files, {at} listed")


def _read_files(
    tree: Tree, tracepoints: Iterable[tuple[str, str]], tracing: str | None
) -> Iterator[tuple[str, bytes | int]]:
    for path, trim in _PLAIN.items():
        yield path, _read_file(tree, path, trim)
    for name in tree.names(_BTF):
        yield f"{_BTF}/{name}", _read_file(tree, f"{_BTF}/{name}", _as_is)
    if tracing is None:
        return
    mounted = TRACING_PATHS[0]
    yield f"{mounted}/README", _read_file(tree, f"{tracing}/README", _as_is)
    symbols = _read_file(tree, _KALLSYMS, _keep_functions)
    listing = _read_file(tree, f"{tracing}/{_TRACEABLE}", _as_is)
    if isinstance(symbols, bytes) and isinstance(listing, bytes):
        listing = _encode_difference(symbols, _with_aliases(tree, listing))
    yield f"{mounted}/{_TRACEABLE}", listing
    foreign = _dynamic_events(tree, tracing)
    for category, event in tracepoints:
        if (category, event) not in foreign:
            path = f"events/{category}/{event}/format"
            yield f"{mounted}/{path}", _read_file(tree, f"{tracing}/{path}", _shorten_print_format)


def _with_aliases(tree: Tree, listing: bytes) -> bytes:
    """The listing with all names of each function, since addresses, which relate them, are not
    kept."""
    kallsyms = _read_file(tree, _KALLSYMS, _as_is)
    names = {line.split()[0] for line in listing.splitlines() if line.strip()}
    full = add_aliases(kallsyms, names) if isinstance(kallsyms, bytes) else names
    return b"\n".join(sorted(full)) + b"\n"


def _dynamic_events(tree: Tree, tracing: str) -> set[tuple[str, str]]:
    """Events added by existing probes: lines of dynamic_events are `TYPE:GROUP/EVENT
    DEFINITION`."""
    listing = _read_file(tree, f"{tracing}/dynamic_events", _as_is)
    events = _DYNAMIC.findall(listing) if isinstance(listing, bytes) else []
    return {(group.decode(), event.decode()) for group, event in events}


def _read_file(tree: Tree, path: str, trim: Callable[[bytes], bytes]) -> bytes | int:
    try:
        return trim(tree.read(path))
    except OSError as error:
        return error.errno or errno.EIO


def _keep_functions(kallsyms: bytes) -> bytes:
    """Functions only, without addresses, sorted by name: a third of the size."""
    lines = (re.sub(rb"^[0-9a-f]+ (?=\w )", b"", line) for line in function_lines(kallsyms))
    return b"".join(line + b"\n" for line in sorted(lines, key=lambda line: line[2:]))


def _keep_names(listing: bytes) -> bytes:
    """Sorted; the blacklist without its addresses (`0xstart-0xend<TAB>name`)."""
    return b"\n".join(sorted(line.split(b"\t")[-1] for line in listing.splitlines())) + b"\n"


def _shorten_print_format(text: bytes) -> bytes:
    """Without what the print format says, unless it has names for numbers. That there is one is
    kept, from which it follows that there are no others."""
    at = text.find(_PRINT_FORMAT)
    if at < 0 or b"__print_symbolic" in text or b"__print_flags" in text:
        return text
    return text[:at] + _PRINT_FORMAT + b"\n"


def _as_is(text: bytes) -> bytes:
    return text


def _encode_difference(symbols: bytes, listing: bytes) -> bytes:
    """The traceable functions as what sets them apart from kallsyms': a sixth of the size."""
    functions = {line.split()[1] for line in symbols.splitlines()}
    listed = {line.split()[0] for line in listing.splitlines()}
    lines = [b"-" + name for name in functions - listed] + [b"+" + n for n in listed - functions]
    return b"".join(line + b"\n" for line in sorted(lines))


def _decode_difference(files: dict[str, bytes | int]) -> dict[str, bytes | int]:
    """The files with the list of traceable functions written out again, without modules."""
    path = f"{TRACING_PATHS[0]}/{_TRACEABLE}"
    symbols, difference = files.get(_KALLSYMS), files.get(path)
    if isinstance(symbols, bytes) and isinstance(difference, bytes):
        names = {line.split()[1] for line in symbols.splitlines()}
        changes = difference.splitlines()
        names -= {line[1:] for line in changes if line.startswith(b"-")}
        names |= {line[1:] for line in changes if line.startswith(b"+")}
        files[path] = b"".join(name + b"\n" for name in sorted(names))
    return files


_KALLSYMS = "proc/kallsyms"
_TRACEABLE = "available_filter_functions"
_BTF = "sys/kernel/btf"
_PLAIN: dict[str, Callable[[bytes], bytes]] = {
    _KALLSYMS: _keep_functions,
    "sys/kernel/debug/kprobes/blacklist": _keep_names,
    "sys/devices/system/cpu/online": _as_is,
    "sys/devices/system/cpu/possible": _as_is,
    RUNNING_NOTES: keep_build_id,
}
