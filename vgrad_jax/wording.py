"""Words around numbers and names: a count with its noun, and a user's text in a figure."""

import unicodedata

__all__ = ["LONGEST_NAME", "counted", "literal", "shortened"]

LONGEST_NAME = 48
"""Characters of a name in a figure; a longer name loses its middle."""

NO_WIDTH = "\u200b"


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
    drawn = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text)
    drawn = (drawn if longest is None else shortened(drawn, longest)).replace("$", r"\$")
    return f"{NO_WIDTH}{drawn}" if drawn.startswith("_") else drawn


def shortened(text: str, longest: int) -> str:
    """Return a text with the middle left out where it has more characters than `longest`.

    >>> shortened("glorot_uniform", 10)
    'glorot…orm'
    """
    tail = (longest - 1) // 3
    return text if len(text) <= longest else f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"
