"""Results of a sweep that nobody trained: what the statistics and the page have to say about them is known."""

import json

import numpy as np
import xarray

from vgrad_jax import presets
from vgrad_jax.results.axes import schema_of
from vgrad_jax.results.description import describe
from vgrad_jax.results.environment import versions
from vgrad_jax.results.schema import VARIABLES
from vgrad_jax.sweeps.experiment_arm import ExperimentArm

EPOCHS = 200


def made_results(times, *, arms=None, epochs=EPOCHS, diverged=(), seed=0):
    """Results in which run k of an arm converges at `times[arm][k]`, or never where that is NaN.

    Args:
        times: arm name to epochs.
        arms: arm name to experiment; None are the article's.
        epochs: of training.
        diverged: arms whose runs without a time diverged.
        seed: of accuracies, losses and gradients, which are drawn.
    """
    article = presets.article(epochs=epochs)
    arms = {name: (arms or article)[name] for name in times}
    num_seeds = max(map(len, times.values()))
    swept = {name: ExperimentArm(arm) for name, arm in arms.items()}
    labels = schema_of({name: arm.layout for name, arm in swept.items()}, num_seeds).coordinates
    rng = np.random.default_rng(seed)
    sizes = {dim: len(values) for dim, values in labels.values()}
    data = {}
    for name, variable in VARIABLES.items():
        if set(variable.dims) <= set(sizes):
            shape = tuple(sizes[dim] for dim in variable.dims)
            dtype = "U13" if variable.dtype == "str" else variable.dtype
            data[name] = (variable.dims, np.full(shape, variable.fill, dtype))
    for row, (arm, wanted) in enumerate(times.items()):
        wanted, n = np.asarray(wanted, float), len(wanted)
        converged = np.isfinite(wanted)
        data["epochs_to_converge"][1][row, :n] = wanted
        data["converged"][1][row, :n] = converged
        data["completed"][1][row, :n] = True
        data["outcome"][1][row, :n] = np.where(
            converged, "converged", "diverged" if arm in diverged else "not_converged"
        )
        layers = arms[arm].mlp.num_layers
        records = sizes["record"]
        grown = np.linspace(0.5, 1, records) * np.where(converged, 0.84, 0.55)[:, None]
        for kind in ("train_accuracy", "test_accuracy"):
            data[kind][1][row, :n] = np.round(np.clip(grown + rng.normal(0, 0.01, grown.shape), 0, 1) * 500) / 500
        for kind in ("train_loss", "test_loss"):
            data[kind][1][row, :n] = 0.7 - 0.5 * grown
        for kind in ("gradient_log10_rms", "update_ratio_log10"):
            data[kind][1][row, :n, :, :layers] = rng.normal(-2, 0.3, (n, records, layers))
        for kind in ("parameters", "gradients"):
            if kind in data:
                data[kind][1][row, :n] = rng.normal(0, 1, data[kind][1][row, :n].shape)
    study = describe(
        {name: arm.describe() for name, arm in swept.items()},
        {name: arm.fingerprint() for name, arm in swept.items()},
        seed=0,
    )
    return xarray.Dataset(
        data,
        coords=labels,
        attrs={"study": json.dumps(study), "versions": json.dumps(versions()), "engines": "{}", "chunk": 1},
    )
