"""Sections: each answers a question about a sweep, for the page, the terminal, scripts and other programs.

        results ──► Study ──► compute ──► value ──► answer, sentences, remarks    page, terminal, JSON
                                            ├─────► block                         heading, table, sentences on the page
                                            ├─────► charts                        figures, caption, alternative text
                                            ├─────► tables, texts                 files in tables/
                                            └─────► numbers                       entries of summary.json and --json

A `Study` holds the values that several sections need.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from vgrad_jax.report.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Block", "Chart", "Column", "Fold", "Section", "Table", "table_section"]

T = TypeVar("T")


class Column(NamedTuple):
    """A column of a table on the page: its heading and the heading's meaning."""

    heading: str
    meaning: str = ""
    of_words: bool = False
    """True where the column holds words, which begin at its left; numbers end at its right."""


class Table(NamedTuple):
    """A table on the page."""

    label: str
    """Name of the table for readers who do not see it."""
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


class Fold(NamedTuple):
    """A line on the page that opens into more text."""

    title: str
    status: str
    note: str
    items: Sequence[str]
    text: str
    """Shown where there are no items."""


class Block(NamedTuple):
    """A heading on the page with its content, in the order of the fields."""

    heading: str
    intro: str = ""
    table: Table | None = None
    folds: Sequence[Fold] = ()
    items: Sequence[str] = ()
    note: str = ""
    after_remarks: bool = False
    """True where the terminal prints the items after the remarks: for comparisons with other people's numbers."""


class Chart(NamedTuple):
    """A figure with its words."""

    name: str
    """Name of the file, without its ending."""
    alt: str
    """Description of what is drawn, for readers who do not see it."""
    caption: str
    """Advice on what to look for."""
    draw: "Callable[[], Figure]"
    """Function that draws the figure: for a wide page, or within `narrow_page` for a narrow one."""

    @property
    def figure(self) -> "Figure":
        """The figure, drawn anew."""
        return self.draw()


@dataclass(frozen=True)
class Section(Generic[T]):
    """A question about a sweep: how its value is computed, and the forms in which the value is shown.

    Every form is optional. `compute` runs once for all forms, and not before a form is asked for.
    """

    name: str
    compute: Callable[[Study], T | None]
    """None is the value of a question that does not arise, such as the effect of depth where all arms are alike."""
    answer: Callable[[T], str | None] | None = None
    """The headline, for a section that `vgrad_jax.report.sections.ANSWERS` names."""
    sentences: Callable[[T], Sequence[str]] | None = None
    """Sentences under the headline."""
    remarks: Callable[[T], Sequence[str]] | None = None
    """Exceptions: runs or arms that stand out."""
    block: Callable[[T], Block | None] | None = None
    charts: Callable[[T], Iterable[Chart]] | None = None
    tables: Callable[[T], Mapping[str, Sequence[Any]]] | None = None
    """Name of a CSV file, without its ending, to rows: named tuples, which become columns, or dictionaries."""
    texts: Callable[[T], Mapping[str, str]] | None = None
    """Name of a file in tables/, with its ending, to content."""
    numbers: Callable[[T], Mapping[str, Any]] | None = None
    """Key in JSON to value, as `vgrad_jax.numerics.json_value` takes it."""


Row = TypeVar("Row")


def table_section(
    name: str,
    compute: Callable[[Study], Sequence[Row] | None],
    *,
    heading: str,
    table: tuple[str, Sequence[Column]],
    cells: Callable[[Row], Sequence[str]],
    chart: Callable[[Sequence[Row]], Chart],
    answer: Callable[[Sequence[Row]], str | None] | None = None,
    sentences: Callable[[Sequence[Row]], Sequence[str]],
) -> Section[Sequence[Row]]:
    """Return a section whose value is a row for each arm: a table and a figure, and the same rows for other programs.

    Args:
        name: of the section, of its CSV file and of its entry in JSON.
        compute: as for `Section`.
        heading: on the page.
        table: label of the table for readers who do not see it, and its columns.
        cells: function of a row to its cells as texts.
        chart: function of the rows to their figure.
        answer: as for `Section`.
        sentences: as for `Section`.
    """
    label, columns = table
    return Section(
        name,
        compute,
        answer=answer,
        sentences=sentences,
        block=lambda rows: Block(heading, table=Table(label, columns, [cells(row) for row in rows])),
        charts=lambda rows: [chart(rows)],
        tables=lambda rows: {name: rows},
        numbers=lambda rows: {name: rows},
    )
