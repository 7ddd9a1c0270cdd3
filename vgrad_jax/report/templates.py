"""Pages from templates: one file each, with pictures inside."""

from calendar import month_name
from datetime import date
from importlib.resources import files
from typing import Any, NamedTuple

from vgrad_jax.report.figures.style import narrow_page
from vgrad_jax.report.figures.svg import svg_of, within_page
from vgrad_jax.report.section import Chart
from vgrad_jax.wording import visible

__all__ = ["Picture", "picture", "rendered", "text_of", "today"]

TEMPLATES = ("base.html", "macros.html", "page.html", "prescription.html", "verdict.html")
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
"""Names of the months, whatever the locale is."""
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


def today() -> str:
    """Return the date, as in "28 November 2026"."""
    now = date.today()
    return f"{now.day} {month_name[now.month]} {now.year}"


def text_of(name: str) -> str:
    """Return the text of a file beside this module."""
    return files("vgrad_jax.report").joinpath(name).read_text(encoding="utf-8")


class Picture(NamedTuple):
    """A figure with its words, drawn for wide and for narrow pages."""

    name: str
    caption: str
    wide: str
    """Element of the page."""
    narrow: str
    folded: bool
    """True where the figure is so tall that it is shown when it is asked for."""
    file: bytes
    """The wide figure as an SVG that stands alone."""


def picture(chart: Chart) -> Picture:
    """Draw a figure for the template."""
    from markupsafe import Markup

    file = svg_of(chart.figure, chart.name)
    wide = within_page(file, chart.alt, "wide")
    with narrow_page():
        narrow = within_page(svg_of(chart.figure, f"{chart.name}, narrow"), chart.alt, "narrow")
    folded = wide.height > TALLEST
    return Picture(chart.name, chart.caption, Markup(wide.svg), Markup(narrow.svg), folded, file)
