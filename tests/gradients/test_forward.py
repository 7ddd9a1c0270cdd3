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


@pytest.mark.parametrize("axis", [-1, 0])
def test_a_softmax_is_one_hot_where_numpys_is(axis):
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    kernel = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
    for scale in (0.1, 3.0, 100.0):

        def loss(leaves, x, scale=scale):
            return jnp.mean(jax.nn.softmax(scale * (x @ leaves[0]), axis=axis)[:, 0] ** 2)

        stats, _ = forward_pass(loss, [kernel], x)
        assert stats.kinds == ("product", "softmax")
        z = scale * (x.astype(np.float64) @ kernel)
        shares = np.exp(z - z.max(axis, keepdims=True))
        shares /= shares.sum(axis, keepdims=True)
        one_hot = shares.max(axis) > 0.98
        np.testing.assert_allclose(stats.off_fraction[1], one_hot.mean(), atol=1e-6)
        assert stats.stuck_fraction[1] == one_hot.all()


def test_a_quotient_of_other_exponentials_is_no_softmax():
    def loss(leaves, x):
        z = x @ leaves[0]
        return jnp.mean(jnp.exp(z) / jnp.exp(2 * z).sum(-1, keepdims=True)) + jnp.mean(z / (1 + jnp.exp(z)))

    stats, _ = forward_pass(loss, [jnp.ones((3, 2))], jnp.ones((4, 3)))
    assert stats.kinds == ("product",)


def test_attention_that_looks_at_one_place_is_seen():
    def loss(params, x):
        h = jax.nn.dot_product_attention(x @ params["q"], x @ params["k"], x @ params["v"])
        return jnp.mean((h @ params["out"]) ** 2)

    shapes = {"q": (8, 8), "k": (8, 8), "v": (8, 8), "out": (8, 1)}
    keys = dict(zip(shapes, jax.random.split(jax.random.key(0), 4), strict=True))
    x = jax.random.normal(jax.random.key(1), (4, 10, 2, 8))
    for scale, low, high in ((0.1, 0.0, 0.0), (30.0, 0.95, 1.0)):
        params = {name: scale * jax.random.normal(keys[name], shape) for name, shape in shapes.items()}
        seen = look_at_compiled(loss, params, x, GROUPING)
        assert low <= np.nanmax(seen.by_layer("off_fraction", ("softmax",))) <= high


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
    expected += [*(("product", name) for name in attention[:3]), ("softmax", attention[2]), ("product", attention[3])]
    assert sites == [*expected, ("product", "a"), ("logistic", "a")]


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
