"""Precision and recall of the verdicts on the labelled set, beside rules that people use: `python verdict_table.py`."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from labelled import Case, Outcome, agrees, all_cases, controls, run

import vgrad_jax as vg

DOCUMENT = Path(__file__).parents[2] / "docs" / "verdicts.md"


class Labelled(NamedTuple):
    """The set after training: only cases whose outcome is what their truth says."""

    cases: list[Case]
    outcomes: list[Outcome]
    left_out: int
    """Cases whose outcome, or that of the model without the cause, was another."""


def labelled_set(*, held: bool, families: tuple[str, ...] | None = None) -> Labelled:
    """Train one half, or its cases of some families: each family compiles a program."""
    cases = [case for case in all_cases(held=held) if families is None or case.family in families]
    without = controls(cases)
    distinct = list(dict.fromkeys(without))
    outcomes = run([*cases, *distinct])
    learns = {case: agrees(case, outcome) for case, outcome in zip(distinct, outcomes[len(cases) :], strict=True)}
    rows = zip(cases, outcomes[: len(cases)], without, strict=True)
    kept = [(case, outcome) for case, outcome, control in rows if agrees(case, outcome) and learns[control]]
    return Labelled([case for case, _ in kept], [outcome for _, outcome in kept], len(cases) - len(kept))


def verdict(outcome: Outcome) -> str:
    """Return the library's verdict."""
    return vg.diagnose(outcome.record, check=outcome.look).status


def verdict_without_check(outcome: Outcome) -> str:
    """Return the library's verdict from the record alone."""
    return vg.diagnose(outcome.record).status


def absolute(outcome: Outcome) -> str:
    """Judge by absolute sizes at the end, as debuggers do: mean |g| < 1e-7, > 1e3, all zero, NaN."""
    last, zeros, broken = (np.asarray(getattr(outcome.record, name))[-1] for name in FIELDS)
    if (broken > 0).any():
        return "non_finite"
    if (zeros == 1).any():
        return "dead"
    return "vanishing" if (last < -7).any() else "exploding" if (last > 3).any() else "healthy"


def ratio(outcome: Outcome) -> str:
    """Judge by first layer over last layer at the end: < 1e-3, > 1e3, NaN."""
    last, _, broken = (np.asarray(getattr(outcome.record, name))[-1] for name in FIELDS)
    if (broken > 0).any():
        return "non_finite"
    with np.errstate(invalid="ignore"):
        decades = last[0] - last[-1]
    return "vanishing" if decades < -3 else "exploding" if decades > 3 else "healthy"


FIELDS = ("log10_rms", "zero_fraction", "nonfinite_fraction")
METHODS: dict[str, Callable[[Outcome], str]] = {
    "diagnose": verdict,
    "diagnose, record alone": verdict_without_check,
    "mean size < 1e-7": absolute,
    "first/last < 1e-3": ratio,
}


class Score(NamedTuple):
    """Scores of one status."""

    n: int
    precision: float
    """Share of this truth among the cases with this verdict; NaN where there are none."""
    recall: float
    """Share of this verdict among the cases with this truth."""


def scores(labelled: Labelled, method: Callable[[Outcome], str]) -> dict[str, Score]:
    """Return the scores of every status."""
    chosen = list(zip(labelled.cases, labelled.outcomes, strict=True))
    pairs = Counter((case.truth, method(outcome)) for case, outcome in chosen)
    by_status = {}
    for truth in sorted({case.truth for case, _ in chosen}):
        n = sum(count for (a, _), count in pairs.items() if a == truth)
        named = sum(count for (_, b), count in pairs.items() if b == truth)
        right = pairs[truth, truth]
        by_status[truth] = Score(n, right / named if named else float("nan"), right / n)
    return by_status


def accuracy(by_status: dict[str, Score]) -> float:
    """Return the share of right verdicts."""
    return sum(score.n * score.recall for score in by_status.values()) / sum(score.n for score in by_status.values())


def table(labelled: Labelled) -> str:
    """Return a Markdown table of precision / recall."""
    columns = {name: scores(labelled, method) for name, method in METHODS.items()}
    lines = [
        f"| truth | n | {' | '.join(columns)} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    for truth, score in columns["diagnose"].items():
        cells = [_cell(column[truth]) for column in columns.values()]
        lines.append(f"| {truth} | {score.n} | {' | '.join(cells)} |")
    total = sum(score.n for score in columns["diagnose"].values())
    lines.append(f"| all: share right | {total} | {' | '.join(f'{accuracy(c):.2f}' for c in columns.values())} |")
    return "\n".join(lines)


def _cell(score: Score) -> str:
    return f"{'-' if np.isnan(score.precision) else f'{score.precision:.2f}'} / {score.recall:.2f}"


def main() -> None:
    """Put the table into the document, in place of the one that is there."""
    held, tuned = labelled_set(held=True), labelled_set(held=False)
    counts = f"{len(held.cases)} models; {held.left_out} more were left out, because something else became of them."
    right = accuracy(scores(tuned, verdict))
    other = f"On the other half, {len(tuned.cases)} models, {right:.2f} of the verdicts are right."
    made = f"{table(held)}\n\n{counts}\n{other}"
    text = DOCUMENT.read_text()
    start, end = "<!-- table -->\n", "<!-- end of table -->"
    before, rest = text.split(start)
    DOCUMENT.write_text(f"{before}{start}{made}\n{end}{rest.split(end)[1]}")
    print(made)


if __name__ == "__main__":
    main()
