"""How much longer does a training step take with the recorder, on networks of a realistic size?

Every variant runs the same steps of Adam in one `lax.scan`. The variants are: no recorder, a recorder at every step or
every tenth step, and the same around the optimiser. Around the optimiser it records gradients, updates and parameters.
The aim is at most 15 % of a step when recording every step, and at most 3 % every tenth. Ratios are medians over
neighbouring calls, so that another program on the machine slows both.
"""

import jax
import jax.numpy as jnp
import optax
import pytest

import vgrad_jax as vg
from benchmarks.measure import side_by_side

STEPS = {"smallest": 2, "short": 50, "full": 200}
ROUNDS = {"smallest": 1, "short": 7, "full": 21}
ADAM = optax.adam(1e-5)
OPTIMIZERS = {
    "none": ADAM,
    "every step": optax.chain(vg.record(every=1, history=512), ADAM),
    "every tenth": optax.chain(vg.record(every=10, history=512), ADAM),
    "around, every step": vg.record(every=1, history=512, around=ADAM),
    "around, every tenth": vg.record(every=10, history=512, around=ADAM),
}


def dense(key, fan_in, fan_out):
    return {"kernel": jax.random.normal(key, (fan_in, fan_out)) * (2 / fan_in) ** 0.5, "bias": jnp.zeros((1, fan_out))}


def perceptron(width=256, depth=10, rows=128):
    """Make a 10-layer MLP of width 256, with 128 examples a step."""
    keys = jax.random.split(jax.random.key(0), depth)
    params = {f"Dense_{n}": dense(key, width, width) for n, key in enumerate(keys)}

    def loss(params, x):
        for n in range(depth):
            layer = params[f"Dense_{n}"]
            x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
        return jnp.mean(x**2)

    return loss, params, jax.random.normal(jax.random.key(1), (rows, width))


def transformer(width=128, blocks=4, heads=4, tokens=64, rows=8):
    """Make a small transformer: 4 blocks of width 128, with 8 sequences of 64 tokens a step."""
    keys = iter(jax.random.split(jax.random.key(0), 6 * blocks))
    sizes = {"query": 1, "key": 1, "value": 1, "out": 1, "up": 4}
    params = {}
    for n in range(blocks):
        params[f"block_{n}"] = {name: dense(next(keys), width, factor * width) for name, factor in sizes.items()}
        params[f"block_{n}"]["down"] = dense(next(keys), 4 * width, width)

    def normed(x):
        x = x - x.mean(-1, keepdims=True)
        return x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-6)

    def apply(layer, x):
        return x @ layer["kernel"] + layer["bias"][None]

    def loss(params, x):
        split = (*x.shape[:2], heads, width // heads)
        for n in range(blocks):
            block, h = params[f"block_{n}"], normed(x)
            q, k, v = (apply(block[name], h).reshape(split) for name in ("query", "key", "value"))
            x = x + apply(block["out"], jax.nn.dot_product_attention(q, k, v).reshape(x.shape))
            x = x + apply(block["down"], jax.nn.gelu(apply(block["up"], normed(x))))
        return jnp.mean(x**2)

    return loss, params, jax.random.normal(jax.random.key(1), (rows, tokens, width))


NETWORKS = {"10 layers of 256": perceptron, "transformer, 4 blocks of 128": transformer}
SMALLEST = {"10 layers of 256": {"width": 16, "depth": 2}}


@pytest.mark.parametrize("network", NETWORKS)
def test_recorder(benchmark, network, size):
    if size == "smallest" and network not in SMALLEST:
        pytest.skip("compiles for long")
    small = SMALLEST[network] if size == "smallest" else {}
    loss, params, x = NETWORKS[network](**small)
    steps = STEPS[size]

    def trained(optimizer):
        @jax.jit
        def run(params, state, x):
            def step(carry, _):
                params, state = carry
                value, gradient = jax.value_and_grad(loss)(params, x)
                updates, state = optimizer.update(gradient, state, params, value=value)
                return (optax.apply_updates(params, updates), state), value

            return jax.lax.scan(step, (params, state), None, length=steps)

        state = optimizer.init(params)
        return lambda number: run(params, state, x)

    calls = {name: trained(optax.with_extra_args_support(optimizer)) for name, optimizer in OPTIMIZERS.items()}
    measured = side_by_side(benchmark, calls, ROUNDS[size])
    benchmark.extra_info |= {
        "case": network,
        "ms_per_step": {name: 1e3 * measured.median(name) / steps for name in calls},
        "of_a_step": {name: measured.ratio(name, "none") - 1 for name in calls if name != "none"},
    }
    # Recording does not change the training.
    losses = {name: measured.results[name][0][1] for name in calls}
    for name in calls:
        assert jnp.allclose(losses[name], losses["none"], rtol=1e-5), name
