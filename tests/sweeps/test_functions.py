"""Arms that are functions: what they return becomes labelled results; what cannot be swept is refused with words."""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions import STEPS, halving, recorded, starts

import vgrad_jax as vg
from vgrad_jax.results.reading import axis_of, own_values, record_of
from vgrad_jax.sweeps.function_arm import FunctionArm

SIZES = vg.Arm(halving, converged="size < 0.2", dims={"size": ("epoch",)}, units={"size": "metres"})


def swept(arms, num_seeds=5, **options):
    return vg.sweep(arms, num_seeds, progress=False, **options)


def curve(num_seeds, factor=0.5, steps=STEPS):
    return starts(num_seeds)[:, None] * factor ** np.arange(1, steps + 1)


def test_results_are_labelled_variables():
    results = swept({"a": SIZES})
    assert results["size"].dims == ("arm", "seed", "epoch")
    assert results["size"].attrs["units"] == "metres"
    np.testing.assert_allclose(results["size"].sel(arm="a"), curve(5), rtol=1e-6)
    np.testing.assert_allclose(results["ends_last"].sel(arm="a"), curve(5)[:, -1], rtol=1e-6)
    assert (results["ends_steps"] == STEPS).all()
    assert results["ends_steps"].dtype == np.int32
    assert results["epoch"].values.tolist() == list(range(1, STEPS + 1))
    assert not {"record", "layer", "train_loss", "gradient_log10_rms"} & {*results.variables}


def test_times_are_censored_at_the_budget():
    results = swept({"a": vg.Arm(halving, converged="size < 0.022")}, 20)
    expected = np.array([next((k + 1 for k in range(STEPS) if run[k] < 0.022), np.nan) for run in curve(20)])
    assert np.isnan(expected).any()
    assert np.isfinite(expected).any()
    np.testing.assert_array_equal(results["epochs_to_converge"].sel(arm="a"), expected)
    assert (results["outcome"].sel(arm="a") == np.where(np.isnan(expected), "not_converged", "converged")).all()


@pytest.mark.parametrize(
    ("converged", "expected"),
    [
        (lambda r: r["size"] < 0.2, lambda run: np.argmax(run < 0.2) + 1),
        ("size<=0.2", lambda run: np.argmax(run <= 0.2) + 1),
        ("size >= 0.2", lambda run: np.argmax(run >= 0.2) + 1),
        (lambda r: r["ends"]["last"] < 1.0, None),
    ],
)
def test_convergence_is_a_curve_in_either_direction_a_function_or_one_boolean(converged, expected):
    results = swept({"a": vg.Arm(halving, converged=converged)})
    assert results["converged"].all()
    if expected is None:  # One boolean has no time.
        assert "epochs_to_converge" not in results
    else:
        assert results["epochs_to_converge"].values[0].tolist() == [expected(run) for run in curve(5)]


def test_times_are_counted_as_the_user_counts():
    results = swept(
        {"a": vg.Arm(halving, converged="size < 0.2", dims={"size": ("step",)}, coords={"step": range(0, 60, 10)})}
    )
    positions = [int(np.argmax(run < 0.2)) for run in curve(5)]
    assert results["epochs_to_converge"].values[0].tolist() == [10.0 * position for position in positions]
    assert results["step"].values.tolist() == [0, 10, 20, 30, 40, 50]


def test_a_function_without_convergence_just_ends():
    results = swept({"a": halving, "b": lambda key: halving(key, 0.25)})
    assert (results["outcome"] == "finished").all()
    assert not results["converged"].any()
    assert results["size"].dims == ("arm", "seed", "size_dim_0")
    np.testing.assert_allclose(results["size"].sel(arm="b"), curve(5, 0.25), rtol=1e-6)


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        (lambda x: x, ["result"]),
        (lambda x: (x, [x, 2 * x]), ["result_0", "result_1_0", "result_1_1"]),
        (lambda x: {"a b": x, "c/d": {"e": x}}, ["a_b", "c_d_e"]),
    ],
)
def test_results_are_named_by_their_place_in_the_tree(returned, names):
    results = swept({"a": lambda key: returned(jax.random.normal(key))}, 2)
    assert [name for name in results.data_vars if name not in ("outcome", "converged", "completed")] == names


def test_arms_of_two_lengths_stand_side_by_side():
    long = vg.Arm(lambda key: halving(key, steps=9), converged="size < 0.2", dims={"size": ("epoch",)})
    results = swept({"short": SIZES, "long": long})
    assert results.sizes["epoch"] == 9
    assert np.isnan(results["size"].sel(arm="short").isel(epoch=slice(STEPS, None))).all()
    np.testing.assert_allclose(results["size"].sel(arm="long"), curve(5, steps=9), rtol=1e-6)
    bare = swept({"named": SIZES, "bare": halving})
    assert bare["size"].dims == ("arm", "seed", "epoch")


def test_a_record_in_one_arm_only_becomes_its_gradients():
    results = swept({"plain": halving, "seen": recorded})
    assert results["gradient_log10_rms"].dims == ("arm", "seed", "record", "layer")
    assert np.isnan(results["gradient_log10_rms"].sel(arm="plain")).all()
    for run in range(5):
        params = {
            "first": np.asarray(jax.random.normal(vg.run_key(0, run), (2, 3)), np.float64),
            "second": np.full((3, 1), 0.5),
        }
        for record, step in enumerate((2, 3, 4)):  # The ring keeps the last three of five updates.
            sizes = [np.log10(np.sqrt(np.mean((2 * leaf * 0.8**step) ** 2))) for leaf in params.values()]
            measured = results["gradient_log10_rms"].sel(arm="seen").isel(seed=run, record=record)
            np.testing.assert_allclose(measured, sizes, atol=1e-5)
            assert int(results["record_step"].sel(arm="seen").isel(seed=run, record=record)) == step
    np.testing.assert_allclose(results["update_ratio_log10"].sel(arm="seen"), -1 + np.log10(2), atol=1e-5)
    assert (results["record_step"].sel(arm="plain") == -1).all()


def test_slots_that_no_run_filled_are_left_out_when_a_record_is_read():
    results = swept({"a": lambda key: recorded(key, updates=3, history=5)}, 2)
    assert (results["record_step"].values == [-1, -1, 0, 1, 2]).all()
    sizes, steps = own_values(results, "a", "gradient_log10_rms"), axis_of(results, "a", "gradient_log10_rms")
    assert sizes.shape == (2, 3, 2)
    assert np.isfinite(sizes).all()
    assert (steps.name, steps.values.tolist()) == ("update", [0, 1, 2])
    record = record_of(results, "a")
    assert record.step.tolist() == [[0, 1, 2]] * 2
    np.testing.assert_array_equal(record.log10_rms, sizes)


@pytest.fixture(scope="module")
def mixed(tiny):
    own = vg.Arm(
        lambda key: {
            "train_loss": halving(key)["size"],
            "accuracy": 1 - halving(key)["size"],
            "seen": recorded(key)["gradients"],
        },
        converged="accuracy >= 0.8",
        dims={"train_loss": ("epoch",), "accuracy": ("epoch",)},
    )
    return {"own": own, "network": tiny}


def test_functions_stand_beside_experiments(mixed, tiny):
    results = swept(mixed, engine="plain")
    alone = swept({"network": tiny}, engine="plain")
    for name in alone.data_vars:
        own = results[name].sel(arm="network")
        trimmed = own.isel({dim: slice(size) for dim, size in alone[name].sizes.items() if dim in own.dims})
        np.testing.assert_array_equal(trimmed, alone[name].sel(arm="network"))
    assert results["train_loss"].dims == results["accuracy"].dims == ("arm", "seed", "record")
    np.testing.assert_allclose(results["train_loss"].sel(arm="own"), curve(5), rtol=1e-6)
    assert results["epoch"].sel(arm="network").values.tolist() == [0, 1, 2, -1, -1, -1]
    assert results["epoch"].sel(arm="own").values.tolist() == [1, 2, 3, 4, 5, 6]


def test_experiments_of_other_lengths_and_records_stand_side_by_side(tiny):
    import dataclasses

    other = dataclasses.replace(
        tiny, training=vg.Training(epochs=5, batch_size=4), recording=vg.Recording(every=2, parameters_at=(4,))
    )
    kept = dataclasses.replace(tiny, recording=vg.Recording(parameters_at=(0, 2)))
    results = swept({"short": kept, "long": other}, 2, engine="plain")
    assert results["epoch"].values.tolist() == [[0, 1, 2, -1], [0, 2, 4, 5]]
    assert results["parameters_epoch"].values.tolist() == [0, 2, 4]
    alone = swept({"long": other}, 2, engine="plain")
    np.testing.assert_array_equal(results["train_loss"].sel(arm="long"), alone["train_loss"].sel(arm="long"))
    parameters = results["parameters"].sel(arm="long")
    np.testing.assert_array_equal(parameters.sel(parameters_epoch=4), alone["parameters"].values[0, :, 0])
    assert np.isnan(parameters.sel(parameters_epoch=0)).all()
    assert np.isfinite(results["parameters"].sel(arm="short", parameters_epoch=[0, 2])).all()


def diverges(key):
    size = halving(key)["size"]
    return {"size": jnp.where((start := size[0]) > 0.75, jnp.nan, size).at[0].set(start)}


def test_a_run_with_nan_diverges_and_changes_no_other():
    results = swept({"a": vg.Arm(diverges, converged="size < 0.2")}, 12)
    broken = starts(12) / 2 > 0.75
    assert broken.any()
    assert not broken.all()
    assert (results["outcome"].sel(arm="a") == np.where(broken, "diverged", "converged")).all()
    assert np.isnan(results["epochs_to_converge"].values[0][broken]).all()
    np.testing.assert_allclose(results["size"].values[0][~broken], curve(12)[~broken], rtol=1e-6)
    # A run that reached its threshold first has not converged either.
    reached = swept({"a": vg.Arm(diverges, converged="size > 0.5")}, 12)
    assert (np.isnan(reached["epochs_to_converge"].values[0]) == broken).all()
    assert (reached["converged"].values[0] == ~broken).all()
    own = vg.Arm(diverges, converged="size < 0.2", diverged=lambda r: r["size"][0] > 10)
    assert not (swept({"a": own}, 12)["outcome"] == "diverged").any()


counter = itertools.count()


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        (lambda key: None, {}, "train returned nothing"),
        (lambda key: {}, {}, "returned no arrays but"),
        (lambda key: {"a": "text"}, {}, "the result 'a' is no array but str"),
        (lambda key: {"a": key}, {}, "the result 'a' is a key"),
        (lambda key: {"a": 1 / 0}, {}, "train raised ZeroDivisionError: division by zero"),
        (lambda key: {"a": 1.0 if jax.random.normal(key) > 0 else 2.0}, {}, "train raised TracerBoolConversionError"),
        (lambda: {"a": 1.0}, {}, "train raised TypeError"),
        (lambda key: {"a": jnp.float32(next(counter))}, {}, "train is not pure"),
        (lambda key: {"a": jnp.asarray(np.random.default_rng().random(3))}, {}, "train is not pure"),
        (lambda key: {"a": jnp.zeros((0, 2))}, {}, r"the result 'a' has no values; its shape is \(0, 2\)"),
        (lambda key: {"record_time": 1.0}, {}, "'record_time' is that of a recorder's numbers"),
        (lambda key: {"gradient_log10_rms": 1.0}, {}, "'gradient_log10_rms' is that of a recorder's numbers"),
        (lambda key: {"completed": jnp.ones(())}, {}, "'completed' is a name of the sweep's own"),
        (lambda key: {"a": {"b": 1.0}, "a_b": 2.0}, {}, "two results have the name 'a_b'"),
        (lambda key: {"a": jnp.ones(2), "b": jnp.ones(3)}, {"dims": {"a": ("t",), "b": ("t",)}}, "'t' has 2 values in"),
        (halving, {"dims": {"sise": ("t",)}}, "did you mean 'size'"),
        (halving, {"dims": {"size": ("t", "u")}}, "dims names 2 dimensions of 'size'"),
        (halving, {"converged": "accuracy >= 0.9"}, "unknown result 'accuracy'"),
        (halving, {"converged": lambda r: r["size"]}, "converged must give booleans"),
        (halving, {"converged": lambda r: r["sise"] > 1}, "converged raised KeyError"),
        (halving, {"converged": lambda r: jnp.ones((2, 2), bool)}, r"its shape is \(2, 2\)"),
        (halving, {"diverged": lambda r: r["size"] > 1}, "diverged must give one boolean"),
        (halving, {"dims": {"size": ("t",)}, "coords": {"t": range(3)}}, "coords has 3 values of the dimension 't'"),
        (lambda key: [recorded(key), recorded(key)], {}, "two results have the name|several records"),
        (lambda key: jax.vmap(recorded)(jax.random.split(key, 2)), {}, "has batch axes"),
    ],
)
def test_what_cannot_be_swept_is_refused_with_words(train, options, message):
    with pytest.raises(vg.InputError, match=f"arm 'a': .*({message})"):
        swept({"a": vg.Arm(train, **options)}, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"converged": "size"}, "a curve, a comparison and a number"),
        ({"converged": "size >= much"}, "a curve, a comparison and a number"),
        ({"converged": 0.9}, "converged must be a function or a text"),
        ({"factors": {"init": np.ones(3)}}, "a factor is a name with a text"),
        ({"dims": {"size": "epoch"}}, "must be a tuple of names"),
        ({"dims": {"size": ("seed",)}}, "is the sweep's own"),
        ({"coords": {"t": [2, 1]}}, "must be increasing numbers"),
        ({"units": {"size": 3}}, "units must map names"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(vg.InputError, match=message):
        getattr(vg.Arm, "__wrapped__", vg.Arm)(halving, **options)


def test_arms_that_declare_a_variable_differently_are_refused(tiny):
    with pytest.raises(
        vg.InputError, match=r"'size' has the dimensions \('epoch',\) in 'a' and \('size_dim_0', 'size_"
    ):
        swept({"a": SIZES, "b": lambda key: {"size": jnp.ones((2, 2))}}, 2)
    with pytest.raises(vg.InputError, match="'size' is float32 in 'a' and int32 in 'b'"):
        swept({"a": SIZES, "b": lambda key: {"size": jnp.ones(2, jnp.int32)}}, 2)
    with pytest.raises(vg.InputError, match="'train_loss' is a curve of the Experiments"):
        swept({"a": lambda key: {"train_loss": 1.0}, "b": tiny}, 2)
    with pytest.raises(vg.InputError, match="the name of a variable and of a dimension"):
        swept({"a": vg.Arm(lambda key: {"t": 1.0, "b": jnp.ones(2)}, dims={"b": ("t",)})}, 2)
    with pytest.raises(vg.InputError, match="does not say when a run converges"):
        swept({"a": SIZES, "b": halving}, 2, precision=0.1)


@pytest.mark.parametrize("again", [lambda key: halving(key), functools.partial(halving, factor=0.5)])
def test_a_lambda_or_a_closure_is_as_good_as_a_def(again, tmp_path):
    swept({"a": halving}, 2, store=tmp_path / "r.zarr", chunk=2)
    results = swept({"a": again}, 5, store=tmp_path / "r.zarr", resume=True)
    np.testing.assert_allclose(results["size"].sel(arm="a"), curve(5), rtol=1e-6)


TABLE = np.arange(300_000, dtype=np.float32)


def looks_up(table):
    return lambda key: {"found": jnp.asarray(table)[jax.random.randint(key, (), 0, len(table))], "mean": table.mean()}


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (halving, lambda key: halving(key, 0.4), r"program\.scalars\[\d+\] is '0\.5 .*' there and '0\.4 .*' here"),
        (halving, lambda key: halving(key, steps=7), r"scalars\[\d+\] is '6 int32\[\]' there and '7 int32"),
        (halving, lambda key: jax.tree.map(jnp.abs, halving(key)), r"program\.operations\.abs is only here"),
        (looks_up(TABLE), looks_up(np.roll(TABLE, 1)), r"program\.constants\[0\] is 'float32\[300000\] "),
        (SIZES, vg.Arm(halving, converged="size < 0.3", dims={"size": ("epoch",)}), "criterion is 'size < 0.2' there"),
    ],
)
def test_a_changed_function_is_refused_with_what_changed(first, second, message, tmp_path):
    swept({"a": first}, 2, store=tmp_path / "r.zarr")
    with pytest.raises(vg.InputError, match=rf"another study: arms\.a\..*({message})"):
        swept({"a": second}, 2, store=tmp_path / "r.zarr", resume=True)


def test_a_big_array_in_a_closure_is_a_constant_of_the_program():
    results = swept({"a": looks_up(TABLE)}, 4)
    expected = [TABLE[int(jax.random.randint(vg.run_key(0, run), (), 0, len(TABLE)))] for run in range(4)]
    np.testing.assert_array_equal(results["found"].values[0], expected)


def test_chunks_workers_and_resumption_change_no_digit(tmp_path):
    together = swept({"a": recorded, "b": SIZES}, 9, chunk=3)
    for store in (None, tmp_path / "r.zarr"):
        apart = swept({"a": recorded, "b": SIZES}, 4, chunk=3, workers=2, store=store)
        if store:
            apart = swept({"a": recorded, "b": SIZES}, 9, workers=1, store=store, resume=True)
        for name in together.data_vars:
            np.testing.assert_array_equal(apart[name], together[name].isel(seed=slice(apart.sizes["seed"])))
    assert dict(vg.open_results(tmp_path / "r.zarr").sizes) == dict(together.sizes)


def test_a_run_is_the_function_of_its_key():
    results = swept({"a": recorded}, 3, seed=7)
    alone = jax.jit(recorded)(vg.run_key(7, 2))
    np.testing.assert_allclose(results["loss"].sel(arm="a", seed=2), alone["loss"], rtol=1e-6)


def test_a_share_that_is_known_stops_an_arm_early():
    never = vg.Arm(halving, converged="size < 0", dims={"size": ("epoch",)})
    results = swept({"a": SIZES, "never": never}, 4000, precision=0.1)
    assert (results["completed"].sum("seed") < 1000).all()
    assert results["converged"].sel(arm="a").values[: int(results["completed"].sel(arm="a").sum())].all()


def test_a_lost_file_of_an_own_variable_is_noticed(tmp_path):
    path = tmp_path / "r.zarr"
    swept({"a": SIZES, "b": recorded}, 4, store=path, chunk=2)
    next((path / "size").rglob("c/0/0/*")).unlink()
    with pytest.raises(vg.InputError, match=r"the file size/c/0/0/0 is missing \(arm 'a'"):
        vg.open_results(path)
    with pytest.warns(UserWarning, match="trained again"):
        swept({"a": SIZES, "b": recorded}, 4, store=path, resume=True)
    np.testing.assert_allclose(vg.open_results(path)["size"].sel(arm="a"), curve(4), rtol=1e-6)


def test_functions_are_trained_by_lanes_and_alone_as_in_any_chunk():
    def walk(key):
        steps = jax.lax.scan(lambda height, k: (height + jax.random.normal(k), height), 0.0, jax.random.split(key, 12))
        return {"end": steps[0], "path": steps[1]}

    by_engine = {engine: swept({"walk": walk}, 9, engine=engine) for engine in ("plain", "lanes", "auto")}
    assert json.loads(by_engine["auto"].attrs["engines"]) == {"walk": "lanes_or_plain"}
    np.testing.assert_allclose(by_engine["lanes"]["path"], by_engine["plain"]["path"], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(by_engine["lanes"]["path"], by_engine["auto"]["path"])
    for chunk in (1, 4, 16):
        alone = swept({"walk": walk}, 9, engine="lanes", chunk=chunk)
        np.testing.assert_array_equal(alone["path"], by_engine["lanes"]["path"])


def test_a_callbacks_values_are_part_of_the_identity():
    def trains(callback):
        def train(key):
            del key
            return {"end": jax.pure_callback(callback, jax.ShapeDtypeStruct((), jnp.float32), jnp.float32(1))}

        return train

    def held(factor):
        return lambda x: np.float32(x * factor)

    def nested(factor):
        if factor == 2:
            return lambda x: (lambda y: np.float32(y * 2.5))(x)
        return lambda x: (lambda y: np.float32(y * 3.5))(x)

    def partial(factor):
        return functools.partial(lambda factor, x: np.float32(x * factor), factor)

    for make in (held, nested, partial):
        digests = [FunctionArm("a", vg.Arm(trains(make(factor)))).fingerprint() for factor in (2, 3, 2)]
        assert digests[0] == digests[2] != digests[1], make.__name__


def test_a_time_that_two_dimensions_may_count_is_asked_for():
    def train(key):
        return {"loss": jax.random.uniform(key, (20,)), "val_accuracy": jnp.linspace(0, 1, 20)}

    dims = {"loss": ("step",), "val_accuracy": ("epoch",)}
    with pytest.raises(vg.InputError, match="dimensions epoch, step; say which counts the time"):
        swept({"a": vg.Arm(train, converged=lambda r: r["val_accuracy"] >= 0.5, dims=dims)}, 2)
    told = swept({"a": vg.Arm(train, converged="val_accuracy >= 0.5", dims=dims)}, 2, engine="plain")
    assert bool(told["converged"].all())
