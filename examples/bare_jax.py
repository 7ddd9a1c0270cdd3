"""Bare JAX: the check before training, the recorder in `lax.scan`, many seeds by `vmap`."""

import jax
import jax.numpy as jnp
import optax

import vgrad_jax as vg

WIDTHS = (2, 16, 16, 16, 1)
x = jax.random.normal(jax.random.key(0), (64, 2))
y = (x[:, 0] * x[:, 1] > 0).astype(jnp.float32)


def init(key):
    keys = jax.random.split(key, len(WIDTHS) - 1)
    pairs = zip(keys, WIDTHS[:-1], WIDTHS[1:], strict=True)
    return [{"kernel": jax.nn.initializers.he_normal()(k, (i, o)), "bias": jnp.zeros((1, o))} for k, i, o in pairs]


def loss_fn(params, batch):
    h, labels = batch
    for layer in params[:-1]:
        h = jax.nn.relu(h @ layer["kernel"] + layer["bias"])
    logits = (h @ params[-1]["kernel"] + params[-1]["bias"])[:, 0]
    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()


def train(key, steps=200):
    optimizer = vg.record(every=10, history=32, around=optax.adam(1e-2))

    def step(carry, _):
        params, state = carry
        loss, gradient = jax.value_and_grad(loss_fn)(params, (x, y))
        updates, state = optimizer.update(gradient, state, params, value=loss)
        return (optax.apply_updates(params, updates), state), loss

    params = init(key)
    return jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)[0][1]


check = vg.check_init(loss_fn, init, (x, y), num_seeds=32)
record = vg.get_record(jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(1), 4)))
diagnosis = vg.diagnose(record)
figure = record.plot()
print(check, diagnosis, sep="\n")
