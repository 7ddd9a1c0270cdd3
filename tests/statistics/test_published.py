from functools import partial

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.statistics import published
from vgrad_jax.statistics.published import Placement, first_layer_change, learned_by, placements


@pytest.fixture(scope="module")
def article():
    arms = vg.presets.article(epochs=100)
    return vg.sweep({name: arms[name] for name in ("tanh_uniform", "relu_he")}, 3, chunk=3, progress=False)


def test_first_layer_change_against_the_parameters(article):
    key = vg.run_key(0, 2)
    train = jax.jit(partial(vg.train, vg.presets.article(epochs=100)["relu_he"]))
    kernels = train(key).parameters[0].kernel
    expected = np.abs(kernels[2] - kernels[1]).mean()
    np.testing.assert_allclose(first_layer_change(article, "relu_he")[2], expected, rtol=1e-2, atol=1e-6)


def test_published_numbers_are_held_against_the_same_training_only(article):
    placed = placements(article)
    assert {(p.arm, p.published) for p in placed} == {("tanh_uniform", 0.0141), ("relu_he", 0.3805)}
    assert all(p.n == 3 and 0 <= p.share_below <= 1 for p in placed)
    assert learned_by(article, "tanh_uniform") is None
    assert learned_by(article, "tanh_uniform", epoch=100).shape == (3,)
    arms, times = vg.presets.article(epochs=100), [50.0, 60.0]
    names = ("tanh_uniform", "relu_he")
    for kept, wanted in ((names, 2), (names[::-1], 0)):
        named = dict(zip(names, (arms[name] for name in kept), strict=True))
        assert len(placements(made_results(dict.fromkeys(names, times), arms=named, epochs=100))) == wanted


def test_a_published_accuracy_ties_with_the_same_share_in_float32():
    tied = published._place("a", "accuracy", 0.56, np.full(10, 280 / 500, np.float32))
    assert tied.share_below == 0.5
    assert tied.inside
    spread = published._place("a", "accuracy", 0.56, np.float32([0.5, 0.56, 0.6, 0.7]))
    assert spread.share_below == (1 + 0.5) / 4


def test_placement_knows_the_central_share():
    inside = Placement("a", "q", 0.5, 9, (0.1, 0.5, 0.9), 0.5)
    assert inside.inside
    assert not inside._replace(published=0.95).inside


def test_a_placement_is_inside_from_the_lowest_to_the_highest_quantile():
    placed = Placement("a", "q", 0.2, 9, (0.1, 0.5, 0.9), 0.5)
    found = [placed._replace(published=number).inside for number in (0.0999, 0.1, 0.2, 0.49, 0.51, 0.9, 0.9001)]
    assert found == [False, True, True, True, True, True, False]


@pytest.mark.parametrize("share", [0.7, 0.56, 0.842, 0.3])
def test_every_share_of_500_rows_ties_with_itself_in_float32(share):
    values = np.float32([share - 0.002, share, share, share + 0.002, share + 0.004])
    placed = published._place("a", "accuracy", share, values)
    assert placed.share_below == (1 + 0.5 * 2) / 5
    np.testing.assert_allclose(placed.quantiles, np.quantile(values.astype(float), [0.05, 0.5, 0.95]))


def test_the_articles_accuracy_is_placed_after_as_many_epochs_as_the_articles():
    times = {"tanh_uniform": np.full(8, np.nan)}
    (accuracy,) = (one for one in placements(made_results(times, epochs=500)) if "accuracy" in one.quantity)
    final = made_results(times, epochs=500)["test_accuracy"].values[0, :, -1].astype(float)
    assert (accuracy.published, accuracy.n) == (0.56, 8)
    below = np.mean(final < 0.56 - 1e-5) + 0.5 * np.mean(np.abs(final - 0.56) < 1e-5)
    assert accuracy.share_below == below
    assert not [one for one in placements(made_results(times, epochs=400)) if "accuracy" in one.quantity]
