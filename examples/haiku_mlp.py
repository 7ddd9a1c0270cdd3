"""haiku: the recorder around the optimiser, the verdict, and the figure."""

import haiku as hk
import jax
import jax.numpy as jnp
import optax

import vgrad_jax as vg

x = jax.random.normal(jax.random.key(0), (64, 2))
y = (x[:, 0] * x[:, 1] > 0).astype(jnp.float32)
net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([16, 16, 16, 1])(x)[:, 0]))


def loss_fn(params, batch):
    return optax.sigmoid_binary_cross_entropy(net.apply(params, batch[0]), batch[1]).mean()


@jax.jit
def train_step(params, state, batch):
    loss, gradients = jax.value_and_grad(loss_fn)(params, batch)
    updates, state = optimizer.update(gradients, state, params, value=loss)
    return optax.apply_updates(params, updates), state


check = vg.check_init(loss_fn, lambda key: net.init(key, x), (x, y), num_seeds=8)
optimizer = vg.record(every=10, history=32, around=optax.adam(1e-2))
params = net.init(jax.random.key(1), x)
state = optimizer.init(params)
for _ in range(200):
    params, state = train_step(params, state, (x, y))
record = vg.get_record(state)
diagnosis = vg.diagnose(record)
figure = record.plot()
print(check, diagnosis, sep="\n")
