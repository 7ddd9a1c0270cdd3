"""Stacks of layers, whichever way a loop goes over them; tables by their rows; a record's layers in a look."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.arrays import normal, zeros
from vgrad_jax.gradients.layers import Grouping
from vgrad_jax.gradients.look import look_at_compiled, record_layers

DEPTH, WIDTH = 5, 6
X = normal(8, WIDTH)
PARAMS = {
    "blocks": {"w": normal(DEPTH, WIDTH, WIDTH, scale=1 / 9), "b": zeros(DEPTH, 1, WIDTH)},
    "out": {"w": normal(WIDTH, 1)},
}


def layer(h, w, b):
    return jnp.tanh(h @ w + b)


def scanned(p, x):
    return jax.lax.scan(lambda h, block: (layer(h, block["w"], block["b"]), None), x, p["blocks"])[0]


def indexed(p, x):
    for i in range(DEPTH):
        x = layer(x, p["blocks"]["w"][i], p["blocks"]["b"][i])
    return x


def mapped(p, x):
    for i in range(DEPTH):
        block = jax.tree.map(lambda a: a[i], p["blocks"])  # noqa: B023
        x = layer(x, block["w"], block["b"])
    return x


def iterated(p, x):
    for w, b in zip(p["blocks"]["w"], p["blocks"]["b"], strict=True):
        x = layer(x, w, b)
    return x


def taken(p, x):
    for i in range(DEPTH):
        x = layer(x, jnp.take(p["blocks"]["w"], i, axis=0), jax.lax.dynamic_index_in_dim(p["blocks"]["b"], i, 0, False))
    return x


def counted(p, x):
    return jax.lax.fori_loop(0, DEPTH, lambda i, h: layer(h, p["blocks"]["w"][i], p["blocks"]["b"][i]), x)


def scanned_indices(p, x):
    step = lambda h, i: (layer(h, p["blocks"]["w"][i], p["blocks"]["b"][i]), None)  # noqa: E731
    return jax.lax.scan(step, x, jnp.arange(DEPTH))[0]


def looked(hidden, params=PARAMS):
    return look_at_compiled(lambda p, x: jnp.mean((hidden(p, x) @ p["out"]["w"] - 1) ** 2), params, X, Grouping())


@pytest.mark.parametrize("hidden", [indexed, mapped, iterated, taken, counted, scanned_indices])
def test_a_loop_sees_what_the_scan_sees(hidden):
    look, reference = looked(hidden), looked(scanned)
    assert look.stats.paths == (*(f"blocks/{n}" for n in range(DEPTH)), "out")
    assert look.stats.paths == reference.stats.paths
    assert look.forward.kinds == reference.forward.kinds
    assert look.forward_layers == reference.forward_layers
    np.testing.assert_allclose(look.stats.log10_rms, reference.stats.log10_rms, atol=1e-4)
    np.testing.assert_allclose(look.forward.log10_rms, reference.forward.log10_rms, atol=1e-4)


def test_a_scan_that_begins_with_the_last_layer():
    def backwards(p, x):
        step = lambda h, block: (layer(h, block["w"], block["b"]), None)  # noqa: E731
        return jax.lax.scan(step, x, p["blocks"], reverse=True)[0]

    assert looked(backwards).stats.paths == (*(f"blocks/{n}" for n in reversed(range(DEPTH))), "out")


def test_two_stacks_of_one_length_are_two():
    def both(p, x):
        for part in ("encoder", "decoder"):
            for i in range(DEPTH):
                x = layer(x, p[part]["w"][i], p[part]["b"][i])
        return x

    params = {"encoder": PARAMS["blocks"], "decoder": PARAMS["blocks"], "out": PARAMS["out"]}
    paths = looked(both, params).stats.paths
    assert paths == (*(f"{part}/{n}" for part in ("encoder", "decoder") for n in range(DEPTH)), "out")


def test_what_is_indexed_but_is_no_stack():
    def gates(p, x):  # A matrix of vectors, and a kernel of which one part is used as it stands.
        h = jnp.tanh(x @ p["w"]) * p["gain"][:1] + p["gain"][1:]
        return h + x @ p["kernels"][0] + jnp.sum(p["kernels"])

    params = {
        "w": PARAMS["blocks"]["w"][0],
        "gain": jnp.ones((2, 1, 1))[..., 0],
        "kernels": PARAMS["blocks"]["w"][:2],
    } | {"out": PARAMS["out"]}
    assert set(looked(gates, params).stats.paths) == {"w", "gain", "kernels", "out"}


def test_the_order_of_an_unet_and_of_tied_weights():
    names = {"up": (0, 1), "down": (0, 1), "middle": (0,)}
    params = {name: {str(n): jnp.eye(WIDTH) / 2 for n in numbers} for name, numbers in names.items()}

    def unet(p, x):
        first = jnp.tanh(x @ p["down"]["0"])
        second = jnp.tanh(first @ p["down"]["1"])
        h = jnp.tanh(second @ p["middle"]["0"])
        h = jnp.tanh((h + second) @ p["up"]["0"])
        return jnp.tanh((h + first) @ p["up"]["1"]) @ p["down"]["0"].T

    look = look_at_compiled(lambda p, x: jnp.mean(unet(p, x) ** 2), params, X, Grouping(per_leaf=True))
    assert look.stats.paths == ("down/0", "down/1", "middle/0", "up/0", "up/1")


def touched(loss, params, batch):
    look = look_at_compiled(loss, params, batch, Grouping())
    return dict(zip(look.stats.paths, np.asarray(look.touched_fraction, float).round(4).tolist(), strict=True))


TABLE = {"embed": {"t": normal(500, WIDTH)}, "out": PARAMS["out"]}
IDS = jnp.array([1, 2, 2, 9])


def test_the_rows_that_a_batch_touches():
    lookup = lambda p, ids: jnp.mean((p["embed"]["t"][ids] @ p["out"]["w"] - 1) ** 2)  # noqa: E731
    one_hot = lambda p, ids: jnp.mean((jax.nn.one_hot(ids, 500) @ p["embed"]["t"] @ p["out"]["w"] - 1) ** 2)  # noqa: E731
    prefix = lambda p, x: jnp.mean(((x + p["embed"]["t"][:8]) @ p["out"]["w"] - 1) ** 2)  # noqa: E731
    tied = lambda p, ids: jnp.mean((p["embed"]["t"][ids] @ p["embed"]["t"].T - 1) ** 2)  # noqa: E731
    assert touched(lookup, TABLE, IDS) == {"embed": 0.006, "out": 1.0}
    assert touched(one_hot, TABLE, IDS) == {"embed": 0.006, "out": 1.0}
    assert touched(prefix, TABLE, X) == {"embed": 0.016, "out": 1.0}
    assert touched(tied, TABLE, IDS)["embed"] == 1.0


def test_touched_rows_in_a_scan_over_time():
    def loss(p, ids):
        h = jax.lax.scan(lambda h, i: (jnp.tanh(h + p["embed"]["t"][i]), None), jnp.zeros(WIDTH), ids)[0]
        return jnp.mean((h @ p["out"]["w"] - 1) ** 2)

    assert touched(loss, TABLE, IDS) == {"embed": 0.006, "out": 1.0}


def test_units_that_are_off_are_no_untouched_rows():
    params = {"a": {"w": PARAMS["blocks"]["w"][0]}, "b": {"w": PARAMS["blocks"]["w"][1]}}
    off = jnp.array([9.0] * 3 + [0.0] * 3)[None]
    loss = lambda p, x: jnp.mean((jax.nn.relu(x @ p["a"]["w"] - off) @ p["b"]["w"]) ** 2)  # noqa: E731
    assert touched(loss, params, X) == {"a": 1.0, "b": 1.0}


def test_the_layers_of_a_record_that_does_not_split_a_stack():
    look = looked(scanned)
    assert record_layers(look, ("blocks", "out")) == ((0, 1, 2, 3, 4), (5,))
    assert record_layers(look, ("out", "blocks/3", "other")) == ((5,), (3,), ())
