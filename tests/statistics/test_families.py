import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.statistics import families, reaches, summarise

DEPTHS, RUNS = (1, 2, 4), 10


@pytest.fixture
def arms():
    return {f"net_{n}": vg.Experiment(mlp=vg.MLP(hidden=(3,) * n), training=vg.Training(epochs=20)) for n in DEPTHS}


def test_activations_by_layer_are_those_of_the_name():
    """A tuple that names the same activation for each layer differs from depth to depth, and no more."""
    arms = {f"net_{n}": vg.Experiment(mlp=vg.MLP(hidden=(3,) * n, activation=("relu",) * n)) for n in DEPTHS}
    (family,) = families({**arms, "other": vg.Experiment(mlp=vg.MLP(hidden=(3, 3, 3), activation="tanh"))})
    assert family == ("net", {n: f"net_{n}" for n in DEPTHS})
    mixed = vg.Experiment(mlp=vg.MLP(hidden=(3,) * 5, activation=("relu",) * 4 + ("tanh",)))
    assert families({**arms, "mixed_5": mixed}) == [family]


@pytest.mark.parametrize(
    ("converged", "deepest", "next_depth"),
    [
        ((10, 5, 4), 2, 4),
        ((4, 10, 10), None, None),
        ((5, 4, 10), 1, 2),
        ((10, 10, 5), 4, None),
        ((0, 0, 0), None, None),
    ],
)
def test_the_reach_is_the_last_depth_before_fewer_than_half_converge(arms, converged, deepest, next_depth):
    times = {name: np.where(np.arange(RUNS) < k, 5.0, np.nan) for name, k in zip(arms, converged, strict=True)}
    (reach,) = reaches(families(arms), summarise(made_results(times, arms=arms, epochs=20)))
    assert (reach.deepest, reach.next_depth) == (deepest, next_depth)
    assert reach.share.value == converged[0 if deepest is None else DEPTHS.index(deepest)] / RUNS
    if next_depth is None:
        assert reach.next_share is None
    else:
        assert reach.next_share.value == converged[DEPTHS.index(next_depth)] / RUNS
