"""The look at a forward pass: order of use, preactivations and activations, against NumPy."""

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from vgrad_jax.gradients.forward import forward_pass
from vgrad_jax.gradients.layers import Grouping
from vgrad_jax.gradients.look import look_at, look_at_compiled

GROUPING = Grouping()


def by_numpy(kind, y):
    """Return the shares of outputs without slope, and of units without for every example; units last."""
    y = np.asarray(y, np.float64)
    slope = {"tanh": 1 - y**2, "logistic": 4 * y * (1 - y), "relu": np.where(y > 0, 1.0, 0.0)}[kind]
    off = slope < 0.02
    return off.mean(), off.reshape(-1, y.shape[-1]).all(axis=0).mean()


@pytest.mark.parametrize(
    ("activation", "kind"), [(jnp.tanh, "tanh"), (jax.nn.sigmoid, "logistic"), (jax.nn.relu, "relu")]
)
@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_layer_is_numpys(activation, kind, one_by_one):
    x, kernel, shift = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32) * [[[3.0]], [[1.0]], [[4.0]]]
    x, kernel, shift = x[:6].astype(np.float32), kernel.astype(np.float32), shift[:1].astype(np.float32)

    def loss(leaves, x):
        example = lambda x: activation(leaves[0] @ x + leaves[1][0])  # noqa: E731
        h = jax.vmap(example)(x) if one_by_one else activation(x @ leaves[0].T + leaves[1])
        return jnp.mean(h)

    stats, _ = forward_pass(loss, [kernel, shift], x)
    assert stats.kinds == ("product", kind)
    z = x.astype(np.float64) @ kernel.T
    np.testing.assert_allclose(stats.log10_rms[0], np.log10(np.sqrt(np.mean(z**2))), rtol=1e-5)
    outputs = activation(jnp.asarray(z + shift, jnp.float32))
    np.testing.assert_allclose((stats.off_fraction[1], stats.stuck_fraction[1]), by_numpy(kind, outputs), atol=1e-6)


class Block(linen.Module):
    @linen.compact
    def __call__(self, x, _):
        return linen.relu(linen.Dense(8)(x)), None


class Net(linen.Module):
    """Names that say nothing of depth, a remat, a scan over layers, a convolution, a norm, an attention."""

    @linen.compact
    def __call__(self, x):
        x = linen.tanh(linen.Conv(8, (3,), name="z")(x))
        scan = linen.scan(linen.remat(Block), variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = scan(name="layers")(x, None)
        x = linen.LayerNorm(name="norm")(linen.MultiHeadDotProductAttention(2, name="attention")(x))
        return linen.sigmoid(linen.Dense(1, name="a")(x.mean(1)))


def test_order_of_use_of_a_model_with_everything():
    x = jnp.ones((5, 4, 2))
    with jax.numpy_rank_promotion("allow"):
        params = Net().init(jax.random.key(0), x)
        seen = jax.eval_shape(lambda p: look_at(lambda p, x: jnp.mean(Net().apply(p, x)), p, x), params)
    layers = [f"layers/Dense_0/{n}" for n in range(3)]
    attention = [f"attention/{name}" for name in ("query", "key", "value", "out")]
    names = ["z", *layers, *attention, "norm", "a"]
    assert seen.stats.paths == tuple(f"params/{name}" for name in names)
    sites = [(kind, names[layer]) for kind, layer in zip(seen.forward.kinds, seen.forward_layers, strict=True)]
    expected = [("product", "z"), ("tanh", "z")]
    expected += [(kind, layer) for layer in layers for kind in ("product", "relu")]
    assert sites == [*expected, *(("product", name) for name in attention), ("product", "a"), ("logistic", "a")]


def test_a_scan_over_layers_sees_what_the_layers_one_by_one_show():
    kernels = jax.random.normal(jax.random.key(0), (4, 8, 8))
    x = jax.random.normal(jax.random.key(1), (6, 8))

    def scanned(params, x):
        return jnp.mean(jax.lax.scan(lambda h, kernel: (jnp.tanh(h @ kernel), None), x, params["kernels"])[0] ** 2)

    def unrolled(params, x):
        for kernel in params:
            x = jnp.tanh(x @ kernel)
        return jnp.mean(x**2)

    stacked, listed = (
        look_at_compiled(scanned, {"kernels": kernels}, x, GROUPING),
        look_at_compiled(unrolled, list(kernels), x, GROUPING),
    )
    for name in ("log10_rms", "off_fraction", "stuck_fraction"):
        np.testing.assert_allclose(getattr(stacked.forward, name), getattr(listed.forward, name), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stacked.stats.log10_rms, listed.stats.log10_rms, rtol=1e-4)
    assert stacked.stats.paths == ("kernels/0", "kernels/1", "kernels/2", "kernels/3")
    assert stacked.forward_layers == listed.forward_layers == (0, 0, 1, 1, 2, 2, 3, 3)


def test_a_recurrent_network_shares_its_weights_over_time():
    cell = equinox.nn.GRUCell(3, 4, key=jax.random.key(0))

    def loss(cell, x):
        return jnp.mean(jax.lax.scan(lambda h, x: (cell(x, h), None), jnp.zeros(4), x)[0])

    seen = look_at_compiled(loss, cell, jnp.ones((7, 3)), GROUPING)
    assert seen.forward.kinds == ("product", "product", "logistic", "logistic", "tanh")
    assert np.isfinite(seen.stats.log10_rms).all()


def test_weights_that_are_computed_before_they_are_used():
    def loss(params, x):
        mask = jnp.triu(jnp.ones((4, 4)))
        return jnp.mean((x @ (params["w"] * mask / jnp.linalg.norm(params["w"]))) ** 2)

    seen = look_at_compiled(loss, {"w": jnp.ones((4, 4))}, jnp.ones((3, 4)), GROUPING)
    assert (seen.forward.kinds, seen.forward_layers) == (("product",), (0,))
