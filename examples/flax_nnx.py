"""flax nnx: the recorder around the optimiser, the verdict, and the figure."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import vgrad_jax as vg


class Net(nnx.Module):
    def __init__(self, rngs):
        widths = [(2, 16), (16, 16), (16, 16)]
        self.hidden = nnx.List([nnx.Linear(i, o, rngs=rngs) for i, o in widths])
        self.output = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, x):
        for layer in self.hidden:
            x = nnx.relu(layer(x))
        return self.output(x)[:, 0]


x = jax.random.normal(jax.random.key(0), (64, 2))
y = (x[:, 0] * x[:, 1] > 0).astype(jnp.float32)


def loss_fn(model, batch):
    return optax.sigmoid_binary_cross_entropy(model(batch[0]), batch[1]).mean()


@nnx.jit
def train_step(model, optimizer, batch):
    loss, gradients = nnx.value_and_grad(loss_fn)(model, batch)
    optimizer.update(model, gradients, value=loss)


check = vg.check_init(loss_fn, lambda key: Net(nnx.Rngs(key)), (x, y), num_seeds=8)
model = Net(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, vg.record(every=10, history=32, around=optax.adam(1e-2)), wrt=nnx.Param)
for _ in range(200):
    train_step(model, optimizer, (x, y))
record = vg.get_record(optimizer)
diagnosis = vg.diagnose(record)
figure = record.plot()
print(check, diagnosis, sep="\n")
