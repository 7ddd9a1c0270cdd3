import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.data import noise_free
from vgrad_jax.statistics.ceiling import bayes_accuracy, majority_share


@pytest.mark.parametrize(
    "data",
    [vg.Data("circles"), vg.Data("circles", noise=0.3), vg.Data("moons", noise=0.25), vg.Data("moons", noise=0.02)],
)
def test_the_best_rule_scores_what_is_said_on_rows_it_has_not_seen(data):
    points, classes = noise_free(data)
    rng, n = np.random.default_rng(0), 5000
    drawn = rng.integers(len(points), size=n)
    x = points[drawn] + rng.normal(0, data.noise, (n, 2))
    near = [np.exp(-((x[:, None] - points[classes == k]) ** 2).sum(-1) / (2 * data.noise**2)).sum(1) for k in (0, 1)]
    measured = np.mean((near[1] > near[0]) == classes[drawn])
    expected = bayes_accuracy(data)
    assert abs(measured - expected) < 4 * (expected * (1 - expected) / n) ** 0.5 + 1e-3


def test_without_noise_everything_can_be_known_and_of_other_data_nothing():
    assert [bayes_accuracy(vg.Data("circles", noise=noise)) for noise in (0.0, 1e-4, 1e-3)] == [1, 1, 1]
    assert bayes_accuracy(vg.Data("digits")) is None


def test_the_larger_class_is_the_training_rows():
    data = vg.load_data(vg.Data())
    larger = np.bincount(data.train_y).argmax()
    assert majority_share(vg.Data()) == np.mean(data.test_y == larger)
