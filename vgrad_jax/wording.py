"""Words around numbers and names: a count with its noun, and a user's text on a page and in a figure."""

import re
import unicodedata

__all__ = ["LONGEST_NAME", "counted", "is_writable", "literal", "shortened", "visible"]

LONGEST_NAME = 48
"""Characters of a name in a figure; a longer name loses its middle."""

NO_WIDTH = "\u200b"

HIDDEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]"
)
"""Control characters but for line breaks and tabs, halves of surrogate pairs, and marks of the direction."""


def counted(count: int | float, noun: str, plural: str = "", *, form: str = "") -> str:
    """Return a count and its noun, in the plural unless the count is shown as 1.

    Args:
        count: the number.
        noun: in the singular.
        plural: of the noun; by default the noun with an "s".
        form: the number's format, such as ".0f" or "+.0f".

    >>> counted(1, "epoch"), counted(0, "epoch"), counted(1.2, "epoch", form=".0f")
    ('1 epoch', '0 epochs', '1 epoch')
    """
    shown = f"{count:{form}}"
    return f"{shown} {noun if shown.lstrip('+-') == '1' else plural or f'{noun}s'}"


def literal(text: str, longest: int | None = LONGEST_NAME) -> str:
    r"""Return a user's text as Matplotlib draws it character by character.

    A pair of dollar signs begins a formula there, and a legend leaves out a label that begins with an underscore.
    Control characters, line breaks among them, become spaces.

    Args:
        text: such as the name of an arm or of a layer.
        longest: characters of the result at the most, the ones in the middle being left out; None for no limit.

    >>> literal("a$b$"), literal("two\nlines")
    ('a\\$b\\$', 'two lines')
    """
    drawn = visible("".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text))
    drawn = (drawn if longest is None else shortened(drawn, longest)).replace("$", r"\$")
    return f"{NO_WIDTH}{drawn}" if drawn.startswith("_") else drawn


def shortened(text: str, longest: int) -> str:
    """Return a text with the middle left out where it has more characters than `longest`.

    >>> shortened("glorot_uniform", 10)
    'glorot…orm'
    """
    tail = (longest - 1) // 3
    return text if len(text) <= longest else f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"


def visible(text: str) -> str:
    r"""Return a user's text with the signs that nobody sees, or that change what is around them, as escapes.

    These are control characters but for line breaks and tabs, halves of surrogate pairs, and marks of the direction.

    >>> visible("a\x1b[31m"), visible("a\u202eb"), visible("two\nlines")
    ('a\\x1b[31m', 'a\\u202eb', 'two\nlines')
    """
    return HIDDEN.sub(lambda sign: _escape(sign[0]), text)


def is_writable(text: str) -> bool:
    r"""Return whether a text can be written into files of any kind: it has no NUL and no half of a surrogate pair.

    >>> is_writable("relu, naïve"), is_writable("a\x00"), is_writable("\ud800")
    (True, False, False)
    """
    return not any(sign == "\0" or unicodedata.category(sign) == "Cs" for sign in text)


def _escape(sign: str) -> str:
    return f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}"
