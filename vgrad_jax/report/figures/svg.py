"""Figures as SVG: files that stand alone, and drawings within a page that take its colours and its fonts.

figure ─► SVG of Matplotlib ─► colours of the page, no names but those that are referred to, short numbers
"""

import io
import re
import warnings
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

from vgrad_jax.report.figures.style import BLUE, GREEN, GREY, NARROW, ORANGE, is_narrow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "svg_of", "within_page"]

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

COLOURS = {
    "#ffffff": "var(--ground)",
    "#000000": "var(--text)",
    GREY.lower(): "var(--quiet)",
    "#999999": "var(--quiet)",
    "#808080": "var(--quiet)",
    "#b0b0b0": "var(--line)",
    "#d9d9d9": "var(--line)",
    "#cccccc": "var(--line)",
    BLUE.lower(): "var(--blue)",
    ORANGE.lower(): "var(--orange)",
    GREEN.lower(): "var(--green)",
}
"""Colour of a figure to the page's name of it, which is another colour on a dark page."""

_COLOUR = re.compile("|".join(COLOURS))
_FONT = re.compile(r"font: ([\d.]+)px [^;]*")
_LONG = re.compile(r"(\.\d\d)\d+")
MARGIN = 0.05
"""Inches around a figure."""
_POINT = 4 / 3
"""Pixels of a page in a point."""
_NUMBERS = ("d", "x", "y", "points")
"""Attributes that hold nothing but coordinates, of which two decimals can be seen."""


class Drawing(NamedTuple):
    """A figure within a page."""

    svg: str
    """Element of the page."""
    width: float
    """Pixels."""
    height: float


def svg_of(figure: "Figure", name: str) -> bytes:
    """Return a figure as an SVG that stands alone, the same bytes whenever it is drawn.

    On a narrow page the figure is made as narrow.

    Args:
        figure: the figure.
        name: of the figure; names within figures of different names differ.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import QuadMesh

    FigureCanvasAgg(figure)  # It keeps its renderer, which remembers the sizes of texts.
    for axes in figure.axes:
        for drawn in axes.collections:
            if isinstance(drawn, QuadMesh):
                drawn.set_rasterized(True)  # As paths, each of its thousands of cells would be one.
        for axis in (axes.xaxis, axes.yaxis):
            if not axis.get_label_text():
                axis.set_label_coords(0.5, 0.5)  # A label without text needs no place, which costs time to find.
    width, height = figure.get_size_inches()
    if is_narrow() and width > NARROW:
        figure.set_size_inches(NARROW, height)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        # A name may hold signs that Matplotlib's font lacks, such as an emoji; a browser has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Names that need more than a narrow page are cut by its edge.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
        # The layout is as it is now. With an engine, a placeholder included, savefig would draw the figure once more.
        figure.set_layout_engine(None)
        box = figure.get_tightbbox().padded(MARGIN)
        figure.savefig(buffer, format="svg", bbox_inches=box, dpi=150, metadata={"Date": None})
    return buffer.getvalue()


def within_page(svg: bytes, alt: str, kind: str) -> Drawing:
    """Return an SVG of Matplotlib as an element of a page.

    Args:
        svg: from `svg_of`.
        alt: description for readers who do not see it.
        kind: class of the element.
    """
    # The SVG is Matplotlib's own, from a moment ago.
    root = ElementTree.fromstring(svg)
    for element in [*root]:
        if element.tag == f"{{{SVG}}}metadata" or element.find(f"{{{SVG}}}style") is not None:
            root.remove(element)  # A style here would hold for the whole page.
    for element in root.iter():
        _rewrite(element)
    width, height = (float(number) * _POINT for number in root.attrib["viewBox"].split()[2:])
    root.attrib.pop("version", None)
    root.attrib |= {"width": f"{width:.0f}", "height": f"{height:.0f}", "class": kind, "role": "img", "aria-label": alt}
    return Drawing(ElementTree.tostring(root, encoding="unicode"), width, height)


def _rewrite(element: ElementTree.Element) -> None:
    """Rewrite an element for a page: without its namespace and its group's name, in the page's colours."""
    element.tag = element.tag.rpartition("}")[2]
    element.tail = None
    if element.tag == "g":
        element.attrib.pop("id", None)
        element.text = None
    link = element.attrib.pop(f"{{{XLINK}}}href", None)
    if link is not None:
        element.attrib["href"] = link
    for name in _NUMBERS:
        if name in element.attrib:
            element.attrib[name] = _LONG.sub(r"\1", " ".join(element.attrib[name].split()))
    for name in ("style", "fill", "stroke"):
        if name in element.attrib:
            text = _COLOUR.sub(lambda colour: COLOURS[colour.group()], element.attrib[name])
            element.attrib[name] = _FONT.sub(r"font-size: \1px", text)
