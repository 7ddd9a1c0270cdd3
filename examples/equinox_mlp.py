"""equinox: the check takes the module itself; the recorder is around the optimiser."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import vgrad_jax as vg

x = jax.random.normal(jax.random.key(0), (64, 2))
y = (x[:, 0] * x[:, 1] > 0).astype(jnp.float32)
model = eqx.nn.MLP(2, "scalar", 16, 4, key=jax.random.key(1))


def loss_fn(model, batch):
    return optax.sigmoid_binary_cross_entropy(jax.vmap(model)(batch[0]), batch[1]).mean()


@eqx.filter_jit
def train_step(model, state, batch):
    loss, gradients = eqx.filter_value_and_grad(loss_fn)(model, batch)
    updates, state = optimizer.update(gradients, state, eqx.filter(model, eqx.is_array), value=loss)
    return eqx.apply_updates(model, updates), state


check = vg.check_init(loss_fn, model, (x, y))
optimizer = vg.record(every=10, history=32, around=optax.adam(1e-2))
state = optimizer.init(eqx.filter(model, eqx.is_array))
for _ in range(200):
    model, state = train_step(model, state, (x, y))
record = vg.get_record(state)
diagnosis = vg.diagnose(record, check=check)
figure = record.plot()
print(check, diagnosis, sep="\n")
