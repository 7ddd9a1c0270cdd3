"""Numbers of a training do not change unless `RESULTS_VERSION` does.

`pytest tests/test_golden.py -n 0 --write-golden` writes them anew; do that together with a higher version only.
"""

import hashlib
import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.results.environment import DECISIVE
from vgrad_jax.training.shuffle import shuffled

PATH = Path(__file__).with_name("golden.json")
SEEDS = 3
"""Runs of each arm."""

SHUFFLED_ROWS = (1, 2, 7, 32, 97)
LONG_SHUFFLES = (500, 1000)
"""Numbers of rows whose order is compared by its SHA-256 digest."""

COMPILER_OPTIONS = ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS")
"""Environment variables on which the last digit of a float depends, beside the versions of `DECISIVE`."""

TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}
"""For three epochs on another toolchain: rounding grows a hundredfold in them, another order of rows changes 1 %."""


def arms():
    """Small arms that between them use every part of a training step."""
    rest = {"training": vg.Training(epochs=3)}
    moons = vg.Data("moons", samples=84)  # 42 rows: batches of 32 and 10.
    return {
        "article": vg.Experiment(mlp=vg.MLP(kernel_init="uniform(0, 1)"), **rest),
        "relu_he": vg.Experiment(
            mlp=vg.MLP(hidden=(4,), activation="relu", kernel_init="he_uniform"),
            data=moons,
            optimizer=vg.Optimizer("sgd", learning_rate=0.1, momentum=0.9, nesterov=True),
            **rest,
        ),
        "adamw_normed": vg.Experiment(
            mlp=vg.MLP(hidden=(3, 3), activation="gelu", kernel_init="glorot_normal", norm="layer", residual=0.5),
            data=moons,
            optimizer=vg.Optimizer("adamw", learning_rate=0.01, weight_decay=0.01, clip_norm=1.0),
            **rest,
        ),
        "digits": vg.Experiment(
            mlp=vg.MLP(hidden=(8,), activation="sigmoid", kernel_init="orthogonal(1.0)", bias_init="pytorch"),
            data=vg.Data("digits", samples=64),
            optimizer=vg.Optimizer("rmsprop", learning_rate=0.01),
            training=vg.Training(epochs=3, loss="softmax_cross_entropy"),
        ),
    }


def shuffles():
    order = {rows: np.asarray(shuffled(jax.random.key(rows), rows)) for rows in (*SHUFFLED_ROWS, *LONG_SHUFFLES)}
    return {
        **{str(rows): order[rows].tolist() for rows in SHUFFLED_ROWS},
        **{str(rows): hashlib.sha256(order[rows].astype("<i4").tobytes()).hexdigest() for rows in LONG_SHUFFLES},
    }


def run_keys():
    runs = [(seed, run) for seed in (0, 7) for run in (0, 1, 999)]
    return {f"{seed}/{run}": jax.random.key_data(vg.run_key(seed, run)).tolist() for seed, run in runs}


def toolchain(results):
    versions = json.loads(results.attrs["versions"])
    return {
        **{name: versions[name] for name in DECISIVE},
        **{name: os.environ.get(name, "") for name in COMPILER_OPTIONS},
    }


def bits(values):
    """Float32 numbers as whole ones, so that JSON keeps every bit, and NaN."""
    return np.asarray(values, np.float32).view(np.uint32).tolist()


def numbers(stored):
    return np.asarray(stored, np.uint32).view(np.float32)


ENGINES_OF = {arm: ("plain",) if arm == "digits" else ("plain", "lanes") for arm in arms()}
"""Arm name to the engines that it is trained with: layers as wide as an image take `lanes` a minute to compile."""

PAIRS = [(engine, arm) for arm, engines in ENGINES_OF.items() for engine in engines]


@pytest.fixture(scope="module")
def trained():
    # A chunk of its own size, so that no rule about chunks decides the last digits here.
    return {
        engine: vg.sweep(
            {arm: arms()[arm] for arm in arms() if (engine, arm) in PAIRS},
            SEEDS,
            chunk=32,
            engine=engine,
            progress=False,
        )
        for engine in ("plain", "lanes")
    }


@pytest.fixture(scope="module")
def golden(trained, request):
    if request.config.getoption("--write-golden"):
        float_names = [name for name, values in trained["plain"].data_vars.items() if values.dtype == np.float32]
        trainings = {
            engine: {
                arm: {name: bits(runs[name].sel(arm=arm)) for name in float_names}
                for arm in runs["arm"].values.tolist()
            }
            for engine, runs in trained.items()
        }
        content = {
            "results_version": json.loads(trained["plain"].attrs["study"])["results_version"],
            "toolchain": toolchain(trained["plain"]),
            "shuffles": shuffles(),
            "run_keys": run_keys(),
            "trainings": trainings,
        }
        PATH.write_text(json.dumps(content) + "\n")
    return json.loads(PATH.read_text())


def test_the_numbers_are_those_of_this_version(golden, trained):
    assert json.loads(trained["plain"].attrs["study"])["results_version"] == golden["results_version"]


def test_orders_of_rows_are_equal_everywhere(golden):
    assert shuffles() == golden["shuffles"]


def test_keys_of_runs_are_equal_everywhere(golden):
    assert run_keys() == golden["run_keys"]


@pytest.mark.parametrize(("engine", "arm"), PAIRS)
def test_trainings_give_the_same_digits(golden, trained, engine, arm):
    results = trained[engine]
    same_toolchain = toolchain(results) == golden["toolchain"]
    for name, stored in golden["trainings"][engine][arm].items():
        found, wanted = results[name].sel(arm=arm).values, numbers(stored)
        if same_toolchain:
            assert bits(found) == bits(wanted), name
        np.testing.assert_allclose(found, wanted, **TOLERANCE, err_msg=name)
