"""Decisions of a sweep: tests assert relations between engines, chunks and blocks, not the tuned constants."""

import dataclasses

import pytest

import vgrad_jax as vg
from vgrad_jax.lanes.machine import THREADS
from vgrad_jax.sweeps import policy
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.plan import make_plan
from vgrad_jax.sweeps.policy import LANES, Platform, choose_engine, execution_of
from vgrad_jax.sweeps.size import ArmSize

CPU = Platform("cpu", devices=1, cores=2, machine=THREADS._replace(platform="cpu"))
GPU = Platform("gpu", devices=1, cores=2, machine=THREADS)
NARROW = ArmSize(results=40_000, plain=200_000, lanes=15_000, parameters=141, width=5, epochs=500)


def decide(sizes, num_seeds, platform=CPU, **options):
    sizes = sizes if isinstance(sizes, dict) else {"arm": sizes}
    return policy.decide(sizes, num_seeds, platform, **options)


def chunk(*arguments, **options):
    return next(iter(decide(*arguments, **options).executions.values())).chunk


def engine(*arguments, **options):
    return next(iter(decide(*arguments, **options).executions.values())).engine


def test_the_size_of_an_experiment():
    size = ExperimentArm(vg.presets.article(epochs=500)["tanh_he"]).size
    assert (size.parameters, size.width, size.epochs) == (2 * 5 + 5 + 4 * 30 + 6, 5, 500)
    assert size.lanes < size.plain


def test_lanes_are_for_many_epochs_of_a_narrow_network_in_float32():
    many = policy.EPOCHS_A_PARAMETER * NARROW.parameters // NARROW.epochs + 1
    assert choose_engine(NARROW, many, CPU) == "lanes_or_plain"
    assert choose_engine(NARROW, many // 2, CPU) == "nests"
    assert choose_engine(NARROW._replace(width=policy.WIDEST_IN_LANES), many, CPU) == "lanes_or_plain"
    assert choose_engine(NARROW._replace(width=policy.WIDEST_IN_LANES + 1), 1000, CPU) == "nests"
    assert choose_engine(NARROW._replace(parameters=2 * NARROW.parameters), many, CPU) == "nests"
    assert choose_engine(NARROW, many, CPU, chunk=LANES // 4) == "plain"
    assert choose_engine(NARROW, many, CPU, chunk=LANES - 1) == "nests"
    assert choose_engine(NARROW, many, CPU, chunk=3 * LANES) == "lanes_or_plain"
    assert choose_engine(NARROW, many, CPU._replace(is_single_precision=False)) == "plain"


def test_nests_are_for_networks_up_to_a_width_and_a_register_of_seeds():
    wide, fewest = NARROW._replace(width=64), policy.FEWEST_IN_NESTS
    assert choose_engine(wide, fewest, CPU) == "nests"
    assert choose_engine(wide, fewest - 1, CPU) == choose_engine(wide, 1000, CPU, chunk=fewest // 2) == "plain"
    assert choose_engine(wide._replace(width=policy.WIDEST_IN_NESTS + 1), 1000, CPU) == "plain"
    for other in ({"backend": "gpu"}, {"is_single_precision": False}, {"machine": None}):
        assert choose_engine(wide, 1000, CPU._replace(**other)) == "plain"


def test_a_gpus_lanes_are_for_many_seeds_of_a_small_network():
    fewest = policy.FEWEST_ON_GPU
    assert choose_engine(NARROW, fewest, GPU) == "lanes_or_plain"
    assert choose_engine(NARROW, fewest - 1, GPU) == "plain"
    assert choose_engine(NARROW, 10 * fewest, GPU, chunk=fewest // 4) == "plain"
    assert choose_engine(NARROW._replace(parameters=THREADS.sums_beside + 1), fewest, GPU) == "plain"
    assert choose_engine(NARROW, fewest, GPU._replace(devices=2)) == "plain"
    assert choose_engine(NARROW, fewest, GPU._replace(machine=None)) == "plain"  # A GPU of another maker.
    assert chunk(NARROW, 1000, GPU) == chunk(NARROW, 100_000, GPU, engine="plain") == policy.ACCELERATOR_CHUNK
    assert chunk(NARROW, 5000, GPU) == 4096
    assert chunk(NARROW, 10**6, GPU) <= policy.THREADS_CHUNK
    few_at_a_time = NARROW._replace(results=policy.CHUNK_MEMORY // 512 - NARROW.plain)
    assert (engine(few_at_a_time, 10**6, GPU), chunk(few_at_a_time, 10**6, GPU)) == ("plain", 512)


def test_what_lanes_refuse_on_a_gpu_has_room_in_plain():
    large = NARROW._replace(plain=policy.CHUNK_MEMORY // 100)
    execution = decide(large, 10**5, GPU, engine="lanes").executions["arm"]
    assert execution.chunk > execution.fall_back_chunk
    assert execution.fall_back_chunk * (large.results + large.plain) <= policy.CHUNK_MEMORY


@pytest.mark.parametrize("platform", [CPU, GPU])
@pytest.mark.parametrize("wish", ["plain", "lanes"])
def test_a_wish_is_an_order(platform, wish):
    assert engine(NARROW._replace(width=500), 3, platform, engine=wish) == wish


def test_a_processors_chunk_is_twice_as_large_only_where_the_sweep_then_ends_sooner():
    def longest(together, seeds, workers, arms):
        return -(-arms * -(-seeds // together) // workers) * together

    for seeds in (16, 32, 64, 128, 192, 256, 1025, 100_000):
        for workers in (1, 2, 3, 16):
            for arms in (1, 2, 7):
                together = chunk({str(arm): NARROW for arm in range(arms)}, seeds, workers=workers)
                ends = {lanes: longest(lanes, seeds, workers, arms) for lanes in (LANES, 2 * LANES)}
                gain = ends[2 * LANES] * policy.TIME_WITH_TWICE_AS_MANY < ends[LANES]
                # `plain` trains few seeds; its chunk depends on the platform and the memory alone.
                is_native = seeds >= policy.FEWEST_IN_NESTS
                assert together == (2 * LANES if gain and is_native else LANES)


def test_the_chunk_of_plain_depends_on_memory_alone():
    assert chunk(NARROW, 10, engine="plain") == chunk(NARROW, 10**6, engine="plain", workers=16) == LANES
    assert chunk(NARROW, 10**6, precision=0.01) == LANES
    assert chunk({"a": NARROW, "wide": NARROW._replace(width=500)}, 10**6) == LANES
    large = NARROW._replace(plain=policy.CHUNK_MEMORY // 5)
    assert chunk(large, 10**6) == 4
    assert chunk(NARROW._replace(plain=2 * policy.CHUNK_MEMORY), 10**6) == 1
    # `lanes` needs less memory, since its records evaluate a few rows at once.
    assert chunk(large, 1920, engine="lanes") == 2 * LANES
    assert chunk(NARROW._replace(lanes=policy.CHUNK_MEMORY // 40), 1920) == LANES


def test_a_wish_for_a_chunk_is_kept():
    assert chunk(NARROW, 10, chunk=7) == 7
    assert [execution_of("lanes", seeds, GPU).lanes for seeds in (1, 64, 70)] == [LANES, 2 * LANES, 3 * LANES]
    assert [execution_of("lanes", seeds, CPU).lanes for seeds in (1, 32, 64, 96, 128)] == [32, 32, 64, 32, 64]


def test_plain_uses_all_devices_and_lanes_one():
    eight = CPU._replace(devices=8, cores=16)
    assert execution_of("plain", 32, eight).together == 8 * 32
    assert execution_of("lanes", 32, eight).together == 32
    assert decide(NARROW, 10**4, eight, engine="plain").workers == 2
    assert decide(NARROW, 10**4, eight, engine="lanes").workers == 16
    assert decide(NARROW, 10**4, GPU).workers == 1


def test_the_block_is_chunks_within_the_limits():
    for seeds in (10, 1000, 10**6):
        for workers in (1, 8):
            decision = decide(NARROW, seeds, workers=workers, engine="plain")
            block = decision.block
            assert block % LANES == 0
            assert block <= policy.BLOCK_SEEDS
            assert block * NARROW.results <= policy.BLOCK_MEMORY
            if block > LANES:
                assert seeds / block >= policy.BLOCKS_OF_AN_ARM
                assert seeds / block >= policy.BLOCKS_OF_A_WORKER * workers
    assert decide(NARROW, 10, precision=0.05).block == decide(NARROW, 10**6, precision=0.05, workers=16).block


def test_a_plan_of_the_article_on_a_gpu_needs_little_of_the_host():
    article = {"arm": ExperimentArm(vg.presets.article()["tanh_he"])}
    plan = make_plan(article, 100_000, platform=GPU)
    assert plan.engines == {"arm": "lanes_or_plain"}
    fresh = plan._replace(resident_bytes=300 * 2**20)  # This process also holds programs of other tests.
    assert fresh.peak_bytes < 2 * 2**30
    long = dataclasses.replace(article["arm"].experiment, training=vg.Training(epochs=40_000), recording=vg.Recording())
    many_records = make_plan({"arm": ExperimentArm(long)}, 100_000, platform=GPU)
    assert many_records.engines == {"arm": "plain"}
    assert many_records.chunk_bytes <= policy.CHUNK_MEMORY
