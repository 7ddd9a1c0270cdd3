"""The shapes that states say they have: checked whenever a test makes one, and free for JAX's placeholders."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import TypeCheckError

import vgrad_jax as vg
from vgrad_jax.gradients import look_at

PARAMS = [jnp.ones((3, 3), jnp.float32), jnp.ones((3, 3), jnp.float32)]


def loss(params, x):
    return jnp.mean(jnp.tanh(x @ params[0]) @ params[1])


LOOK = look_at(loss, PARAMS, jnp.ones((2, 3)))
STATE = vg.record(history=4, around=optax.sgd(1.0)).init(PARAMS)
STATES = {
    "LayerStats": vg.gradient_stats(PARAMS),
    "ForwardStats": LOOK.forward,
    "Look": LOOK,
    "RecordState": STATE,
    "Record": vg.get_record(STATE),
}
WRONG = {
    "LayerStats": {"log10_max": jnp.zeros(3)},
    "ForwardStats": {"off_fraction": jnp.zeros((2, 3))},
    "Look": {"loss": jnp.zeros(2)},
    "RecordState": {"recorded_loss": jnp.zeros(5)},
    "Record": {"mean_log10_rms": np.zeros(3)},
}


@pytest.mark.parametrize("name", STATES)
def test_another_shape_is_refused(name):
    state = STATES[name]
    assert type(state).__name__ == name
    dataclasses.replace(state)
    with pytest.raises(TypeCheckError):
        dataclasses.replace(state, **WRONG[name])


@pytest.mark.parametrize("name", STATES)
def test_batch_axes_in_front_are_free(name):
    state = STATES[name]
    batched = jax.tree.map(lambda array: jnp.stack([jnp.asarray(array)] * 3), state)
    dataclasses.replace(batched)
    alone = jax.vmap(lambda state: state)(batched)
    assert jax.tree.structure(alone) == jax.tree.structure(state)


@pytest.mark.parametrize("name", STATES)
def test_placeholders_pass(name):
    state = STATES[name]
    assert jax.tree.leaves(jax.tree.map(lambda array: array.shape, state))
    assert jax.tree.structure(jax.eval_shape(lambda: jax.tree.map(jnp.asarray, state))) == jax.tree.structure(state)
