"""Studies as TOML text: the arms of a sweep written down again, and a commented example."""

from collections.abc import Mapping
from typing import Any

import tomli_w

from vgrad_jax.experiment import Experiment

__all__ = ["EXAMPLE", "study_text"]

EXAMPLE = """\
# A study: arms that are trained over many seeds and compared. Run it with: vgrad sweep study.toml
title = "Which activation, initialisation and learning rate?"
seeds = 64            # runs of each arm

# What all arms share. A field that is not given has its default.
[base]
data.source = "circles"                  # or: data.path = "table.csv", data.target = "species"
mlp.hidden = [16, 16]                    # units of the hidden layers
optimizer.name = "adam"
training.epochs = 60
training.threshold = 0.9                 # training accuracy at which a run counts as converged

# Every combination of these values is an arm: 2 x 2 x 2 arms.
[grid]
mlp.activation = ["tanh", "relu"]
mlp.kernel_init = ["glorot_uniform", "he_normal"]
optimizer.learning_rate = [0.01, 0.1]

# Arms may also be named one by one, instead of a grid or crossed with it:
# [arms.deep]
# mlp.hidden = [16, 16, 16, 16]
# [arms.shallow]
# mlp.hidden = [16]

# Arms of a ready-made study can stand beside them:
# include = "article"
"""
"""Commented study that `vgrad study init` prints; it runs."""


def study_text(arms: Mapping[str, Experiment], *, title: str, seeds: int, study_seed: int) -> str:
    """Return the TOML text of a study with these arms; fields that all arms share stand in `[base]`.

    Args:
        arms: arm name to `Experiment`.
        title: title of the page.
        seeds: runs of each arm.
        study_seed: seed of the study.

    Raises:
        InputError: an arm holds a function that cannot be imported by its name.

    >>> from vgrad_jax.experiment import Experiment
    >>> print(study_text({"mine": Experiment()}, title="t", seeds=2, study_seed=0).splitlines()[0])
    title = "t"
    """
    described = {name: _plain(experiment.to_dict()) for name, experiment in arms.items()}
    base = _shared(list(described.values()))
    own = {name: _without(values, base) for name, values in described.items()}
    tables: dict[str, Any] = {"title": title, "seeds": seeds, "study_seed": study_seed, "base": base, "arms": own}
    return tomli_w.dumps(tables)


def _plain(values: Any) -> Any:
    """Return nested values without those that are None, which TOML does not have."""
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items() if value is not None}
    return values


def _shared(described: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the parts of the first description that all descriptions hold."""
    shared: dict[str, Any] = {}
    for part, fields in described[0].items():
        common = {
            name: value
            for name, value in fields.items()
            if all(name in other[part] and other[part][name] == value for other in described)
        }
        if common:
            shared[part] = common
    return shared


def _without(values: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a description that its base lacks."""
    own = {
        part: {name: value for name, value in fields.items() if name not in base.get(part, {})}
        for part, fields in values.items()
    }
    return {part: fields for part, fields in own.items() if fields}
