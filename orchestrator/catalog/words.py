"""Words of people, plans and tools, made alike to compare them."""

import re
from collections.abc import Iterable

__all__ = ["fold_tool", "list_tokens", "split_words", "stem_word"]

_TOKEN = re.compile(r"[a-z0-9_]+")
#: How distributions and collections call a tool of the same name: opensnoop-bpfcc, opensnoop.bt.
_TOOL_ENDS = ("-bpfcc", "-libbpf", ".bt", ".py", "-perf", ".d")
#: Words of a question that say nothing about its subject.
_EMPTY = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "are",
        "at",
        "be",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "get",
        "has",
        "have",
        "how",
        "i",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "of",
        "on",
        "or",
        "our",
        "s",
        "so",
        "that",
        "the",
        "their",
        "them",
        "there",
        "this",
        "to",
        "us",
        "was",
        "we",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "with",
    ]
)


def split_words(texts: Iterable[str]) -> tuple[str, ...]:
    """The words of a search, in lower case, without those that any question has; all of them if
    there are no others."""
    words = [word.lower() for text in texts for word in text.split()]
    words = [word.strip("?!.,;'\"") for word in words]
    kept = dict.fromkeys(word for word in words if word)
    return tuple(word for word in kept if word not in _EMPTY) or tuple(kept)


def fold_tool(name: str) -> str:
    """A tool's name, however a distribution calls it."""
    folded = name.lower()
    for end in _TOOL_ENDS:
        folded = folded.removesuffix(end)
    return folded


def list_tokens(text: str) -> tuple[str, ...]:
    """The words in a text, in lower case; parts of names with dashes are words."""
    return tuple(_TOKEN.findall(text.lower()))


def stem_word(word: str) -> str:
    """A word without the ending of a plural or of a third person."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3]
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word
