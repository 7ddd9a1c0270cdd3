"""What does `check_init` cost on a large model, beside one call of `jax.value_and_grad`?

The networks are a multilayer perceptron of 100 layers and a transformer of 12 blocks; at the full size they have about
100 million parameters. The aims are at most five times the run time, twice the memory and twice the compile time.
A check of given parameters compiles at every call: its time is held against a first call of `value_and_grad`, which
traces, compiles and runs too. Memory is what XLA plans for the largest program of a look, that of loss, gradient and
forward pass: arguments, results and temporaries.
"""

import jax
import jax.numpy as jnp
import pytest

import vgrad_jax as vg
from benchmarks.bench_recorder import perceptron, transformer
from benchmarks.measure import side_by_side
from vgrad_jax.gradients.layers import Grouping
from vgrad_jax.gradients.look import look_at_compiled, parts_of

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


def planned_bytes(function, *arguments):
    """Return the bytes that XLA plans for a function: arguments, results and temporaries."""
    memory = jax.jit(function).lower(*arguments).compile().memory_analysis()
    return memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes


@pytest.mark.parametrize("network", NETWORKS)
def test_check(benchmark, network, size):
    if size == "smallest" and network != next(iter(NETWORKS)):
        pytest.skip("compiles for long")
    loss, params, x = NETWORKS[network][size]()
    step = jax.jit(jax.value_and_grad(loss))
    calls = {
        "value_and_grad": lambda _: step(params, x),
        "look": lambda _: look_at_compiled(loss, params, x, Grouping()),
        "check_init": lambda _: vg.check_init(loss, params, x).look,
    }
    measured = side_by_side(benchmark, calls, ROUNDS[size])
    mebibytes = {
        "value_and_grad": planned_bytes(jax.value_and_grad(loss), params, x) / 2**20,
        "look": planned_bytes(lambda p, x: parts_of(loss, p, x, Grouping()), params, x) / 2**20,
    }
    once = "value_and_grad"
    checks = ("look", "check_init")
    benchmark.extra_info |= {
        "case": network,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "ms": {name: 1e3 * measured.median(name) for name in calls},
        "first_call_s": measured.first,
        "mib": mebibytes,
        "times_value_and_grad": {
            "first_call": {name: measured.first[name] / measured.first[once] for name in checks},
            "later_call_over_its_first": {name: measured.median(name) / measured.first[once] for name in checks},
            "memory": mebibytes["look"] / mebibytes[once],
        },
    }
    # The check looks at the gradient that training uses.
    value, _ = measured.results[once][0]
    look, check = (measured.results[name][0] for name in checks)
    assert jnp.allclose(look.loss, value, rtol=1e-4)
    assert jnp.allclose(check.loss, value, rtol=1e-4)
    assert look.stats.paths == check.stats.paths
