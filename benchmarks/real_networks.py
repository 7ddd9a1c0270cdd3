"""Faulty networks that people asked about, as Experiments: those of tests/verdicts/real_faults.json that fit.

A network fits where its layers are dense and without dropout, and its last activation belongs to its loss. Data are
made from the facts of each question. A penalty or a decay of the learning rate has no field here, so that such a
network does not fit either.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import vgrad_jax as vg

VERDICTS = Path(__file__).parents[1] / "tests" / "verdicts"
MOST_EPOCHS = 60
"""Epochs at the most: ten minutes have to do for all networks."""

ACTIVATIONS = {"linear": "identity", "sigmoid": "sigmoid", "relu": "relu", "tanh": "tanh", "elu": "elu", "selu": "selu"}
INITIALISERS = {
    "uniform": "uniform(-0.05, 0.05)",
    "normal": "normal(0.05)",
    "ones": "constant(1)",
    "glorot_uniform": "glorot_uniform",
    "he_uniform": "he_uniform",
}
LOSSES = {
    ("linear", "mean_squared_error"): "squared_error",
    ("sigmoid", "binary_crossentropy"): "binary_cross_entropy",
    ("softmax", "categorical_crossentropy"): "softmax_cross_entropy",
}
"""Last activation and loss to the loss of logits that is both together."""


def real_networks() -> Iterator[tuple[str, vg.Experiment]]:
    """Yield each faulty network that an `Experiment` can express, with its name."""
    sys.path.insert(0, str(VERDICTS))
    from real_data import made

    for case in json.loads((VERDICTS / "real_faults.json").read_text())["cases"]:
        experiment = expressed(case["buggy"], lambda facts, data=case["task"]["data"]: made(data, *facts))
        if experiment is not None:
            yield f"real, {case['id']}", experiment


def expressed(facts: dict[str, Any], data_of: Any) -> vg.Experiment | None:
    """Return a program as an `Experiment`; None where it has none."""
    layers, optimizer = facts["layers"], facts["optimizer"]
    *hidden, last = layers
    loss = LOSSES.get((last.get("activation"), facts["loss"]))
    if loss is None or any(layer["type"] != "dense" or "l1" in layer for layer in layers):
        return None
    named = all(layer["activation"] in ACTIVATIONS for layer in hidden)
    if not named or optimizer.get("decay") or optimizer["name"] not in ("sgd", "rmsprop", "adam"):
        return None
    x, y = data_of((facts["inputs"], facts["labels"]))
    targets = np.argmax(y, axis=1) if loss == "softmax_cross_entropy" else y[:, 0]
    if loss != "softmax_cross_entropy" and y.shape[1] > 1:
        return None
    targets = targets if loss == "squared_error" else targets.astype(int)
    starts = [INITIALISERS[layer.get("init", "glorot_uniform")] for layer in layers]
    if len(set(starts[:-1])) > 1 or (loss != "squared_error" and len(set(targets.tolist())) < 2):
        return None
    rows = len(x) // 2
    batch = min(facts["batch_size"], rows)
    epochs = min(MOST_EPOCHS, -(-facts["steps"] * batch // rows))
    momentum = optimizer.get("momentum") or 0.0
    return vg.Experiment(
        mlp=vg.MLP(
            hidden=tuple(layer["units"] for layer in hidden),
            activation=tuple(ACTIVATIONS[layer["activation"]] for layer in hidden),
            kernel_init=starts[0],
            output_init=starts[-1],
        ),
        data=vg.Data(x=x.astype(np.float32), y=targets, scale="none"),
        optimizer=vg.Optimizer(optimizer["name"], learning_rate=optimizer["learning_rate"], momentum=momentum),
        training=vg.Training(epochs=max(epochs, 1), batch_size=batch, loss=loss, threshold=0.8),
    )
