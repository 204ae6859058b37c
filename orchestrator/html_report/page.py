"""The page around the sections: one file that loads nothing, and runs only what is in it."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from orchestrator.html_report.markup import Html, element, embed_json, join

__all__ = ["make_page"]

#: Libraries in the order in which they are needed, by the charts that need them.
_LIBRARIES = {"echarts": "echarts.min.js", "d3": "d3.min.js", "flame": "d3-flamegraph.min.js"}
#: What would end a script element early, or change how it is read.
_BREAKS_SCRIPT = ("</script", "<script", "<!--")


def make_page(
    title: str, heading: str, sections: Sequence[tuple[str, str, Html]], data: dict[str, Any]
) -> str:
    """The page. `sections`: name, title for the table of contents, and content."""
    libraries = [name for name in _LIBRARIES if _is_needed(name, sections)]
    scripts = {name: _read("vendor", _LIBRARIES[name]) for name in libraries}
    own, style = _read("assets", "report.js"), _read("assets", "report.css")
    flame_style = _read("vendor", "d3-flamegraph.css")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content=_make_policy([own, *scripts.values()], [style, flame_style]),
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
    )
    body = element(
        "body",
        element("a", "Skip to the content", href="#main", class_="skip"),
        element("header", element("h1", heading)),
        _make_contents(sections),
        element("main", join(content for _, _, content in sections), id="main"),
        element("footer", element("p", "Made by probeplan. This page loads nothing.")),
        element("script", embed_json(data), type="application/json", id="report-data"),
        *(
            element("script", _check_script(text), type="text/plain", id=f"library-{name}")
            for name, text in scripts.items()
        ),
        element("script", _check_script(own)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _make_contents(sections: Sequence[tuple[str, str, Html]]) -> Html:
    links = (element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections)
    return element("nav", element("ul", *links), aria_label="Contents")


def _is_needed(library: str, sections: Sequence[tuple[str, str, Html]]) -> bool:
    """A page without charts or flame graphs is small."""
    mark = 'data-chart="' if library == "echarts" else 'data-chart="flame"'
    return any(mark in content for _, _, content in sections)


def _make_policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Nothing is loaded, and only these scripts and styles are obeyed."""
    allowed = {"script-src": scripts, "style-src": styles}
    sources = (" ".join([name, *map(_digest, texts)]) for name, texts in allowed.items())
    return f"default-src 'none'; {'; '.join(sources)}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _check_script(text: str) -> Html:
    lower = text.lower()
    if any(mark in lower for mark in _BREAKS_SCRIPT):
        raise ValueError("a script of the report has text that ends its element")
    return Html(text)


@cache
def _read(folder: str, name: str) -> str:
    return (files(__package__) / folder / name).read_text(encoding="utf-8")
