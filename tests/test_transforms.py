"""What jit, vmap, chunks and records must not change."""

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg


def assert_close(a, b, **tolerance):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    for left, right in leaves:
        np.testing.assert_allclose(left, right, **(tolerance or {"rtol": 1e-4, "atol": 1e-5}))


@cache
def program(experiment):
    return jax.jit(partial(vg.train, experiment))


@pytest.mark.slow
def test_jit_equals_eager(small):
    """Train an epoch with a last batch of its own size: without jit a step takes a second or more."""
    key = jax.random.key(0)
    few = dataclasses.replace(small.data, samples=16, train_samples=12)
    short = dataclasses.replace(small, mlp=vg.MLP(hidden=(2,)), data=few, training=vg.Training(epochs=1, batch_size=8))
    with jax.disable_jit():
        eager = vg.train(short, key)
    assert_close(jax.jit(partial(vg.train, short))(key), eager)


def test_vmap_over_seeds_equals_a_loop(small):
    keys = jax.vmap(partial(vg.run_key, 0))(jnp.arange(5))
    one = program(small)
    together = jax.jit(jax.vmap(partial(vg.train, small)))(keys)
    alone = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[one(key) for key in keys])
    assert_close(together, alone)
    np.testing.assert_array_equal(together.epochs_to_converge, alone.epochs_to_converge)


def test_old_and_new_keys_give_the_same_run(small):
    assert_close(program(small)(jax.random.PRNGKey(4)), program(small)(jax.random.key(4)), rtol=0)


def test_what_is_recorded_does_not_change_the_training(small):
    key = jax.random.key(3)
    every = program(small)(key)
    for step in (2, 4, 9):  # It divides the six epochs, or not, or is longer.
        recording = vg.Recording(every=step, parameters_at=(6,), gradients_at=(0, 6))
        rare = jax.jit(partial(vg.train, dataclasses.replace(small, recording=recording)))(key)
        assert rare.epoch.tolist() == list(recording.epochs(6))
        assert_close(rare.records, jax.tree.map(lambda leaf, r=rare: leaf[r.epoch], every.records))
        assert rare.epochs_to_converge == every.epochs_to_converge
        assert rare.outcome == every.outcome


def test_kept_gradients_are_those_of_the_records(small):
    from vgrad_jax.gradients.stats import layer_log10_rms

    history = vg.train(dataclasses.replace(small, recording=vg.Recording(gradients_at=(0, 3))), jax.random.key(0))
    sizes = jax.vmap(layer_log10_rms)(history.gradients)
    np.testing.assert_allclose(sizes, history.records.gradient_log10_rms[jnp.array([0, 3])], rtol=1e-4)


def test_training_is_differentiable_in_the_initial_weights(small):
    smooth = dataclasses.replace(small, training=vg.Training(epochs=2, batch_size=8))
    with jax.enable_x64(True):
        data = vg.load_data(smooth.data)
        key = jax.random.key(0)
        params = vg.init_mlp(key, smooth.mlp, 2)
        flat, unravel = jax.flatten_util.ravel_pytree(params)
        double = vg.Dataset(*(np.asarray(a, np.float64) if a.dtype.kind == "f" else a for a in data))

        @jax.jit
        def final_loss(vector):
            return vg.train_from(smooth, unravel(vector), key, dataset=double).records.train_loss[-1]

        gradient = jax.grad(final_loss)(flat)
        direction = jax.random.normal(jax.random.key(1), flat.shape)
        step = 1e-6
        difference = (final_loss(flat + step * direction) - final_loss(flat - step * direction)) / (2 * step)
        np.testing.assert_allclose(gradient @ direction, difference, rtol=1e-6)


def test_a_second_sweep_of_the_same_arm_traces_nothing(small, tmp_path):
    traces = []

    def counted(x):
        traces.append(1)
        return jnp.tanh(x)

    arm = {"counted": dataclasses.replace(small, mlp=vg.MLP(hidden=(3,), activation=counted))}
    with pytest.raises(vg.InputError, match="cannot be found again by a name"):
        vg.sweep(arm, 2, store=tmp_path / "r.zarr", progress=False)
    arguments = {"chunk": 4, "workers": 1, "progress": False}
    vg.sweep(arm, 2, **arguments)
    first = len(traces)
    vg.sweep(arm, 2, seed=1, **arguments)
    assert first > 0
    # The plan looks at the shapes of a run without compiling it; the compiled program is not traced again.
    look = len(traces) - first
    vg.sweep(arm, 40, seed=2, **arguments)
    assert len(traces) - first - look == look
    assert look < first
