"""Made-up evidence: a profile over the layers and a course of the loss, number by number."""

import numpy as np

from vgrad_jax.diagnosis.evidence import Evidence

LAYERS, RECORDS = 6, 20
FLOAT32, FLOAT16, BFLOAT16 = -37.9, -4.2, -37.9
STUCK = np.full(RECORDS, 0.7)


def evidence(profile=-2.0, *, shrinks=0.0, loss=STUCK, updates=-2.0, weights=0.0, records=RECORDS, **changes):
    """Make evidence of a profile over the layers, all of which shrink by so many decades in the late window."""
    sizes = np.broadcast_to(np.asarray(profile, float), (records, LAYERS)).copy()
    sizes[records - max(1, records // 4) :] -= shrinks
    fields = {
        "counts": np.full(LAYERS, 100.0),
        "smallest": np.full(LAYERS, FLOAT32),
        "spacing": np.full(LAYERS, -7.2),
        "log10_rms": sizes,
        "log10_max": sizes + 0.5,
        "zero_fraction": np.isneginf(sizes).astype(float),
        "nonfinite_fraction": np.isnan(sizes).astype(float),
        "params_log10_rms": weights + 1e-9 * np.arange(records)[:, None] * np.ones_like(sizes),  # They move.
        "update_ratio_log10": np.broadcast_to(np.asarray(updates, float), sizes.shape),
        "loss": None if loss is None else np.asarray(loss, float)[:records],
        "step": np.arange(records) * 10,
    }
    return Evidence(tuple(f"layer_{n}" for n in range(LAYERS)), **(fields | changes))


def course(*, early=1.0, late=1.0, first=1.0):
    """Return a loss: its first value, its value up to the late window, its value in the late window."""
    return np.array([first, *[early] * (RECORDS - 1 - RECORDS // 4), *[late] * (RECORDS // 4)])


def with_number(record, layer, number):
    """Return zeros with a number at one place."""
    array = np.zeros((RECORDS, LAYERS))
    array[record, layer] = number
    return array
