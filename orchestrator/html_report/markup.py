"""Elements of HTML, made of text that cannot become markup.

Names of tasks, files and hosts are chosen by others: every text is escaped here, and control
characters and those that reorder text are shown as escapes, as on a terminal.
"""

import html
from collections.abc import Iterable
from typing import Any

from orchestrator.output.json_codec import encode_json
from orchestrator.plan.printable import make_printable, make_printable_lines

__all__ = ["Html", "clean_value", "element", "embed_json", "join", "lines_of_text"]

_VOID = frozenset({"br", "input", "link", "meta"})
#: In a script element, these begin markup, or end a line in old readers of JavaScript.
_UNSAFE_IN_SCRIPT = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *content: Any, **attributes: Any) -> Html:
    """An element. `content`: Html as it is, anything else as escaped text, None left out.
    `attributes`: `_` at the end of a name is dropped, and others become `-`; True: without a value;
    None or False: left out."""
    words = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{words}>")
    return Html(f"<{name}{words}>{''.join(map(_content, content))}</{name}>")


def join(parts: Iterable[Html]) -> Html:
    """Elements in a row."""
    return Html("\n".join(parts))


def lines_of_text(text: str) -> Html:
    """A text of several lines, for `pre`."""
    return Html(html.escape(make_printable_lines(text)))


def embed_json(value: Any) -> Html:
    """A value as JSON for a script element: no text in it can end the element."""
    encoded = encode_json(value)
    for char, escaped in _UNSAFE_IN_SCRIPT:
        encoded = encoded.replace(char, escaped)
    return Html(encoded.decode())


#: Larger numbers lose digits in JavaScript: they are passed as texts.
_MOST_EXACT = 1 << 53


def clean_value(value: Any) -> Any:
    """A value for `embed_json`: its texts printable, and whole numbers as texts where JavaScript
    would round them."""
    if isinstance(value, str):
        return make_printable(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _MOST_EXACT:
        return str(value)
    if isinstance(value, list | tuple):
        return [clean_value(part) for part in value]
    if isinstance(value, dict):
        return {str(clean_value(key)): clean_value(part) for key, part in value.items()}
    return value


def _content(part: Any) -> str:
    if part is None:
        return ""
    return part if isinstance(part, Html) else html.escape(make_printable(str(part)))


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(make_printable(str(value)))}"'
