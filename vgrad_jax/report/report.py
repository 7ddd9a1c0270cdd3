"""The report on a sweep: all sections, each computed when one of its forms is asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from vgrad_jax.numerics import json_value
from vgrad_jax.report.merging import merged
from vgrad_jax.report.schema import FORMAT
from vgrad_jax.report.section import Block, Chart, Section
from vgrad_jax.report.sections import ANSWERS, SECTIONS
from vgrad_jax.report.study import Study
from vgrad_jax.statistics.intervals import Estimate

if TYPE_CHECKING:
    import xarray

__all__ = ["Report"]

Form = TypeVar("Form")


class Report:
    """Everything that is said about a sweep's results.

    Args:
        results: from `vgrad_jax.sweep` or `vgrad_jax.open_results`.
        sections: in the order of the page.

    Raises:
        InputError: two sections have the same name; later, two tables, files or entries of different sections.
    """

    def __init__(self, results: "xarray.Dataset", sections: Sequence[Section[Any]] = SECTIONS) -> None:
        self.study = Study(results)
        self.sections = merged("section", ({section.name: section} for section in sections))
        self._values: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """Return the value of a section, None where its question does not arise."""
        if name not in self._values:
            self._values[name] = self.sections[name].compute(self.study)
        return self._values[name]

    @property
    def answer(self) -> str:
        """The headline: a sentence with its numbers."""
        sections = (self.sections[name] for name in ANSWERS if name in self.sections)
        return next(filter(None, self._forms(lambda section: section.answer, sections)), "")

    @property
    def sentences(self) -> list[str]:
        """Sentences under the headline."""
        return [*chain(*self._forms(lambda section: section.sentences))]

    @property
    def remarks(self) -> list[str]:
        """Runs or arms that stand out: gradients of exactly zero, runs that diverged."""
        return [*chain(*self._forms(lambda section: section.remarks))]

    @property
    def blocks(self) -> list[Block]:
        """Headings of the page with their content."""
        return [*filter(None, self._forms(lambda section: section.block))]

    @property
    def lines(self) -> list[str]:
        """Sentences for the terminal, in the order in which they are printed."""
        blocks = self.blocks
        before, after = ([*chain(*(b.items for b in blocks if b.after_remarks is late))] for late in (False, True))
        return [self.answer, *self.sentences, *before, *self.remarks, *after]

    @property
    def tables(self) -> Mapping[str, Sequence[Any]]:
        """Name to rows of each table, without the empty tables."""
        tables = merged("table", self._forms(lambda section: section.tables))
        return {name: rows for name, rows in tables.items() if rows}

    @property
    def texts(self) -> Mapping[str, str]:
        """Name to content of the other files in tables/."""
        return merged("file", self._forms(lambda section: section.texts))

    def charts(self, section: str | None = None) -> Iterator[Chart]:
        """Yield the figures of a section, or of all, each drawn when it is asked for.

        Args:
            section: a name from `vgrad_jax.report.sections.NAMES`; None for all of them.
        """
        sections = None if section is None else iter([self.sections[section]])
        yield from chain.from_iterable(self._forms(lambda each: each.charts, sections))

    def numbers(self) -> dict[str, Any]:
        """Return the same for scripts, as values that JSON can hold (see `vgrad_jax.numerics.json_value`)."""
        own = {"format": FORMAT, "answer": self.answer, "sentences": self.sentences, "remarks": self.remarks}
        numbers = merged("entry", chain([own], self._forms(lambda section: section.numbers)))
        return {name: json_value(_present(value)) for name, value in numbers.items()}

    def _forms(
        self,
        form: Callable[[Section[Any]], Callable[[Any], Form] | None],
        sections: Iterator[Section[Any]] | None = None,
    ) -> Iterator[Form]:
        """Yield a form of every section that has the form and a value."""
        for section in sections or self.sections.values():
            function = form(section)
            value = None if function is None else self.value(section.name)
            if function is not None and value is not None:
                yield function(value)


def _present(value: Any) -> Any:
    """Return a value without the estimates that an arm does not have, at any depth."""
    if isinstance(value, Estimate):
        return value
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: _present(element) for name, element in value.items() if not _is_absent(element)}
    return [_present(element) for element in value] if isinstance(value, list | tuple) else value


def _is_absent(value: Any) -> bool:
    if isinstance(value, Estimate):
        return not value.n
    return isinstance(value, tuple) and hasattr(value, "_asdict") and all(map(_is_absent, value))
