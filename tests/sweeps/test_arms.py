"""Arms of another kind are swept, stored, resumed and read without a change to the library."""

import inspect
import json
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zarr

import vgrad_jax as vg
from vgrad_jax.results import arms_of, data_of, num_layers
from vgrad_jax.results.schema import Layout
from vgrad_jax.statistics import outcomes, summarise
from vgrad_jax.sweeps import ArmSize, ExperimentArm
from vgrad_jax.sweeps import engine as engines
from vgrad_jax.sweeps.arms import MEMBERS, missing_members
from vgrad_jax.training import EpochRecord, History
from vgrad_jax.training.convergence import Outcome

EPOCHS = 4


@dataclass(frozen=True)
class Slope:
    """Arm that descends `w^2` from a `w` drawn from the run's key; every record has a closed form."""

    rate: float
    threshold: float = 0.5

    layout = Layout(epochs=tuple(range(EPOCHS + 1)), num_layers=1)
    size = ArmSize(results=500, plain=500, lanes=500, parameters=1, width=1, epochs=EPOCHS)
    program_key = "slope"

    def describe(self):
        return {"kind": "slope", "rate": self.rate}

    def fingerprint(self):
        return "no data"

    def inputs(self, keys):
        return jax.vmap(lambda key: jax.random.uniform(key, minval=1.0, maxval=2.0))(keys)

    def settings(self):
        return {"rate": jnp.asarray(self.rate, jnp.float32)}

    def trainer(self, rows_at_once):
        def train(start, key, settings):
            def step(w, epoch):
                w = jnp.where(epoch > 0, w * (1 - 2 * settings["rate"]), w)
                return w, w

            _, weights = jax.lax.scan(step, start, jnp.arange(EPOCHS + 1))
            sizes = jnp.log10(jnp.abs(2 * weights))[:, None]
            loss = weights**2
            reached = weights < self.threshold
            converged = reached.any()
            return History(
                records=EpochRecord(loss, loss, reached * 1.0, reached * 1.0, sizes, sizes),
                epoch=jnp.arange(EPOCHS + 1),
                outcome=jnp.where(converged, Outcome.CONVERGED, Outcome.NOT_CONVERGED).astype(jnp.int8),
                epochs_to_converge=jnp.where(converged, jnp.argmax(reached).astype(jnp.float32), jnp.nan),
                parameters=(),
                gradients=(),
            )

        return train


ARMS = {"fast": Slope(0.3), "slow": Slope(0.01)}


def starts(num_seeds):
    keys = [vg.run_key(0, run) for run in range(num_seeds)]
    return np.array([jax.random.uniform(key, minval=1.0, maxval=2.0) for key in keys])


def test_the_protocol_is_kept_by_both_kinds():
    assert len(MEMBERS) == 9
    for arm in (ARMS["fast"], ExperimentArm(vg.Experiment())):
        assert all(hasattr(arm, member) for member in MEMBERS)


def test_an_error_in_the_users_arm_is_no_missing_member():
    class Broken(Slope):
        @property
        def layout(self):
            raise AttributeError("my own mistake")

    assert missing_members(Broken(0.1)) == []
    assert missing_members(3) == sorted(MEMBERS)


@pytest.mark.parametrize("engine", ["plain", "lanes"])
def test_another_kind_of_arm_is_swept(engine):
    results = vg.sweep(ARMS, 5, engine=engine, progress=False)
    for name, arm in ARMS.items():
        weights = starts(5)[:, None] * (1 - 2 * arm.rate) ** np.arange(EPOCHS + 1)
        np.testing.assert_allclose(results["train_loss"].sel(arm=name), weights**2, rtol=1e-5)
        sizes = results["gradient_log10_rms"].sel(arm=name, layer=0)
        np.testing.assert_allclose(sizes, np.log10(2 * weights), atol=1e-5)
    ended = outcomes(results)
    assert ended["fast"].converged.all()
    assert not ended["slow"].converged.any()
    assert num_layers(results) == {"fast": 1, "slow": 1}


def test_it_stands_beside_an_experiment_and_in_a_store(tmp_path, tiny):
    """Resume a store of both kinds of arms: it identifies arms by their descriptions."""
    experiment = vg.Experiment(
        mlp=tiny.mlp, data=tiny.data, training=vg.Training(epochs=EPOCHS, batch_size=4, threshold=0.5)
    )
    mixed = {**ARMS, "network": experiment}
    path = tmp_path / "r.zarr"
    vg.sweep(mixed, 3, store=path, chunk=2, engine="plain", progress=False)
    results = vg.sweep(mixed, 5, store=path, resume=True, progress=False)
    assert bool(results["completed"].all())
    assert num_layers(results) == {"fast": 1, "slow": 1, "network": 2}
    assert json.loads(zarr.open_group(str(path), mode="r").attrs["layers"]) == num_layers(results)
    assert np.isnan(results["gradient_log10_rms"].sel(arm="fast", layer=1)).all()
    together = vg.sweep(mixed, 5, chunk=2, engine="plain", progress=False)
    np.testing.assert_array_equal(results["train_loss"], together["train_loss"])
    with pytest.raises(vg.InputError, match=r"arms\.fast\.rate is 0\.3 there and 0\.2 here"):
        vg.sweep({**mixed, "fast": Slope(0.2)}, 5, store=path, resume=True, progress=False)


def test_arms_that_share_a_program_compile_it_once(monkeypatch):
    engines.PROGRAMS.clear()
    compiled = []
    trainer = Slope.trainer
    monkeypatch.setattr(Slope, "trainer", lambda arm, rows_at_once: compiled.append(arm) or trainer(arm, rows_at_once))
    vg.sweep(ARMS, 4, engine="plain", workers=2, chunk=1, progress=False)
    assert len(compiled) == 1


class Constant(Slope):
    """Another kind of arm whose program has the same key."""

    def trainer(self, rows_at_once):
        train = super().trainer(rows_at_once)

        def constant(start, key, settings):
            history = train(start, key, settings)
            return history._replace(records=history.records._replace(train_loss=jnp.full(EPOCHS + 1, 42.0)))

        return constant


@pytest.mark.parametrize("engine", ["plain", "lanes"])
def test_arms_of_two_kinds_share_no_program(engine):
    results = vg.sweep({"slope": Slope(0.3), "constant": Constant(0.3)}, 2, engine=engine, progress=False)
    assert (results["train_loss"].sel(arm="constant") == 42).all()
    assert (results["train_loss"].sel(arm="slope") < 42).all()


@pytest.mark.parametrize("value", [3, "relu", Slope, None])
def test_other_things_are_no_arms(value):
    with pytest.raises(vg.InputError, match="arm 'a' must be an Experiment, an Arm, a function of a key"):
        inspect.unwrap(vg.sweep)({"a": value}, 2, progress=False)


@pytest.mark.parametrize(
    "other", [Slope(0.3, threshold=0.4), vg.Experiment(training=vg.Training(epochs=9, threshold=0.6))]
)
def test_arms_that_mean_other_things_by_converging_are_refused(other):
    with pytest.raises(vg.InputError, match="need the same"):
        vg.sweep({"a": Slope(0.3), "b": other}, 2, progress=False)


def test_a_reader_that_needs_an_experiment_says_so():
    results = vg.sweep({"slope": Slope(0.3)}, 2, engine="plain", progress=False)
    with pytest.raises(vg.InputError, match="'slope' is an arm of another kind"):
        arms_of(results)
    assert data_of(results, "slope") is None


def test_its_statistics_need_no_experiment():
    results = vg.sweep(ARMS, 8, engine="plain", progress=False)
    fast, slow = summarise(results)
    assert (fast.arm, fast.n, fast.converged.value) == ("fast", 8, 1.0)
    assert slow.converged.value == 0.0
    np.testing.assert_allclose(fast.initial_gradient_log10_rms, np.log10(2 * np.sort(starts(8))[3]), atol=1e-5)
