"""The recorder in every place of an optax chain, and what its record can be turned into."""

import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint
import pytest
from flax import nnx, serialization

import vgrad_jax as vg
from vgrad_jax.gradients.figures import worst_first

PARAMS = {
    "Dense_0": {"kernel": jnp.full((2, 3), 2.0, jnp.float32), "bias": jnp.zeros(3, jnp.float32)},
    "Dense_1": {"kernel": jnp.ones((3, 1), jnp.float32)},
}


def gradient_at(step):
    """Return a gradient whose size says which step it is: log10 RMS is -step in Dense_0's kernel."""
    scale = 10.0 ** -jnp.asarray(step, jnp.float32)
    return {
        "Dense_0": {"kernel": jnp.full((2, 3), scale), "bias": jnp.full(3, scale)},
        "Dense_1": {"kernel": jnp.ones((3, 1))},
    }


@partial(jax.jit, static_argnums=(0, 1))
def scanned(optimizer, steps, shift=0.0):
    def step(carry, number):
        params, state = carry
        updates, state = optimizer.update(gradient_at(number + shift), state, params)
        return (optax.apply_updates(params, updates), state), updates

    (params, state), updates = jax.lax.scan(step, (PARAMS, optimizer.init(PARAMS)), jnp.arange(steps))
    return params, state, updates


def first_layer(state, name=None):
    return np.asarray(vg.get_record(state, name).log10_rms[..., 0])


def test_every_and_history_in_a_scan():
    _, state, _ = scanned(optax.chain(vg.record(every=3, history=4), optax.sgd(0.1)), 20)
    record = vg.get_record(state)
    assert record.step.tolist() == [9, 12, 15, 18]
    np.testing.assert_allclose(record.log10_rms, [[-9, 0], [-12, 0], [-15, 0], [-18, 0]], atol=1e-5)
    assert record.paths == ("Dense_0", "Dense_1")
    everything = -np.arange(0, 20, 3)
    np.testing.assert_allclose(record.mean_log10_rms, [everything.mean(), 0], atol=1e-5)
    np.testing.assert_allclose(record.std_log10_rms, [everything.std(ddof=1), 0], atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"per_leaf": True},
        {"include": "Dense_1"},
        {"exclude": "Dense_1"},
        {"group": r"(Dense)_\d"},
        {"order": ("Dense_1", "Dense_0")},
        {"stacked": "Dense_0/kernel"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_layers_are_those_of_the_statistics_with_the_same_options(options):
    stats, state = vg.gradient_stats(PARAMS, **options), vg.record(**options).init(PARAMS)
    assert vg.get_record(state).paths == stats.paths
    assert state.paths == stats.paths
    assert state.counts == tuple(stats.count.tolist())


def test_without_history_the_latest_is_kept():
    _, state, _ = scanned(optax.chain(vg.record(), optax.sgd(0.1)), 4)
    assert vg.get_record(state).step.tolist() == [3]
    assert np.isnan(vg.get_record(optax.chain(vg.record(), optax.sgd(1)).init(PARAMS)).mean_log10_rms).all()


def test_before_the_first_step_there_is_nothing_rather_than_the_parameters_size():
    record = vg.get_record(vg.record(history=3).init(PARAMS))
    assert record.log10_rms.shape == (0, 2)
    traced = jax.jit(lambda: vg.get_record(vg.record(history=3).init(PARAMS)))()
    assert traced.step.tolist() == [-1, -1, -1]
    assert np.isnan(traced.log10_rms).all()


def test_it_changes_nothing():
    plain = scanned(optax.adam(0.1), 5)
    for chain in (
        optax.chain(vg.record(history=2), optax.adam(0.1), vg.record(name="updates")),
        vg.record(every=2, history=3, around=optax.adam(0.1)),
    ):
        watched = scanned(chain, 5)
        # A program of doubles may round a last digit to the other side.
        close = partial(np.testing.assert_allclose, rtol=4e-16 * jax.config.jax_enable_x64)
        jax.tree.map(close, (plain[0], plain[2]), (watched[0], watched[2]))


def test_raw_before_clipping_and_clipped_behind_it():
    chain = optax.chain(vg.record(name="raw"), optax.clip(1e-5), vg.record(name="clipped"), optax.sgd(1.0))
    _, state, _ = scanned(chain, 4)
    assert first_layer(state, "raw") == pytest.approx([-3])
    assert first_layer(state, "clipped") == pytest.approx([-5])
    with pytest.raises(vg.InputError, match=r"2 recorders: 'raw', 'clipped'; say which"):
        vg.get_record(state)
    with pytest.raises(vg.InputError, match=r"no recorder named 'row'; there are: 'raw', 'clipped'"):
        vg.get_record(state, "row")


def test_none_and_twice_the_same_name():
    with pytest.raises(vg.InputError, match=r"no recorder in this state; make the optimiser with optax.chain"):
        vg.get_record(optax.adam(1.0).init(PARAMS))
    twice = optax.chain(vg.record(), vg.record()).init(PARAMS)
    with pytest.raises(vg.InputError, match="give each a name of its own"):
        vg.get_record(twice, "gradients")


WRAPPED = {
    "MultiSteps": (lambda chain: optax.MultiSteps(chain, 2), [0, 1]),
    "masked": (lambda chain: optax.masked(chain, {"Dense_0": True, "Dense_1": False}), [0, 1, 2, 3]),
    "multi_transform": (
        lambda chain: optax.multi_transform(
            {"watched": chain, "frozen": optax.set_to_zero()}, {"Dense_0": "watched", "Dense_1": "frozen"}
        ),
        [0, 1, 2, 3],
    ),
    "apply_if_finite": (lambda chain: optax.apply_if_finite(chain, 3), [0, 1, 2, 3]),
    "inject_hyperparams": (
        lambda chain: optax.inject_hyperparams(lambda rate: optax.chain(chain, optax.scale(rate)))(rate=0.5),
        [0, 1, 2, 3],
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_by_optax(name):
    wrap, steps = WRAPPED[name]
    _, state, _ = scanned(wrap(optax.chain(vg.record(history=8), optax.sgd(0.1))), 4)
    record = vg.get_record(state)
    assert record.step.tolist() == steps
    assert record.paths == (("Dense_0",) if name in ("masked", "multi_transform") else ("Dense_0", "Dense_1"))
    expected = [np.log10((1 + 0.1) / 2), np.log10((0.01 + 0.001) / 2)] if name == "MultiSteps" else [0, -1, -2, -3]
    np.testing.assert_allclose(first_layer(state), expected, atol=1e-5)


def test_inside_apply_if_finite_a_refused_step_is_never_seen():
    def steps(optimizer):
        state = optimizer.init(PARAMS)
        for size in (1.0, jnp.nan):
            _, state = jax.jit(optimizer.update)(
                jax.tree.map(partial(jnp.full_like, fill_value=size), PARAMS), state, PARAMS
            )
        return vg.get_record(state).nonfinite_fraction[:, 0].tolist()

    assert steps(optax.apply_if_finite(optax.chain(vg.record(history=4), optax.sgd(1.0)), 3)) == [0]
    assert steps(optax.chain(vg.record(history=4), optax.apply_if_finite(optax.sgd(1.0), 3))) == [0, 1]


def test_vmap_over_seeds_equals_a_loop():
    chain = optax.chain(vg.record(every=2, history=3), optax.adam(0.1))
    shifts = jnp.array([0.0, 5.0, 10.0])
    _, together, _ = jax.vmap(lambda shift: scanned(chain, 7, shift))(shifts)
    record = vg.get_record(together)
    assert record.log10_rms.shape == (3, 3, 2)
    for number, shift in enumerate(shifts):
        alone = vg.get_record(scanned(chain, 7, shift)[1])
        row = jax.tree.map(lambda array: array[number], record)  # noqa: B023
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), row, alone)


@pytest.mark.parametrize("kind", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit])
def test_sharded_parameters(kind):
    chain = optax.chain(vg.record(history=2), optax.sgd(0.1))
    with jax.set_mesh(jax.make_mesh((1,), ("x",), axis_types=(kind,))):
        gradient = jax.tree.map(lambda leaf: jax.device_put(leaf, jax.P("x")), gradient_at(2))
        _, state = jax.jit(chain.update)(gradient, jax.jit(chain.init)(gradient))
    np.testing.assert_allclose(first_layer(state), [-2], atol=1e-6)


def test_pmap():
    chain = optax.chain(vg.record(history=2), optax.sgd(0.1))
    gradient = jax.tree.map(lambda leaf: leaf[None], gradient_at(3))
    _, state = jax.pmap(chain.update)(gradient, jax.pmap(chain.init)(gradient))
    np.testing.assert_allclose(first_layer(state), [[-3]], atol=1e-6)


def test_the_structure_is_fixed_and_nothing_is_traced_again():
    optimizer = vg.record(every=2, history=2, around=optax.adam(0.1))
    traces = []

    @jax.jit
    def step(state, gradient):
        traces.append(1)
        return optimizer.update(gradient, state, PARAMS, value=jnp.float32(1))[1]

    state = optimizer.init(PARAMS)
    for number in range(3):
        new = step(state, gradient_at(number))
        assert jax.tree.structure(new) == jax.tree.structure(state)
        assert [leaf.aval for leaf in jax.tree.leaves(new)] == [leaf.aval for leaf in jax.tree.leaves(state)]
        state = new
    assert len(traces) == 1


def test_memory_is_what_the_docstring_says():
    plain = optax.chain(vg.record(history=100)).init(PARAMS)
    everything = vg.record(history=100, around=optax.sgd(1.0)).init(PARAMS)
    size = lambda state: sum(leaf.nbytes for leaf in jax.tree.leaves(state))  # noqa: E731
    # Number of updates, window and first break: 4 + 12 + 21 bytes, and the names.
    assert size(plain) == 4 * 100 * (4 * 2 + 4) + 13 * 2 + 37 + plain[0].labels.nbytes
    assert size(everything) == size(plain) + 4 * 100 * (2 * 2 + 1)


def test_parameters_updates_and_the_loss():
    optimizer = vg.record(history=3, around=optax.sgd(0.5))
    state = optimizer.init(PARAMS)
    update = jax.jit(lambda gradient, state, value: optimizer.update(gradient, state, PARAMS, value=value))
    for number in range(2):
        _, state = update(gradient_at(number), state, 7.0 + number)
    record = vg.get_record(state)
    np.testing.assert_allclose(record.loss, [7, 8])
    sizes = np.log10([np.sqrt(6 * 4 / 9), 1])
    np.testing.assert_allclose(record.params_log10_rms, [sizes, sizes], atol=1e-6)
    np.testing.assert_allclose(record.updates_log10_rms, record.log10_rms + np.log10(0.5), atol=1e-6)
    np.testing.assert_allclose(record.update_ratio_log10[1], np.log10([0.05, 0.5]) - sizes, atol=1e-6)
    with pytest.raises(vg.InputError, match=r"call update\(gradients, state, params\)"):
        vg.record(params=True).update(PARAMS, vg.record(params=True).init(PARAMS))


def test_another_tree_than_initialised_with():
    optimizer = vg.record()
    with pytest.raises(
        vg.InputError, match="initialised with the layers Dense_0, Dense_1, but is updated with Dense_0;"
    ):
        optimizer.update({"Dense_0": PARAMS["Dense_0"]}, optimizer.init(PARAMS))


def test_a_recorder_around_a_recorder():
    optimizer = vg.record(around=optax.chain(optax.clip(0.1), vg.record(name="clipped"), optax.sgd(1.0)))
    _, state, _ = scanned(optimizer, 1)
    assert (first_layer(state, "gradients"), first_layer(state, "clipped")) == (pytest.approx(0), pytest.approx(-1))


def test_the_optimisers_own_fields_are_found_as_before():
    _, state, _ = scanned(optax.chain(vg.record(history=2), optax.adam(0.1)), 3)
    assert int(optax.tree.get(state, "count")) == 3


def test_nnx_optimizer():
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, vg.record(history=4, around=optax.adam(0.1)), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        loss, gradient = nnx.value_and_grad(lambda model: jnp.mean(model(jnp.ones((3, 2))) ** 2))(model)
        optimizer.update(model, gradient, value=loss)

    for _ in range(2):
        step(model, optimizer)
    for holder in (optimizer, optimizer.opt_state):
        record = vg.get_record(holder)
        assert record.step.tolist() == [0, 1]
        assert np.isfinite(record.loss).all()
    assert vg.get_record(optimizer).paths == ("bias", "kernel")


def test_a_checkpoint_by_orbax_goes_on_as_if_uninterrupted(tmp_path):
    optimizer = optax.chain(vg.record(every=2, history=3), optax.adam(0.1))
    update = jax.jit(optimizer.update)

    def advance(state, numbers):
        for number in numbers:
            _, state = update(gradient_at(number), state)
        return state

    half = advance(optimizer.init(PARAMS), range(5))
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", half)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", jax.eval_shape(optimizer.init, PARAMS))
    ends = advance(half, range(5, 9)), advance(restored, range(5, 9))
    jax.tree.map(np.testing.assert_array_equal, *ends)
    assert vg.get_record(ends[1]).step.tolist() == [4, 6, 8]


# What becomes of a record.


@pytest.fixture(scope="module")
def seeds():
    """Three seeds of a recorded training."""
    optimizer = vg.record(history=5, around=optax.sgd(0.5))
    return vg.get_record(jax.vmap(lambda shift: scanned(optimizer, 4, shift))(jnp.array([0.0, 1.0, 2.0]))[1])


@pytest.fixture
def single(seeds):
    return jax.tree.map(lambda array: array[1], seeds)


def test_dataset_and_frame(seeds, single):
    dataset = seeds.to_dataset()
    assert dict(dataset.sizes) == {"seed": 3, "record": 4, "layer": 2}
    assert float(dataset.log10_rms.sel(layer="Dense_0").isel(seed=1, record=2)) == pytest.approx(-3)
    assert dataset["count"].values.tolist() == [9, 3]
    assert "root mean square" in dataset.update_ratio_log10.attrs["long_name"]
    frame = single.to_frame()
    assert len(frame) == 4 * 2
    assert frame[(frame.layer == "Dense_0") & (frame.step == 2)].log10_rms.item() == pytest.approx(-3)


def test_a_dataset_has_every_array_of_its_record(seeds):
    dataset, labels = seeds.to_dataset(), ("paths", "counts", "has_matrix", "dtypes", "name")
    for field in dataclasses.fields(seeds):
        array = getattr(seeds, field.name)
        if field.name not in labels and array is not None:
            np.testing.assert_array_equal(dataset[field.name], array, err_msg=field.name)


def test_states_of_several_seeds_are_read_from_a_checkpoints_dictionaries():
    recorder = vg.record(history=2)

    def trained(scale):
        gradient = jax.tree.map(lambda leaf: scale * leaf, PARAMS)
        return recorder.update(gradient, recorder.init(PARAMS), PARAMS)[1]

    states = jax.jit(jax.vmap(trained))(jnp.arange(1.0, 4.0))
    restored = serialization.msgpack_restore(serialization.to_bytes(states))
    jax.tree.map(np.testing.assert_array_equal, vg.get_record(restored), vg.get_record(states))


def test_scalars_for_dashboards(seeds, single):
    scalars = single.to_scalars()
    assert scalars["gradients/Dense_0/log10_rms"] == pytest.approx(-4)
    assert scalars["gradients/Dense_1/update_ratio_log10"] == pytest.approx(single.update_ratio_log10[-1, 1])
    assert all(type(value) is float for value in scalars.values())
    assert "gradients/loss" not in scalars
    with pytest.raises(vg.InputError, match=r"batch axes of the sizes \(3,\)"):
        seeds.to_scalars()


def test_save_and_load(seeds, tmp_path):
    for record in (seeds, seeds.select("Dense_1"), jax.tree.map(lambda array: array[0], seeds)):
        record.save(tmp_path / "record.npz")
        again = vg.Record.load(tmp_path / "record.npz")
        assert jax.tree.structure(again) == jax.tree.structure(record)
        jax.tree.map(np.testing.assert_array_equal, again, record)
    with pytest.raises(vg.InputError, match="no file"):
        vg.Record.load(tmp_path / "nothing.npz")


def test_a_lost_array_is_not_taken_for_one_that_was_never_there(seeds, tmp_path):
    """The list of an archive's files is not checked by the archive; files of the format before have no list of ours."""
    path = tmp_path / "record.npz"
    seeds.save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file if name != "params_log10_rms"}
    np.savez(path, **arrays)
    with pytest.raises(vg.InputError, match="params_log10_rms"):
        vg.Record.load(path)
    labels = json.loads(str(arrays["labels"]))
    del labels["arrays"]
    older = {**arrays, "labels": np.asarray(json.dumps({**labels, "format": "vgrad_jax record 2"}))}
    np.savez(path, **older)
    assert vg.Record.load(path).params_log10_rms is None
    np.savez(path, **{**arrays, "labels": np.asarray(json.dumps(labels))})
    with pytest.raises(vg.InputError, match="its list of arrays is None"):
        vg.Record.load(path)


def test_a_file_that_could_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.savez(tmp_path / "trap.npz", labels=np.array([Trap()], dtype=object))
    (tmp_path / "text.npz").write_text("text")
    for name in ("trap.npz", "text.npz"):
        with pytest.raises(vg.InputError, match="holds no record"):
            vg.Record.load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_select_and_stats(single):
    assert single.select("_1$").paths == ("Dense_1",)
    with pytest.raises(vg.InputError, match="no layer matches 'conv'; there are: Dense_0, Dense_1"):
        single.select("conv")
    np.testing.assert_allclose(single.stats(2).log10_rms, [-3, 0], atol=1e-6)
    assert single.stats().count.tolist() == [9, 3]


def test_the_picture_has_the_worst_layer_on_top(seeds, single, tmp_path):
    order = worst_first(np.array([[-3.0, -2.0, -9.0, -2.5, -3.5], [-3.0, -np.inf, -9.0, np.nan, -3.5]]))
    assert order.tolist() == [3, 1, 2, 0, 4]
    figure = single.plot()
    (axes,) = [axes for axes in figure.axes if axes.get_title()]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Dense_0  [0]", "Dense_1  [1]"]
    figure.savefig(tmp_path / "record.png")
    # Seeds have the same steps, and their median is drawn.
    several = seeds.plot()
    assert several.axes[0].get_xlim() == axes.get_xlim()
    cells = several.axes[0].collections[0].get_array()
    np.testing.assert_allclose(np.sort(np.ravel(cells)), np.sort(np.median(seeds.log10_rms, axis=0), axis=None))
    # Nothing recorded yet, and one record alone, have a picture too.
    vg.get_record(vg.record(history=3).init(PARAMS)).plot().savefig(tmp_path / "empty.png")


def losses_between_records(losses, every):
    optimizer = vg.record(every=every, history=20)

    def step(state, loss):
        return optimizer.update(gradient_at(1), state, value=loss)[1], None

    return vg.get_record(jax.jit(lambda x: jax.lax.scan(step, optimizer.init(PARAMS), x)[0])(jnp.asarray(losses)))


def test_mean_and_scatter_of_the_loss_between_records():
    losses = np.random.default_rng(0).normal(2, 0.5, 41).astype(np.float32)
    losses[13] = np.inf  # Left out.
    record = losses_between_records(losses, 10)
    windows = [losses[:1], *(losses[n - 9 : n + 1] for n in range(10, 41, 10))]
    finite = [window[np.isfinite(window)] for window in windows]
    np.testing.assert_allclose(record.loss_mean, [window.mean() for window in finite], rtol=1e-5)
    np.testing.assert_allclose(record.loss_std[1:], [window.std(ddof=1) for window in finite[1:]], rtol=1e-4)
    assert np.isnan(record.loss_std[0])
    assert (record.first_broken_step, record.broken_steps, record.first_broken_loss) == (13, 1, True)
    assert record.first_loss == losses[0]
    expected = losses[0]
    for loss in losses[1:13]:
        expected = 0.9 * expected + 0.1 * loss
    assert record.loss_before_break == pytest.approx(expected, rel=1e-5)


def test_the_first_break_names_its_layers_between_records():
    optimizer = vg.record(every=10, history=4)
    state = optimizer.init(PARAMS)
    update = jax.jit(lambda gradient, state: optimizer.update(gradient, state)[1])
    for number in range(8):
        gradient = gradient_at(1)
        gradient["Dense_1"]["kernel"] = gradient["Dense_1"]["kernel"] * (jnp.nan if number == 3 else 1.0)
        state = update(gradient, state)
    record = vg.get_record(state)
    assert record.first_broken_step == 3
    assert record.first_broken_layers.tolist() == [False, True]
    assert record.select("Dense_1").first_broken_layers.tolist() == [True]
    assert not record.first_broken_loss  # It was not given.
    assert (record.nonfinite_fraction == 0).all()


@pytest.mark.parametrize(("scale", "cosine"), [(-0.1, -1.0), (0.1, 1.0), (-1e-30, -1.0)])
def test_the_direction_of_the_update(scale, cosine):
    optimizer = vg.record(history=2, around=optax.scale(scale))
    _, state = optimizer.update(gradient_at(2), optimizer.init(PARAMS), PARAMS)
    assert vg.get_record(state).update_cosine.tolist() == pytest.approx([cosine], abs=1e-5)


def test_the_direction_of_a_mixed_update_is_the_cosine_of_the_vectors():
    rng = np.random.default_rng(0)
    gradient, update = (rng.normal(size=(50,)).astype(np.float32) for _ in range(2))
    replace_by = optax.GradientTransformation(lambda p: (), lambda g, s, p=None: ({"w": jnp.asarray(update)}, s))
    optimizer = vg.record(history=1, around=replace_by)
    params = {"w": jnp.ones(50)}
    _, state = optimizer.update({"w": jnp.asarray(gradient)}, optimizer.init(params), params)
    expected = gradient @ update / np.linalg.norm(gradient) / np.linalg.norm(update)
    assert vg.get_record(state).update_cosine[0] == pytest.approx(expected, abs=1e-5)


def test_refused_steps_are_counted_from_outside():
    optimizer = optax.apply_if_finite(optax.chain(vg.record(history=4), optax.sgd(0.1)), 5)
    state = optimizer.init(PARAMS)
    for number in range(5):
        gradient = jax.tree.map(lambda leaf, n=number: leaf * (jnp.nan if n in (1, 2) else 1.0), gradient_at(1))
        _, state = optimizer.update(gradient, state, PARAMS)
    assert vg.get_record(state).refused_steps == 2
    assert vg.get_record(scanned(vg.record(), 2)[1]).refused_steps is None


@pytest.mark.parametrize("wrapped", ["around", "inside"])
def test_lookahead(wrapped):
    inner = vg.record(history=4) if wrapped == "inside" else None
    fast = optax.sgd(0.1) if inner is None else optax.chain(inner, optax.sgd(0.1))
    optimizer = optax.lookahead(fast, 2, 0.5)
    optimizer = vg.record(history=4, around=optimizer) if inner is None else optimizer
    params = optax.LookaheadParams.init_synced(PARAMS)
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update(gradient_at(1), state, params)
        params = optax.apply_updates(params, updates)
    assert vg.get_record(state).paths == ("Dense_0", "Dense_1")


def test_an_optimiser_that_takes_no_extra_arguments():
    sam = optax.contrib.sam(optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), sync_period=2)
    optimizer = vg.record(history=4, around=sam)
    _, state = optimizer.update(gradient_at(1), optimizer.init(PARAMS), PARAMS, value=1.0)
    assert vg.get_record(state).loss.tolist() == [1.0]


def test_a_dictionary_of_a_state_is_read_and_another_one_refused():
    _, state, _ = scanned(optax.chain(vg.record(history=4), optax.sgd(0.1)), 4)
    arrays = {name: np.asarray(getattr(state[0], name)) for name in ("recorded_step", "labels")}
    with pytest.raises(vg.InputError, match="no state of a recorder"):
        vg.get_record({"opt": arrays})
