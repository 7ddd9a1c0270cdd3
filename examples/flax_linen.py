"""flax linen with `TrainState`: the recorder around the optimiser, the verdict, and the figure."""

import jax
import jax.numpy as jnp
import optax
from flax import linen
from flax.training.train_state import TrainState

import vgrad_jax as vg


class Net(linen.Module):
    @linen.compact
    def __call__(self, x):
        for _ in range(4):
            x = linen.relu(linen.Dense(16, kernel_init=linen.initializers.he_normal())(x))
        return linen.Dense(1)(x)[:, 0]


x = jax.random.normal(jax.random.key(0), (64, 2))
y = (x[:, 0] * x[:, 1] > 0).astype(jnp.float32)
net = Net()


def loss_fn(params, batch):
    return optax.sigmoid_binary_cross_entropy(net.apply(params, batch[0]), batch[1]).mean()


@jax.jit
def train_step(state, batch):
    loss, gradients = jax.value_and_grad(loss_fn)(state.params, batch)
    updates, opt_state = state.tx.update(gradients, state.opt_state, state.params, value=loss)
    return state.replace(params=optax.apply_updates(state.params, updates), opt_state=opt_state)


params = net.init(jax.random.key(1), x)
check = vg.check_init(loss_fn, params, (x, y))
optimizer = vg.record(every=10, history=32, around=optax.adam(1e-2))
state = TrainState.create(apply_fn=net.apply, params=params, tx=optimizer)
for _ in range(200):
    state = train_step(state, (x, y))
record = vg.get_record(state)
diagnosis = vg.diagnose(record, check=check)
figure = record.plot()
print(check, diagnosis, sep="\n")
