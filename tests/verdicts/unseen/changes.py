"""Change stored records in ways that should not matter, and say how often that changes a verdict.

Names and the order of the layers, the seeds' order, a factor of the loss, every second record, float64, and one more
frozen layer. `python tests/verdicts/unseen/changes.py --cache FOLDER` reads what `score.py` has stored.
"""

import argparse
import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
import score

import vgrad_jax as vg
from vgrad_jax.diagnosis.statuses import most_frequent_first
from vgrad_jax.diagnosis.verdict import Checked, statuses_of

SIZES = ("log10_rms", "log10_max", "mean_log10_rms")
LOSSES = ("loss", "loss_mean", "loss_std", "first_loss", "loss_before_break")
BY_RECORD = ("step", "loss", "update_cosine")
BY_RECORD_AND_LAYER = (
    *("log10_rms", "log10_max", "zero_fraction", "nonfinite_fraction"),
    *("params_log10_rms", "updates_log10_rms"),
)
BY_LAYER = (*BY_RECORD_AND_LAYER, "mean_log10_rms", "std_log10_rms", "first_broken_layers")
STATIC = ("paths", "counts", "has_matrix", "dtypes")
FROZEN = {"zero_fraction": 1.0, "params_log10_rms": -0.5, "nonfinite_fraction": 0.0, "first_broken_layers": 0.0}
"""Numbers of a frozen layer; the sizes of its gradient and update are minus infinity."""


def changed(record: vg.Record, names: tuple[str, ...], function: Any) -> vg.Record:
    """Return a record with a function applied to some arrays, in float64."""
    known = {name: getattr(record, name) for name in names if getattr(record, name) is not None}
    return dataclasses.replace(record, **{name: function(np.asarray(row, np.float64)) for name, row in known.items()})


def scaled(record: vg.Record, check: Any, factor: float) -> tuple[vg.Record, Any]:
    """Multiply the loss by a number; the steps stay what they were, as those of Adam do."""
    shift = math.log10(factor)
    record = changed(changed(record, SIZES, lambda row: row + shift), LOSSES, lambda row: row * factor)
    sizes = {name: np.asarray(getattr(check.look.stats, name)) + shift for name in SIZES[:2]}
    look = dataclasses.replace(
        check.look, stats=dataclasses.replace(check.look.stats, **sizes), loss=np.asarray(check.look.loss) * factor
    )
    chance = check.inspection.chance
    inspection = dataclasses.replace(check.inspection, chance=None if chance is None else chance * factor)
    return record, Checked(look, inspection)


def reordered(record: vg.Record, check: Any) -> tuple[vg.Record, Any]:
    """Turn the order of the layers round."""
    static = {name: getattr(record, name)[::-1] for name in STATIC}
    return dataclasses.replace(changed(record, BY_LAYER, lambda row: row[..., ::-1]), **static), check


def thinned(record: vg.Record, check: Any) -> tuple[vg.Record, Any]:
    """Keep every second record, with the means of two."""
    mean, deviation = (np.asarray(row, np.float64) for row in (record.loss_mean, record.loss_std))
    later = np.arange(0, mean.shape[-1], 2)
    before = np.maximum(later - 1, 0)
    pair = np.stack([mean[..., later], mean[..., before]])
    within = (deviation[..., later] ** 2 + deviation[..., before] ** 2) / 2
    record = changed(record, BY_RECORD, lambda row: row[..., ::2])
    record = changed(record, BY_RECORD_AND_LAYER, lambda row: row[..., ::2, :])
    return dataclasses.replace(record, loss_mean=pair.mean(0), loss_std=np.sqrt(within + pair.var(0))), check


def turned(record: vg.Record, check: Any) -> tuple[vg.Record, Any]:
    """Turn the order of the seeds round."""
    number = len(np.asarray(record.step))

    def turn(row: Any) -> Any:
        return np.asarray(row)[::-1] if np.ndim(row) and len(row) == number else row

    return jax.tree.map(turn, record), Checked(jax.tree.map(turn, check.look), check.inspection)


def longer(record: vg.Record, check: Any) -> tuple[vg.Record, Any]:
    """Take float64."""
    return changed(record, (*BY_LAYER[:-1], *LOSSES), lambda row: row), check


def with_frozen(record: vg.Record, check: Any) -> tuple[vg.Record, None]:
    """Add a layer behind the first that has no gradient and never changes; no check knows it."""
    del check
    more = {"paths": "frozen", "counts": 16, "has_matrix": True, "dtypes": "float32"}
    static = {name: (getattr(record, name)[0], value, *getattr(record, name)[1:]) for name, value in more.items()}
    for name in BY_LAYER:
        number = FROZEN.get(name, -np.inf)
        record = changed(
            record, (name,), lambda row, number=number: np.insert(np.asarray(row, float), 1, number, axis=-1)
        )
    return dataclasses.replace(record, **static), None


CHANGES = {
    **{f"loss times {2.0**power:g}": (lambda r, c, p=power: scaled(r, c, 2.0**p)) for power in (-10, -5, -1, 1, 5, 10)},
    "layers in reverse": reordered,
    "every second record": thinned,
    "seeds in reverse": turned,
    "float64": longer,
    "one more frozen layer": with_frozen,
}


def verdict(record: vg.Record, check: Any = None) -> str:
    """Return the status that most seeds have."""
    return next(iter(most_frequent_first(Counter(statuses_of(record, check=check)))))


def main() -> None:
    """Print a line for each change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, metavar="FOLDER", required=True, help="folder for records and checks")
    options = parser.parse_args()
    rows = [score.recorded(case, options.seeds, options.cache) for case in score.all_cases()]
    before = [(verdict(record, check), verdict(record)) for record, _, check in rows]
    for name, change in CHANGES.items():
        numbers = np.zeros(2, int)
        for (record, _, check), known in zip(rows, before, strict=True):
            own, own_check = change(record, check)
            numbers += (own_check is not None and verdict(own, own_check) != known[0], verdict(own) != known[1])
        print(f"{name}: with check {numbers[0]}, alone {numbers[1]} of {len(rows)} verdicts change", flush=True)


if __name__ == "__main__":
    main()
