"""Made-up records: a profile over the layers, and a course over time."""

import dataclasses

import jax
import numpy as np

import vgrad_jax as vg

LAYERS, RECORDS = 6, 20


def record(profile, *, loss=None, decay=0.0, seeds=None, updates=-2.0, **changes):
    """Make a record up: a profile over the layers, all of it shrinking by `decay` decades over time."""
    time = np.linspace(0, 1, RECORDS)
    sizes = np.asarray(profile, float)[None] - decay * time[:, None]
    loss = np.full(RECORDS, np.nan) if loss is None else np.asarray(loss, float)
    fields = {
        "step": np.arange(RECORDS) * 10,
        "log10_rms": sizes,
        "log10_max": sizes + 0.5,
        "zero_fraction": np.isneginf(sizes).astype(float),
        "nonfinite_fraction": np.isnan(sizes).astype(float),
        "loss": loss,
        "params_log10_rms": -0.5 + 1e-9 * time[:, None] * np.ones_like(sizes),  # They move.
        "updates_log10_rms": np.full_like(sizes, updates - 0.5),
        "mean_log10_rms": sizes.mean(0),
        "std_log10_rms": np.zeros(LAYERS),
        **changes,
    }
    made = vg.Record(
        paths=tuple(f"layer_{n}" for n in range(LAYERS)),
        **fields,
        counts=(100,) * LAYERS,
        has_matrix=(True,) * LAYERS,
        dtypes=("float32",) * LAYERS,
    )
    return made if seeds is None else jax.tree.map(lambda array: np.stack([array] * seeds), made)


FLAT, STEEP = np.full(LAYERS, -2.0), np.linspace(-9, -2, LAYERS)
STUCK, FALLING, SOLVED = np.full(RECORDS, 0.7), np.linspace(0.7, 0.3, RECORDS), np.geomspace(0.7, 1e-4, RECORDS)
HARDLY_FALLS = np.linspace(0.7, 0.65, RECORDS)
WITH_ZEROS = np.where(np.arange(LAYERS) < 4, -np.inf, -2.0)
WITH_NAN = np.where(np.arange(LAYERS) == 2, np.nan, -2.0)

KNOWN = {
    "healthy": record(FLAT, loss=FALLING),
    "vanishing": record(STEEP, loss=STUCK),
    "exploding": record(-4 - STEEP, loss=STUCK),
    "dead": record(WITH_ZEROS, loss=STUCK),
    "non_finite": record(WITH_NAN, loss=STUCK),
    "solved": record(FLAT, loss=SOLVED, decay=4),
    "learning_rate_small": record(FLAT, loss=STUCK, updates=-6.0),
    "learning_rate_large": record(FLAT, loss=np.linspace(0.7, 5, RECORDS), updates=0.0),
    "underflow": dataclasses.replace(record(FLAT - 4.5, loss=STUCK), dtypes=("float16",) * LAYERS),
    "chance_level": record(FLAT, loss=STUCK),
    "unclear": record(FLAT, loss=HARDLY_FALLS),
}
