"""Functions of a key that tests sweep: cheap, with closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import vgrad_jax as vg

STEPS = 6


def start_of(key):
    return jax.random.uniform(key, minval=1.0, maxval=2.0)


def starts(num_seeds, seed=0):
    """Return where the runs of `halving` start, drawn one by one."""
    return np.array([start_of(vg.run_key(seed, run)) for run in range(num_seeds)])


def halving(key, factor=0.5, steps=STEPS):
    """Multiply a start by a factor at each step: value k of the curve is `start * factor**(k + 1)`."""
    curve = start_of(key) * factor ** jnp.arange(1, steps + 1)
    return {"size": curve, "ends": {"last": curve[-1], "steps": jnp.int32(steps)}}


def recorded(key, updates=5, history=3):
    """Descend the square of a matrix under a recorder; the gradient is twice the matrix."""
    params = {"first": jax.random.normal(key, (2, 3)), "second": jnp.full((3, 1), 0.5)}
    optimizer = vg.record(history=history, around=optax.sgd(0.1))

    def step(carry, _):
        params, state = carry
        loss, gradient = jax.value_and_grad(lambda p: sum(jnp.sum(leaf**2) for leaf in p.values()))(params)
        updates, state = optimizer.update(gradient, state, params, value=loss)
        return (optax.apply_updates(params, updates), state), loss

    (_, state), losses = jax.lax.scan(step, (params, optimizer.init(params)), None, length=updates)
    return {"loss": losses, "gradients": vg.get_record(state)}
