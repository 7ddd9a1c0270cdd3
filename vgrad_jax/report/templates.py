"""Pages from templates: one file each, with pictures inside."""

import base64
import io
import warnings
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from vgrad_jax.report.section import Chart
from vgrad_jax.wording import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["picture", "png_of", "rendered", "text_of"]

TEMPLATES = ("base.html", "macros.html", "page.html", "prescription.html", "verdict.html")
TALLEST = 1200
"""Height in pixels up to which a figure is shown unfolded; figures of many arms are taller."""


def rendered(template: str, **values: Any) -> str:
    """Return a page.

    Args:
        template: one of `TEMPLATES`.
        values: names in the template to their values; text is escaped.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    loader = DictLoader({name: text_of(name) for name in TEMPLATES})
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["slug"] = slug
    return environment.get_template(template).render(**values)


def _shown(value: Any) -> Any:
    """Return a value of a template as the page shows it; marked text, which is no user's, keeps its kind."""
    return type(value)(visible(value)) if isinstance(value, str) else value


def slug(text: str) -> str:
    """Return the anchor of a heading.

    >>> slug("Which arm is best?")
    'which-arm-is-best'
    """
    return "-".join("".join(sign if sign.isalnum() else " " for sign in text.lower()).split())


def text_of(name: str) -> str:
    """Return the text of a file beside this module."""
    return files("vgrad_jax.report").joinpath(name).read_text(encoding="utf-8")


def png_of(figure: "Figure") -> bytes:
    """Return a figure as a PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A name may hold signs that Matplotlib's font lacks, such as an emoji; the figure has a box in their place.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def picture(chart: Chart, image: bytes) -> dict[str, Any]:
    """Return a figure for the template: its words, its image as text, and its size in pixels."""
    # A PNG's width and height stand at bytes 16 to 24.
    width, height = (int.from_bytes(image[start : start + 4], "big") for start in (16, 20))
    return {
        "name": chart.name,
        "caption": chart.caption,
        "alt": chart.alt,
        "png": base64.b64encode(image).decode(),
        "width": width,
        "height": height,
        "folded": height > TALLEST,
    }
