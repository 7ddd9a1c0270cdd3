"""Calls of public names."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import vgrad_jax as vg
from tests.fuzzing.records import made_record
from tests.fuzzing.values import VALUES


def user_loss(params, batch):
    return jnp.mean((jnp.tanh(batch[0] @ params)[:, 0] - batch[1]) ** 2)


def user_init(key):
    return jax.random.normal(key, (3, 2))


BATCH = (np.ones((4, 3), np.float32), np.ones(4, np.float32))
MLP = vg.MLP(hidden=(3,))
LITTLE = vg.Experiment(mlp=MLP, data=vg.Data("moons", samples=8), training=vg.Training(epochs=1, batch_size=4))
OBSERVED = [True, False]


@functools.cache
def calls():
    """Arguments that each public name accepts."""
    key = jax.random.key(0)
    params = vg.init_mlp(key, MLP, 2)
    state = vg.record(history=2, around=optax.sgd(0.1)).init(jnp.ones((3, 2)))
    return {
        "apply_mlp": {"params": params, "x": jnp.ones(2), "mlp": MLP},
        "check_init": {
            "loss_fn": user_loss,
            "params_or_init_fn": user_init,
            "batch": BATCH,
            "key": key,
            "num_seeds": 1,
        },
        "compare_times": {
            "a_times": [1, 2],
            "a_observed": OBSERVED,
            "b_times": [2, 2],
            "b_observed": OBSERVED,
            "budget": 2,
        },
        "critical_weight_variance": {"activation": "tanh", "bias_variance": 0.1},
        "diagnose": {"record_or_stats": made_record(), "check": None, "baseline": None},
        "get_record": {"opt_state": state, "name": None},
        "gradient_stats": {
            "tree": {"a": jnp.ones((2, 2))},
            "per_leaf": False,
            "batch_axes": 0,
            "stacked": None,
            "order": None,
        },
        "init_mlp": {"key": key, "mlp": MLP, "in_features": 2, "out_features": 1},
        "input_jacobian": {"params": params, "x": jnp.ones(2), "mlp": MLP, "to": "logits"},
        "lanes": {"f": jnp.sin, "in_axes": 0, "out_axes": 0},
        "load_data": {"data": vg.Data("moons", samples=8)},
        "locate_nonfinite": {"loss_fn": user_loss, "params": jnp.ones((3, 2)), "batch": BATCH},
        "make_train": {
            "init": user_init,
            "loss_fn": user_loss,
            "optimizer": optax.sgd(0.1),
            "data": BATCH,
            "epochs": 1,
            "batch_size": 2,
        },
        "mean_field": {"activation": "tanh", "weight_variance": 1.5, "bias_variance": 0.05},
        "open_results": {"path": "nowhere"},
        "record": {"every": 1, "history": 0, "name": "g", "around": optax.sgd(0.1), "params": False, "order": None},
        "run_key": {"seed": 0, "run": 1},
        "seeds_needed": {"effect": 0.1, "power": 0.9, "baseline": None, "significance": 0.05},
        "sweep": {
            "arms": {"a": LITTLE},
            "num_seeds": 2,
            "seed": 0,
            "chunk": None,
            "engine": "plain",
            "precision": None,
        },
        "prescribe": {"patient": LITTLE, "seeds": 8, "most": 2, "enough": 0.5, "progress": False},
        "watch": {"opt_state": state, "baseline": None, "patience": 2},
        "Data": {"source": "moons", "samples": 8, "noise": 0.1, "x": None, "y": None, "path": None, "target": None},
        "MLP": {"hidden": (3,), "activation": "tanh", "kernel_init": "he_normal", "norm": None, "residual": None},
        "Optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.0, "clip_norm": None},
        "Training": {"epochs": 1, "batch_size": 4, "loss": "hinge", "threshold": 0.5},
        "Recording": {"every": 1, "parameters_at": (), "gradients_at": ()},
        "Experiment": {"mlp": MLP, "data": vg.Data(), "training": vg.Training()},
        "Arm": {"train": user_init, "converged": "w > 0", "factors": None, "dims": None, "coords": None, "units": None},
    }


def signatures(random, folder):
    """Public names called with some arguments of another kind."""
    del folder
    name = random.choice(sorted(calls()))
    arguments = dict(calls()[name])
    for _ in range(random.randint(1, 2)):
        arguments[random.choice(sorted(arguments))] = random.choice(VALUES)
    if random.random() < 0.05 and name != "Arm":  # The run-time type checker of the tests answers before an Arm.
        arguments[random.choice(("", "unknown", "key_"))] = 1
    getattr(vg, name)(**arguments)
