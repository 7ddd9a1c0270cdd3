"""Lead time of `vg.watch`: how long before the loss shows a failure is it called, and at which rate of false alarms?

`python lead_time.py` prints both tables; with `--document` it puts them into docs/verdicts.md.

The rule on the loss alone sounds where the loss is missing, `rise` above its start, or after `wait` records still above
`left` of its start. Its three numbers are chosen on the tuned half of the labelled set: the earliest rule whose false
alarms are not more than those of `vg.watch`. The held half gives the table.
"""

import argparse
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import zoo
from labelled import EVERY, STEPS
from verdict_table import DOCUMENT, Labelled, labelled_set

import vgrad_jax as vg
from vgrad_jax.diagnosis.watching import PATIENCE, alarm_codes

LEARNS = ("healthy", "solved")
RISES, LEFTS = (0.05, 0.1, 0.2, 0.5, 1.0), (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99)
"""Numbers that the rule on the loss may have."""
START, END = "<!-- lead time -->\n", "<!-- end of lead time -->"


class Run(NamedTuple):
    """One training, seen record by record."""

    truth: str
    loss: np.ndarray
    """Loss at each record, over the first."""
    statuses: dict[int, list[str]]
    """Status of the alarm after each record, by patience."""


class LossRule(NamedTuple):
    """Rule on the loss alone."""

    rise: float
    wait: int
    left: float

    def sounds(self, loss: np.ndarray) -> int | None:
        """Return the first record at which it sounds."""
        late = np.arange(len(loss)) >= self.wait
        return first(~np.isfinite(loss) | (loss > 1 + self.rise) | (late & (loss > self.left)))


def first(flags: Sequence[bool] | np.ndarray) -> int | None:
    """Return the index of the first True, None where there is none."""
    return next((index for index, flag in enumerate(flags) if flag), None)


def alarms_of(record: vg.Record, patience: int) -> list[str]:
    """Return the status of `vg.watch` after each record, for one seed."""
    codes = (alarm_codes(record.until(stop), patience=patience) for stop in range(1, len(record.step) + 1))
    return [vg.diagnosis.STATUSES[int(code)] for code in codes]


def called(statuses: list[str]) -> int | None:
    """Return the first record with an alarm."""
    return first([status != "healthy" for status in statuses])


def runs_of(labelled: Labelled, patiences: tuple[int, ...] = (PATIENCE,)) -> list[Run]:
    """Watch every training of a half of the labelled set."""
    return [
        Run(
            case.truth,
            np.asarray(outcome.record.loss, float) / float(outcome.record.loss[0]),
            {patience: alarms_of(outcome.record, patience) for patience in patiences},
        )
        for case, outcome in zip(labelled.cases, labelled.outcomes, strict=True)
    ]


def loss_rule(runs: list[Run], false_alarms: int) -> LossRule:
    """Return the earliest rule that calls nine in ten failures, with no more false alarms than these."""

    def merit(rule: LossRule) -> tuple[int, float]:
        steps = [rule.sounds(run.loss) for run in runs if run.truth not in LEARNS]
        known = [step for step in steps if step is not None]
        return min(len(known), -(-9 * len(steps) // 10)), -float(np.mean(known)) if known else 0.0

    rules = itertools.starmap(LossRule, itertools.product(RISES, range(1, STEPS // EVERY), LEFTS))
    return max((rule for rule in rules if wrong(runs, rule) <= false_alarms), key=merit)


def wrong(runs: list[Run], rule: LossRule) -> int:
    """Return the number of trainings that learn and that the rule calls failures."""
    return sum(rule.sounds(run.loss) is not None for run in runs if run.truth in LEARNS)


def lead_table(tuned: list[Run], held: list[Run]) -> str:
    """Return a Markdown table of lead times by truth on the held half."""
    watched = sum(called(run.statuses[PATIENCE]) is not None for run in tuned if run.truth in LEARNS)
    rule = loss_rule(tuned, watched)
    lines = [
        "| truth | n | called | at step | called by the loss alone | at step | lead, steps (median; quartiles) |",
        "|---|---|---|---|---|---|---|",
    ]
    for truth in sorted({run.truth for run in held} - set(LEARNS)):
        lines.append(_row(truth, [run for run in held if run.truth == truth], rule))
    lines.append(_row("all failures", [run for run in held if run.truth not in LEARNS], rule))
    learning = [run for run in held if run.truth in LEARNS]
    false = sum(called(run.statuses[PATIENCE]) is not None for run in learning)
    words = f"missing, {rule.rise:.0%} above its start, or above {rule.left:.0%} of it after step {rule.wait * EVERY}"
    lines += [
        "",
        f"False alarms: {false} of {len(learning)} trainings that learn. The rule on the loss alone ({words}) has "
        f"{wrong(held, rule)}. On the half that it was chosen on: {watched} and {wrong(tuned, rule)} of "
        f"{sum(run.truth in LEARNS for run in tuned)}.",
    ]
    return "\n".join(lines)


def _row(name: str, runs: list[Run], rule: LossRule) -> str:
    ours = [called(run.statuses[PATIENCE]) for run in runs]
    theirs = [rule.sounds(run.loss) for run in runs]
    # A failure that the loss never shows is counted as shown at the end: its lead is at least this long.
    leads = [
        EVERY * ((STEPS // EVERY if loss is None else loss) - own)
        for own, loss in zip(ours, theirs, strict=True)
        if own is not None
    ]
    low, middle, high = np.quantile(leads, [0.25, 0.5, 0.75]) if leads else [np.nan] * 3
    return (
        f"| {name} | {len(runs)} | {_share(ours)} | {_step(ours)} | {_share(theirs)} | {_step(theirs)} | "
        f"{middle:.0f}; {low:.0f} to {high:.0f} |"
    )


def _share(steps: list[int | None]) -> str:
    return f"{np.mean([step is not None for step in steps]):.2f}"


def _step(steps: list[int | None]) -> str:
    known = [EVERY * step for step in steps if step is not None]
    return f"{np.median(known):.0f}" if known else "-"


def false_alarm_table(patiences: tuple[int, ...] = (1, 2, 3, 5)) -> str:
    """Return a Markdown table of false alarms and calls on trainings with small batches, by patience."""
    counts = {patience: np.zeros(4, int) for patience in patiences}
    for case in zoo.cases():
        record = zoo.run(case)
        fine = bool(case.truth & zoo.FINE)
        for seed in range(record.step.shape[0]):
            own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], record)
            for patience in patiences:
                sounded = called(alarms_of(own, patience)) is not None
                counts[patience] += [fine, fine and sounded, not fine, not fine and sounded]
        print(f"{case.name}: done", flush=True)
    lines = ["| records in a row | false alarms | failures called |", "|---|---|---|"]
    for patience, (healthy, false, sick, found) in counts.items():
        lines.append(f"| {patience} | {false} of {healthy} | {found} of {sick} |")
    return "\n".join(lines)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--document", action="store_true", help="put the tables into docs/verdicts.md")
    options = parser.parse_args()
    tuned, held = (runs_of(labelled_set(held=half)) for half in (False, True))
    made = f"{lead_table(tuned, held)}\n\n{false_alarm_table()}\n"
    print(made)
    if options.document:
        before, rest = DOCUMENT.read_text().split(START)
        DOCUMENT.write_text(f"{before}{START}{made}{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
