"""Bytes → `Document`: plain data with the position of every key and value."""

from collections.abc import Mapping
from typing import Any

from orchestrator.plan.document.compose import Composer
from orchestrator.plan.document.document_paths import DocumentPath, EntryPosition
from orchestrator.plan.document.source import decode_source
from orchestrator.plan.findings import Finding, PlanError, Position
from orchestrator.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A plan as data. `places` maps the path of each value to its place; `source` is as read.

    `lost` holds the paths of values that were refused and are missing from `data`, `folded` those
    of texts over several lines, within which columns are unknown.
    """

    data: dict[str, Any]
    places: Mapping[DocumentPath, EntryPosition]
    file: str
    source: bytes
    lost: frozenset[DocumentPath] = frozenset()
    folded: frozenset[DocumentPath] = frozenset()

    def key_position(self, path: DocumentPath) -> Position:
        """The position of the key at `path`, or of its nearest parent that has one."""
        return self._position_of(path).key

    def value_position(self, path: DocumentPath) -> Position:
        """The position of the value at `path`, or of its nearest parent that has one."""
        return self._position_of(path).value

    def _position_of(self, path: DocumentPath) -> EntryPosition:
        while path and path not in self.places:
            path = path[:-1]
        start = Position(file=self.file, line=1, column=1)
        return self.places.get(path, EntryPosition(key=start, value=start))


def parse_document(source: bytes, file: str) -> tuple[Document | None, list[Finding]]:
    """Read YAML. Without a document the findings say why it could not be read at all."""
    try:
        text = decode_source(source, file)
        composer = Composer(text, file)
        data = composer.compose_document()
    except PlanError as error:
        return None, list(error.findings)
    document = Document(
        data=data,
        places=composer.places,
        file=file,
        source=source,
        lost=frozenset(composer.lost),
        folded=frozenset(composer.folded),
    )
    return document, composer.findings
