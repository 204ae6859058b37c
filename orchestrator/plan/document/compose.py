"""YAML events → plain data, with the position of every key and value.

Reading events bounds depth, size and the expansion of aliases during parsing, and gives scalars as
they were written, before YAML 1.1 retypes them.
"""

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

import yaml

from orchestrator.plan.document.document_paths import DocumentPath, EntryPosition
from orchestrator.plan.document.scalars import closes_split, opens_split, resolve_scalar
from orchestrator.plan.findings import Finding, PlanError, Position, plan_error
from orchestrator.values import dataclass

MAX_DEPTH = 24
MAX_NODES = 20_000

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class _Pending:
    """An entry of a flow mapping whose expression a comma has split in two."""

    path: DocumentPath
    pieces: list[str] = field(default_factory=list)


class Composer:
    """Events to data. Aliases are replayed from the events of their anchor, under one budget."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.lines = text.splitlines()
        self.places: dict[DocumentPath, EntryPosition] = {}
        self.findings: list[Finding] = []
        self.anchors: dict[str, list[Any]] = {}
        self.recording: list[list[Any]] = []
        self.lost: set[DocumentPath] = set()
        self.folded: set[DocumentPath] = set()
        self.nodes = 0
        self.events = self.read_events()

    # -- reading

    def read_events(self) -> Iterator[Any]:
        """The YAML events of the text. Raises PlanError PP004."""
        loader = _LOADER(self.text)
        try:
            while loader.check_event():
                yield loader.get_event()
        except yaml.MarkedYAMLError as error:
            raise self.syntax_error(error) from None
        except yaml.YAMLError as error:
            raise plan_error("PP004", f"not YAML: {error}", Position(file=self.file)) from None
        finally:
            loader.dispose()

    def syntax_error(self, error: yaml.MarkedYAMLError) -> PlanError:
        """What the YAML reader refused, with a hint, as PlanError PP004."""
        mark = error.problem_mark or error.context_mark
        place = self.position_of(mark) if mark else Position(file=self.file)
        problem = " ".join(filter(None, (error.context, error.problem)))
        if mark and "\t" in self.source_line(mark.line)[: mark.column + 1]:
            return plan_error("PP004", "a tab indents this line", place, "indent with spaces")
        return plan_error("PP004", f"not YAML: {problem}", place, _syntax_hint(problem))

    def next_event(self) -> Any:
        """The next event, which is also added to the anchors that are open."""
        event = next(self.events)
        for record in self.recording:
            record.append(event)
        return event

    def position_of(self, mark: Any) -> Position:
        """The position of a YAML mark."""
        return Position(file=self.file, line=mark.line + 1, column=mark.column + 1)

    def source_line(self, number: int) -> str:
        """A line of the text by its number from 0; "" beyond the end."""
        return self.lines[number] if number < len(self.lines) else ""

    def content_start(self, event: Any) -> Position:
        """Where a scalar's content begins: after the quote, or on a block's first line."""
        start = self.position_of(event.start_mark)
        style = getattr(event, "style", None)
        if style in ("'", '"'):
            return start.shifted(1)
        if style in ("|", ">"):
            line = self.source_line(start.line)
            indent = len(line) - len(line.lstrip(" "))
            return Position(file=self.file, line=start.line + 1, column=indent + 1)
        return start

    def add_finding(self, code: str, message: str, position: Position, hint: str = "") -> None:
        """Add one finding."""
        self.findings.append(Finding(code=code, message=message, position=position, hint=hint))

    # -- structure

    def compose_document(self) -> dict[str, Any]:
        """The data of the only document. Raises PlanError PP005 where it is no mapping."""
        self.next_event()
        first = self.next_event()
        if isinstance(first, yaml.StreamEndEvent):
            hint = "a plan starts with `apiVersion: probeplan/v1`"
            raise plan_error("PP005", "the file contains no plan", self.place_of(()).value, hint)
        data = self.compose_node(self.next_event(), (), 0)
        self.next_event()
        after = self.next_event()
        if isinstance(after, yaml.DocumentStartEvent):
            hint = "put each plan into a separate file"
            raise plan_error(
                "PP005", "a second document begins here", self.position_of(after.start_mark), hint
            )
        if isinstance(data, dict):
            return data
        shown = "a list" if isinstance(data, list) else f"{data!r:.40}"
        hint = "a plan is a mapping that starts with `apiVersion: probeplan/v1`"
        raise plan_error(
            "PP005", f"the file contains {shown}, not a plan", self.place_of(()).value, hint
        )

    def place_of(self, path: DocumentPath) -> EntryPosition:
        """The positions of the entry at `path`; the start of the file where there is none."""
        start = Position(file=self.file, line=1, column=1)
        return self.places.get(path, EntryPosition(key=start, value=start))

    def compose_node(
        self, event: Any, path: DocumentPath, depth: int, key: Position | None = None
    ) -> Any:
        """The value that begins with `event`; None when it was refused."""
        self.nodes += 1
        start = self.content_start(event)
        self.places[path] = EntryPosition(key=key or start, value=start)
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            deep = depth > MAX_DEPTH
            bound = f"{MAX_DEPTH} levels" if deep else f"{MAX_NODES} values, aliases expanded"
            message = f"the plan {'nests too deeply' if deep else 'grows too large'} here"
            raise plan_error("PP010", message, start, f"at most {bound}")
        if isinstance(event, yaml.AliasEvent):
            return self.compose_alias(event, path, depth, key)
        if event.anchor is None:
            return self.compose_value(event, path, depth)
        self.recording.append(record := [event])
        value = self.compose_value(event, path, depth)
        self.recording.pop()
        self.anchors[event.anchor] = record
        return value

    def compose_alias(
        self, event: Any, path: DocumentPath, depth: int, key: Position | None
    ) -> Any:
        """The value of an alias: its anchor's events again. Raises PlanError PP004."""
        record = self.anchors.get(event.anchor)
        if record is None:
            place = self.position_of(event.start_mark)
            hint = f"define it before with `&{event.anchor}`; it must not contain itself"
            raise plan_error("PP004", f"the alias *{event.anchor} is not defined here", place, hint)
        live, recording = self.events, self.recording
        self.events, self.recording = iter(record[1:]), []
        value = self.compose_node(_without_anchor(record[0]), path, depth, key)
        self.events, self.recording = live, recording
        return value

    def compose_value(self, event: Any, path: DocumentPath, depth: int) -> Any:
        """The value that begins with `event`, whatever its kind."""
        if isinstance(event, yaml.MappingStartEvent):
            return self.compose_mapping(event, path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.compose_sequence(event, path, depth)
        return self.compose_scalar(event, path)

    def compose_scalar(self, event: Any, path: DocumentPath) -> str | int | bool | None:
        """The value of a scalar; None when it was refused."""
        value, finding = resolve_scalar(event, self.content_start(event))
        if finding:
            self.findings.append(finding)
        if value is None:
            self.lost.add(path)
        if event.end_mark.line != event.start_mark.line:
            self.folded.add(path)
        return value

    def compose_sequence(self, event: Any, path: DocumentPath, depth: int) -> list[Any]:
        """The items of a list, without refused ones."""
        self.check_tag(event)
        items: list[Any] = []
        split: str | None = None
        while not isinstance(item := self.next_event(), yaml.SequenceEndEvent):
            if split is not None and isinstance(item, yaml.ScalarEvent):
                split += f", {item.value}"
                if closes_split(split):
                    items[-1], split = split, None
                continue
            value = self.compose_node(item, (*path, len(items)), depth + 1)
            if value is None:
                self.places.pop((*path, len(items)), None)
                continue
            items.append(value)
            if event.flow_style and opens_split(item):
                split = self.report_split(item)
        return items

    def compose_mapping(self, event: Any, path: DocumentPath, depth: int) -> dict[str, Any]:
        """The entries of a mapping, without refused ones."""
        self.check_tag(event)
        entries: dict[str, Any] = {}
        firsts: dict[str, Position] = {}
        split: _Pending | None = None
        while not isinstance(head := self.next_event(), yaml.MappingEndEvent):
            if split is not None and isinstance(head, yaml.ScalarEvent):
                split = self.join_split(split, head, entries)
                continue
            name = self.key_name(head, path, depth)
            place, item = self.content_start(head), self.next_event()
            if name is None or name in firsts:
                self.skip_value(item, path, depth)
                if name is not None:
                    self.report_duplicate(name, place, firsts[name])
                continue
            firsts[name] = place
            value = self.compose_node(item, (*path, name), depth + 1, place)
            if value is not None:
                entries[name] = value
            if event.flow_style and opens_split(item):
                split = _Pending(path=(*path, name), pieces=[self.report_split(item)])
        return entries

    def report_split(self, event: Any) -> str:
        """Report an expression that a comma splits; its first part."""
        self.add_finding(
            "PP011",
            f"a comma splits the expression {event.value!r} in two",
            self.content_start(event),
            'inside { } and [ ], put an expression with commas into quotes: "(a, b)"',
        )
        return str(event.value)

    def join_split(self, split: _Pending, head: Any, entries: dict[str, Any]) -> _Pending | None:
        """Join the pieces of a split expression again, so that it is reported once."""
        value = self.next_event()
        split.pieces.append(head.value)
        if isinstance(value, yaml.ScalarEvent) and value.value:
            split.pieces[-1] += f": {value.value}"
        elif not isinstance(value, yaml.ScalarEvent):
            self.skip_value(value, split.path, len(split.path))
        text = ", ".join(split.pieces)
        entries[str(split.path[-1])] = text
        return None if closes_split(text) else split

    def key_name(self, event: Any, path: DocumentPath, depth: int) -> str | None:
        """The name of a key; None when it was refused."""
        place = self.position_of(event.start_mark)
        if not isinstance(event, yaml.ScalarEvent):
            self.skip_value(event, path, depth)
            self.add_finding(
                "PP009", "a key must be a plain word", place, "quote it, or remove `?`"
            )
            return None
        if event.value == "<<" and event.implicit[0]:
            hint = "write the keys out, or share expressions with `let`"
            self.add_finding(
                "PP009", "the merge key << is not part of the plan language", place, hint
            )
            return None
        value, finding = resolve_scalar(event, self.content_start(event))
        if finding:
            self.findings.append(_as_key(finding, event.value))
            return event.value if finding.code == "PP008" else None
        if isinstance(value, str):
            return value
        if len(path) == 2 and path[0] == "labels":  # the numbers that a plan gives names to
            return str(event.value)
        hint = f'names are text; quote it if you mean it: "{event.value}"'
        self.add_finding("PP009", f"the key {event.value!r} is not text to YAML", place, hint)
        return None

    def report_duplicate(self, name: str, place: Position, first: Position) -> None:
        """Report a key that is already in the mapping."""
        message = f"duplicate key {name!r}"
        self.add_finding(
            "PP006", message, place, f"first defined on line {first.line}; remove one of them"
        )

    def skip_value(self, event: Any, path: DocumentPath, depth: int) -> None:
        """Skip a value that is not kept, and drop its findings."""
        findings = len(self.findings)
        self.compose_node(event, (*path, "\0skipped"), depth + 1)
        del self.findings[findings:]

    def check_tag(self, event: Any) -> None:
        """Report a tag, which plans must not have."""
        if event.tag and not event.implicit:
            place = self.position_of(event.start_mark)
            self.add_finding("PP009", f"the tag {event.tag!r} is not allowed", place, "remove it")


def _without_anchor(event: Any) -> Any:
    if isinstance(event, yaml.ScalarEvent):
        return yaml.ScalarEvent(
            None,
            event.tag,
            event.implicit,
            event.value,
            event.start_mark,
            event.end_mark,
            event.style,
        )
    return type(event)(
        None, event.tag, event.implicit, event.start_mark, event.end_mark, event.flow_style
    )


def _syntax_hint(problem: str) -> str:
    if "flow" in problem:
        return "inside { } and [ ], put expressions with commas or brackets into quotes"
    if "mapping values are not allowed" in problem:
        return "put text that contains `: ` into quotes"
    if "alias" in problem or "anchor" in problem:
        return "text that starts with * or & needs quotes"
    if "cannot start any token" in problem:
        return "text that starts with % @ or ` needs quotes"
    return "check indentation, quotes and brackets on this line and the one before"


def _as_key(finding: Finding, text: str) -> Finding:
    """A finding about a plain word that YAML reads as something else, where the word is a key."""
    if finding.code not in ("PP007", "PP008") or not text:
        return finding
    hint = f'quote the key: "{text[:40]}": …, or give it another name'
    is_null = finding.code == "PP007"
    message = f"YAML reads the key {text[:40]!r} as no value" if is_null else finding.message
    return replace(finding, message=message, hint=hint)
