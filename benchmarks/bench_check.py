"""What does `check_init` cost on a large model, beside one call of `jax.value_and_grad`?

The networks are a multilayer perceptron of 100 layers and a transformer of 12 blocks; at the full size they have about
100 million parameters. The aims are at most five times the run time, twice the memory and twice the compile time.
Memory is what XLA plans for the compiled program: arguments, results and temporaries.
"""

import time

import jax
import jax.numpy as jnp
import pytest

import vgrad_jax as vg
from benchmarks.bench_recorder import perceptron, transformer
from benchmarks.measure import side_by_side
from vgrad_jax.gradients.layers import Grouping
from vgrad_jax.gradients.look import look_at

ROUNDS = {"smallest": 1, "short": 3, "full": 3}
NETWORKS = {
    "100 layers": {
        "smallest": lambda: perceptron(width=8, depth=4, rows=16),
        "short": lambda: perceptron(width=128, depth=100, rows=64),
        "full": lambda: perceptron(width=1000, depth=100, rows=32),
    },
    "transformer, 12 blocks": {
        "smallest": lambda: transformer(width=16, blocks=2, heads=2, tokens=8, rows=2),
        "short": lambda: transformer(width=128, blocks=12, heads=4, tokens=32, rows=4),
        "full": lambda: transformer(width=840, blocks=12, heads=12, tokens=32, rows=4),
    },
}


def compiled(function, *arguments):
    """Compile a function, and return it with the seconds of tracing and compiling and the bytes that it needs."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    size = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return program, seconds, size


@pytest.mark.parametrize("network", NETWORKS)
def test_check(benchmark, network, size):
    loss, params, x = NETWORKS[network][size]()
    step, step_seconds, step_bytes = compiled(jax.value_and_grad(loss), params, x)
    look, look_seconds, look_bytes = compiled(lambda p, x: look_at(loss, p, x, Grouping()), params, x)
    calls = {"value_and_grad": lambda _: step(params, x), "look": lambda _: look(params, x)}
    measured = side_by_side(benchmark, calls, ROUNDS[size])
    start = time.perf_counter()
    check = vg.check_init(loss, params, x)
    benchmark.extra_info |= {
        "case": network,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "ms": {name: 1e3 * measured.median(name) for name in calls},
        "compile_s": {"value_and_grad": step_seconds, "look": look_seconds},
        "mib": {"value_and_grad": step_bytes / 2**20, "look": look_bytes / 2**20},
        "check_init_s": time.perf_counter() - start,
        "times_value_and_grad": {
            "run": measured.ratio("look", "value_and_grad"),
            "compile": look_seconds / step_seconds,
            "memory": look_bytes / step_bytes,
        },
    }
    # The check looks at the gradient that training uses.
    value, _ = measured.results["value_and_grad"][0]
    assert jnp.allclose(measured.results["look"][0].loss, value, rtol=1e-4)
    assert len(check.stats.paths) == len(check.look.params_log10_rms[0])
