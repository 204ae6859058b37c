"""Which plans answer a question: all words have to match, and the closest come first."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from orchestrator.catalog.areas import AREAS
from orchestrator.catalog.entry import CatalogEntry
from orchestrator.catalog.words import fold_tool, list_tokens, split_words, stem_word
from orchestrator.plan.nearest import find_nearest

__all__ = ["answers_tool", "find_plans", "suggest_plans"]

#: How far a match is from what was meant. A tool's name or a plan's is meant exactly.
_EXACT, _LABEL, _NAME, _QUESTION, _TOOL_PART, _POINT, _PART = 0, 1, 2, 3, 4, 6, 8
_SHORTEST_PART = 5  # of a word: "lock" is not meant to find what has "block"
_MOST_WORDS = 32  # of a search; the rest would find nothing more


def find_plans(texts: Sequence[str], entries: Iterable[CatalogEntry]) -> list[CatalogEntry]:
    """The entries that match every word of `texts`, the closest first; all of them, in their order,
    where there are no words."""
    words = split_words(texts)[:_MOST_WORDS]
    if not words:
        return list(entries)
    found = ((_measure_all(words, entry), entry) for entry in entries)
    ranked = [(distance, entry) for distance, entry in found if distance is not None]
    return [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])]


def answers_tool(word: str, entry: CatalogEntry) -> bool:
    """Whether the plan answers the question of the tool called `word`."""
    return fold_tool(word) in map(fold_tool, entry.equivalents)


def suggest_plans(
    texts: Sequence[str], entries: Sequence[CatalogEntry], most: int = 3
) -> list[CatalogEntry]:
    """Up to `most` entries that may be meant where no entry matches all words: those that match
    most of them, misspelt words being read as the nearest that there are."""
    words = split_words(texts)[:_MOST_WORDS]
    read = tuple(dict.fromkeys(filter(None, map(partial(_correct, entries), words))))
    found = [(_rank_partial(read, entry), entry) for entry in entries]
    ranked = sorted((pair for pair in found if pair[0][0]), key=lambda pair: pair[0])
    best = ranked[0][0][0] if ranked else 0
    return [entry for rank, entry in ranked[:most] if rank[0] == best]


def _rank_partial(words: Sequence[str], entry: CatalogEntry) -> tuple[int, int]:
    """Minus how many words match, then how far they are."""
    distances = [one for word in words if (one := _measure(word, entry)) is not None]
    return -len(distances), sum(distances)


def _correct(entries: Sequence[CatalogEntry], word: str) -> str:
    """The word if any entry has it, else the nearest that one has; "" where none is near."""
    if any(_measure(word, entry) is not None for entry in entries):
        return word
    known = {one for entry in entries for one in _list_known(entry) if len(one) > 2}
    return next(iter(find_nearest(word, sorted(known))), "")


def _list_known(entry: CatalogEntry) -> Iterator[str]:
    yield entry.name
    yield from map(fold_tool, entry.equivalents)
    yield from entry.tags
    yield from list_tokens(entry.name)
    yield from list_tokens(entry.question)


def _measure_all(words: Sequence[str], entry: CatalogEntry) -> int | None:
    """The sum of the words' distances; None if one does not match."""
    distances = [_measure(word, entry) for word in words]
    known = [distance for distance in distances if distance is not None]
    return sum(known) if len(known) == len(distances) else None


def _measure(word: str, entry: CatalogEntry) -> int | None:
    """How far the entry is from a word; None if it does not match."""
    return min((found for found in _list_distances(word, entry)), default=None)


def _list_distances(word: str, entry: CatalogEntry) -> Iterator[int]:
    stem = stem_word(word)
    if word == entry.name.lower() or answers_tool(word, entry):
        yield _EXACT
    if stem in (stem_word(label.lower()) for label in (entry.area, *entry.tags)):
        yield _LABEL
    if _has_start(stem, entry.name):
        yield _NAME
    texts = (entry.question, AREAS.get(entry.area, ""), *entry.tags)
    if any(_has_start(stem, text) for text in texts):
        yield _QUESTION
    if any(word in fold_tool(tool) for tool in entry.equivalents):
        yield _TOOL_PART
    if any(_has_start(word, point) or word in point.lower().split(":") for point in entry.points):
        yield _POINT
    if _has_part(word, entry):
        yield _PART


def _has_start(start: str, text: str) -> bool:
    """Whether a word of the text begins so."""
    return any(token.startswith(start) for token in list_tokens(text))


def _has_part(part: str, entry: CatalogEntry) -> bool:
    """Whether a part of a probed name (mutex_LOCK) begins so, or a long one is anywhere."""
    texts = [text.lower() for text in (entry.name, entry.question, *entry.points)]
    if any(_has_start(part, point.replace("_", " ")) for point in entry.points):
        return True
    return len(part) >= _SHORTEST_PART and any(part in text for text in texts)
