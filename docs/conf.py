"""How Sphinx builds this site: `make docs`."""

project = "probeplan"
author = "the probeplan authors"
copyright = "the probeplan authors, Apache-2.0"  # noqa: A001  # Sphinx's name for it

extensions = ["myst_parser"]
html_theme = "furo"
html_title = "probeplan"
html_copy_source = False
html_show_sphinx = False

#: Links to headings are checked: a heading of these depths has an anchor of its text.
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
# `console` blocks show sessions whose output is cut with an ellipsis: no lexer reads them whole.
suppress_warnings = ["misc.highlighting_failure"]
