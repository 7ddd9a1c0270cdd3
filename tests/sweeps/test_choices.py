"""Which engine a sweep takes, and how many seeds it trains together."""

import dataclasses

import jax

import vgrad_jax as vg
import vgrad_jax.sweeps.engine as engines
from vgrad_jax.lanes.machine import THREADS
from vgrad_jax.sweeps.engine import LANES, choose_engine
from vgrad_jax.sweeps.plan import make_plan


def test_the_engine_is_chosen_by_width_seeds_and_chunk():
    long = vg.Experiment(training=vg.Training(epochs=500))
    assert choose_engine(long, 128) == "auto"
    assert choose_engine(long, 5) == "plain"
    assert choose_engine(long, 128, chunk=8) == "plain"
    assert choose_engine(dataclasses.replace(long, mlp=vg.MLP(hidden=(512,))), 128) == "plain"
    assert choose_engine(dataclasses.replace(long, mlp=vg.MLP(hidden=(32,))), 128) == "plain"
    assert choose_engine(dataclasses.replace(long, mlp=vg.MLP(hidden=(16,) * 5)), 16) == "plain"
    assert choose_engine(dataclasses.replace(long, mlp=vg.MLP(activation=jax.nn.relu)), 128) == "auto"


def test_a_gpus_lanes_are_for_many_seeds_of_a_narrow_network(monkeypatch):
    article = vg.presets.article()["tanh_he"]
    datasets = {"arm": vg.load_data(article.data)}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(engines, "local_machine", lambda: THREADS)
    assert choose_engine(article, 4096) == "auto"
    assert choose_engine(article, 4095) == choose_engine(article, 100_000, chunk=1024) == "plain"
    assert choose_engine(dataclasses.replace(article, mlp=vg.MLP(hidden=(6,) * 5)), 4096) == "plain"

    def plan(seeds, **options):
        return make_plan({"arm": article}, datasets, seeds, **options)

    assert (plan(100_000).chunk, plan(100_000).engines["arm"]) == (8192, "auto")
    assert (plan(5000).chunk, plan(1000).chunk, plan(100_000, engine="plain").chunk) == (4096, 1024, 1024)
    assert plan(1000).engines["arm"] == plan(100_000, chunk=1024).engines["arm"] == "plain"
    assert (plan(1000, engine="lanes").chunk, plan(1000, engine="lanes").engines["arm"]) == (512, "lanes")
    long = dataclasses.replace(article, training=vg.Training(epochs=7000), recording=vg.Recording())
    many_records = make_plan({"arm": long}, datasets, 100_000)  # Of few seeds at a time, and so of `plain`'s.
    assert many_records == make_plan({"arm": long}, datasets, 100_000, engine="plain")._replace(
        resident_bytes=many_records.resident_bytes
    )
    assert many_records.chunk == 512
    fresh = plan(100_000)._replace(resident_bytes=300 * 2**20)  # This process has compiled what other tests train.
    assert fresh.peak_bytes < 2 * 2**30
    assert [engines.lanes_of_a_program(seeds) for seeds in (1, 64, 70)] == [32, 64, 96]
    monkeypatch.setattr(engines, "local_machine", lambda: None)  # Another maker's.
    assert choose_engine(article, 4096) == "plain"


def test_a_processors_chunk_is_twice_as_large_where_the_sweep_then_ends_sooner():
    article = vg.Experiment()
    datasets = {"arm": vg.load_data(article.data)}

    def chunk(seeds, workers=2, arms=1, **options):
        names = [str(number) for number in range(arms)]
        data = dict.fromkeys(names, datasets["arm"])
        return make_plan(dict.fromkeys(names, article), data, seeds, workers=workers, **options).chunk

    assert [chunk(seeds) for seeds in (16, 32, 64, 128, 192, 256)] == [LANES, LANES, LANES, 2 * LANES, LANES, 2 * LANES]
    assert [chunk(64, arms=arms) for arms in (1, 2, 7)] == [LANES, 2 * LANES, LANES]
    assert [chunk(1025, workers) for workers in (1, 2, 3, 16)] == [2 * LANES, LANES, LANES, LANES]
    assert chunk(100_000, 16) == 2 * LANES
    assert chunk(128, engine="lanes") == 2 * LANES
    assert chunk(128, engine="plain") == chunk(10_000, precision=0.01) == LANES
    mixed = {"arm": article, "wide": dataclasses.replace(article, mlp=vg.MLP(hidden=(17,)))}
    assert make_plan(mixed, datasets | {"wide": datasets["arm"]}, 10_000, workers=2).chunk == LANES
    for rows, together in ((60_000, (2 * LANES, LANES)), (400_000, (4, 4))):  # `plain` has room for fewer seeds.
        many = dataclasses.replace(article, data=vg.Data(samples=rows, train_samples=rows - 1000))
        data = {"arm": vg.load_data(many.data)}
        for seeds, expected in zip((1920, 192), together, strict=True):
            plan = make_plan({"arm": many}, data, seeds, workers=2)
            assert (plan.chunk, plan.engines["arm"]) == (expected, "auto" if expected >= LANES else "plain")
    assert make_plan({"arm": many}, data, 1920, workers=2, engine="lanes").chunk == 2 * LANES  # They have.
    for epochs, expected in ((100_000, 2 * LANES), (150_000, LANES)):  # 6.5 and 9.7 MiB of results a seed.
        long = {"arm": dataclasses.replace(article, training=vg.Training(epochs=epochs))}
        assert make_plan(long, datasets, 1920, workers=2).chunk == expected
    assert [engines.lanes_of_a_program(seeds) for seeds in (1, 32, 64, 96, 128)] == [32, 32, 64, 32, 64]
