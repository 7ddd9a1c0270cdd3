"""Experiments as JSON, studies as TOML, and settings of the command line."""

import copy
import json

import vgrad_jax as vg
from tests.fuzzing.values import PLAIN, TEXTS, WrongError, mutated
from vgrad_jax.studies import read_study
from vgrad_jax.studies.grid import parsed_setting

STUDY = vg.presets.article(epochs=2)["tanh_he"].to_dict()


SMALL = """
title = "t"
seeds = 3
[base]
mlp.hidden = [4, 4]
training.epochs = 2
[arms.a]
mlp.activation = "relu"
[grid]
"optimizer.learning_rate" = [0.1, 0.01]
"""


FIELDS = (
    *(f"{part}.{name}" for part, fields in STUDY.items() for name in fields),
    *TEXTS[:12],
)


def replaced(random, values):
    """Nested tables with one value replaced, removed, or added."""
    values = copy.deepcopy(values)
    node = values
    while isinstance(node, dict) and node:
        name = random.choice(sorted(node))
        if not isinstance(node[name], dict) or random.random() < 0.1:
            break
        node = node[name]
    kind = random.random()
    if kind < 0.7 and node:
        node[name] = random.choice(PLAIN)
    elif kind < 0.8 and node:
        node.pop(name)
    else:
        node[random.choice(TEXTS)] = random.choice(PLAIN)
    return values


def read_back(values):
    """Make an Experiment of JSON; its numbers are the text's, and it is equal to itself written and read."""
    text = json.dumps(values)
    experiment = vg.Experiment.from_json(text)
    if vg.Experiment.from_json(experiment.to_json()) != experiment:
        raise WrongError(f"an experiment changed when it was written: {text}")
    for part, fields in values.items():
        for name, value in fields.items():
            own = getattr(getattr(experiment, part), name)
            if isinstance(value, int | float) and own not in (value, float(value)):
                raise WrongError(f"{part}.{name} is {own}, and the text says {value}")


def descriptions(random, folder):
    """Experiments as JSON, studies as TOML, and settings of the command line."""
    kind = random.randrange(4)
    if kind == 0:
        read_back(replaced(random, STUDY))
    elif kind == 1:
        text = mutated(random, json.dumps(STUDY).encode()).decode("utf-8", "replace")
        vg.Experiment.from_json(text)
    elif kind == 2:
        path = folder / random.choice(("study.toml", "study.json"))
        base = SMALL if path.suffix == ".toml" else json.dumps(STUDY)
        path.write_bytes(mutated(random, base.encode()))
        read_study(path)
    else:
        path, values = parsed_setting(f"{random.choice(FIELDS)}={random.choice(TEXTS)}")
        read_study(folder / "study.toml", {path: values}) if (folder / "study.toml").exists() else None
