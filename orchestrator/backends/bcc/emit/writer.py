"""Lines of C with their indentation, and the local variables that are declared already."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

COMMENT_WIDTH = 200


class CWriter:
    """Collects the lines of one function."""

    def __init__(self, depth: int = 0) -> None:
        self.lines: list[str] = []
        self._depth = depth
        self._declared: set[str] = set()
        self._top: int | None = None
        self._at_top: set[str] = set()

    def line(self, text: str) -> None:
        """One line at the current depth."""
        self.lines.append("\t" * self._depth + text)

    def comment(self, text: str) -> None:
        """A comment; `text` may come from a plan."""
        self.line(f"/* {comment_text(text)} */")

    def mark_top(self) -> None:
        """Mark this line as the top of the function, for `at_top`."""
        self._top = len(self.lines)

    def at_top(self, name: str, *lines: str) -> None:
        """Write the lines that declare `name` at the top of the function, once; without a marked
        top, here."""
        if self._top is None:
            for text in lines if self.once(name) else ():
                self.line(text)
        elif name not in self._at_top:
            self._at_top.add(name)
            self.lines[self._top : self._top] = ["\t" + text for text in lines]
            self._top += len(lines)

    def once(self, name: str) -> bool:
        """True the first time that `name` is asked for in this block or an enclosing one."""
        if name in self._declared:
            return False
        self._declared.add(name)
        return True

    def knows(self, name: str) -> bool:
        """Whether `name` was asked for in this block or an enclosing one."""
        return name in self._declared

    @contextmanager
    def block(self, head: str = "", tail: str = "") -> Iterator[None]:
        """`head {` … `} tail`; what is declared inside is forgotten at its end."""
        self.line(f"{head} {{".lstrip())
        outside = set(self._declared)
        self._depth += 1
        yield
        self._depth -= 1
        self._declared = outside
        self.line(f"}} {tail}".rstrip())

    def text(self) -> str:
        """Everything, with a newline at its end."""
        return "\n".join(self.lines) + "\n"


def comment_text(text: str) -> str:
    """`text` made safe for a C comment: printable ASCII without comment delimiters, backslashes or
    trigraphs, at most COMMENT_WIDTH bytes. No other text of a plan reaches the C."""
    plain = re.sub(r"[^ -~]", "?", text).replace("*/", "* /").replace("/*", "/ *")
    plain = re.sub(r"\?(?=\?)", "? ", plain).replace("\\", "|")  # of three, both pairs
    return plain if len(plain) <= COMMENT_WIDTH else plain[: COMMENT_WIDTH - 3] + "..."
