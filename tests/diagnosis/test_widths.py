"""The coordinate check, against exponents that are known in closed form."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg

FEATURES, WIDTHS = 8, (32, 128, 256)
BATCH = jax.random.normal(jax.random.key(1), (16, FEATURES)), jnp.ones((16, 1))


def shapes_of(width):
    return (FEATURES, width), (width, width), (width, 1)


@cache
def init_of(exponent):
    """Return kernels of a standard deviation of fan-in to a power."""

    @cache
    def init_of_width(width):
        def init(key):
            keys = jax.random.split(key, 3)
            return [
                jax.random.normal(k, shape) * shape[0] ** exponent
                for k, shape in zip(keys, shapes_of(width), strict=True)
            ]

        return init

    return init_of_width


def loss(params, batch):
    h, y = batch
    for kernel in params[:-1]:
        h = jnp.tanh(h @ kernel)
    return jnp.mean((h @ params[-1] - y) ** 2)


@cache
def checked(rate):
    """Return the check of usual kernels under Adam."""
    return vg.check_widths(loss, init_of(-0.5), BATCH, optax.adam(rate), widths=WIDTHS)


@pytest.mark.parametrize(
    ("exponent", "slope"), [(-0.5, 0.0), (0.0, 0.5), pytest.param(-1.0, -0.5, marks=pytest.mark.slow)]
)
def test_first_sizes_have_the_exponent_of_their_law(exponent, slope):
    # Preactivations of many units of about one size: their variance is fan-in times the kernels' variance. The first
    # layer has the same fan-in at every width. Small kernels make small units: each layer adds to the exponent.
    check = vg.check_widths(loss, init_of(exponent), BATCH, optax.sgd(1e-9), widths=WIDTHS)
    slopes = check.slopes(check.first)
    expected = [0.0, slope, 2 * slope if slope < 0 else slope]
    for (_, low, high), exact in zip(slopes, expected, strict=True):
        assert low - 0.1 < exact < high + 0.1
    np.testing.assert_allclose(check.late, check.first, atol=1e-4)
    assert check.steady == (slope == 0)


@pytest.mark.slow
def test_adam_with_one_rate_drifts_and_a_rate_over_the_width_does_not():
    same = checked(0.04)
    assert "1" in same.drifting
    assert str(same).startswith("drifting: preactivations change with the width (32 to 256) in 1")
    assert "    1: 0.0" in str(same) or "    1: -0.0" in str(same)
    scaled = vg.check_widths(
        loss, init_of(-0.5), BATCH, lambda width: optax.adam(0.5 / width), widths=WIDTHS, num_seeds=2
    )
    assert "1" not in scaled.drifting


def test_the_first_update_of_adam_is_the_learning_rate():
    # Over kernels of a deviation of width^-1/2 it grows by width^1/2; a rate over the width turns that round.
    check = vg.check_widths(loss, init_of(-0.5), BATCH, optax.adam(0.02), widths=WIDTHS, steps=1, num_seeds=2)
    assert check.slopes(check.moved)[1, 0] == pytest.approx(0.5, abs=0.03)


def test_sizes_are_numpys():
    check = vg.check_widths(loss, init_of(-0.5), BATCH, optax.sgd(0.1), widths=WIDTHS, steps=1, num_seeds=2)
    key = jax.random.split(jax.random.key(0), 2)[1]
    for index, width in enumerate(WIDTHS):
        before = init_of(-0.5)(width)(key)
        after = [k - 0.1 * g for k, g in zip(before, jax.grad(loss)(before, BATCH), strict=True)]
        for params, sizes in ((before, check.first), (after, check.late)):
            h = np.asarray(BATCH[0], np.float64)
            for layer, kernel in enumerate(params):
                z = h @ np.asarray(kernel, np.float64)
                assert sizes[index, 1, layer] == pytest.approx(np.log10(np.sqrt(np.mean(z**2))), abs=1e-4)
                h = np.tanh(z)
        moved = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(after, before, strict=True)]
        np.testing.assert_allclose(check.moved[index, 1], np.log10(moved), atol=1e-3)


def test_the_figure_has_a_line_for_each_layer_in_both_panels():
    check = checked(0.04)
    panels = check.plot().axes
    assert [len(axes.lines) for axes in panels] == [3, 3]
    np.testing.assert_allclose(panels[0].lines[1].get_ydata(), np.sort(check.first[:, :, 1], axis=1)[:, 1])


def test_bad_input_is_refused():
    with pytest.raises(vg.InputError, match="three different numbers"):
        vg.check_widths(loss, init_of(-0.5), BATCH, optax.sgd(0.1), widths=(32, 32, 64))
    with pytest.raises(vg.InputError, match="must have the same layers"):
        vg.check_widths(
            lambda params, batch: sum(jnp.mean((batch[0] @ kernel) ** 2) for kernel in params.values()),
            lambda width: lambda key: {f"w{width}": jnp.ones((FEATURES, width))},
            BATCH,
            optax.sgd(0.1),
            widths=(32, 64, 128),
        )
