"""Characters that a reviewer does not see, or that show text other than YAML reads it.

Categories of the Unicode character database: Cc but for tabs and line feeds, Cf (bidirectional
controls, characters without width, tags), Zl, Zp, Cs, and the noncharacters U+FFFE and U+FFFF.
YAML 1.1 ends a line, and with it a comment, at U+0085, U+2028 and U+2029 (YAML 1.1, section 4.2);
editors and diffs do not.
"""

import re

__all__ = ["HIDDEN", "describe_character"]

_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
_SEPARATORS = r"\u2028\u2029"
_FORMATS = (
    r"\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
_NO_CHARACTERS = r"\ud800-\udfff\ufffe\uffff"

#: One such character, also a carriage return.
HIDDEN = re.compile(f"[{_CONTROLS}{_SEPARATORS}{_FORMATS}{_NO_CHARACTERS}]")
_CONTROL = re.compile(f"[{_CONTROLS}]")
_LINE_ENDS = re.compile(f"[\r\x85{_SEPARATORS}]")


def describe_character(char: str) -> str:
    """What a hidden character is, with its code point, for a message."""
    if _LINE_ENDS.match(char):
        kind = "line end"
    elif _CONTROL.match(char):
        kind = "control character"
    else:
        kind = "invisible character"
    return f"{kind} U+{ord(char):04X}"
