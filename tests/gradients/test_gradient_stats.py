"""`gradient_stats` against NumPy in float64, and on the trees of every framework."""

import dataclasses
import inspect
from functools import partial

import equinox
import haiku
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import vgrad_jax as vg
from vgrad_jax.gradients import Grouping

FLOAT32 = [float(jnp.finfo(jnp.float32).tiny), 1e-30, 1e-20, 1e-3, 1.0, 1e20, 1e38]
SIZES = {
    "float32": FLOAT32,
    "bfloat16": FLOAT32,
    "float16": [float(jnp.finfo(jnp.float16).tiny), 1e-3, 1.0, 1.6e4],
}


def by_numpy(*arrays):
    """Compute the same numbers by the plain formulas, in float64."""
    values = np.concatenate([np.asarray(array).astype(np.float64).ravel() for array in arrays])
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "log10_rms": np.log10(np.sqrt(np.mean(values**2))),
            "log10_max": np.log10(np.max(np.abs(values))),
            "zero_fraction": np.mean(values == 0),
            "nonfinite_fraction": np.mean(~np.isfinite(values)),
            "count": values.size,
        }


def paths(tree, **options):
    """Return the layers' names; nothing is computed for them."""
    return jax.eval_shape(lambda: vg.gradient_stats(tree, **options)).paths


@partial(jax.jit, static_argnames=("per_leaf", "batch_axes", "stacked"))
def stats_of(tree, **options):
    return vg.gradient_stats(tree, **options)


def assert_is_numpys(stats, layer, *arrays):
    for name, expected in by_numpy(*arrays).items():
        np.testing.assert_allclose(getattr(stats, name)[..., layer], expected, rtol=2e-6, atol=2e-6, err_msg=name)


@pytest.mark.parametrize(("dtype", "size"), [(dtype, size) for dtype, sizes in SIZES.items() for size in sizes])
def test_right_from_the_smallest_normal_to_the_largest(dtype, size):
    kernel = jnp.asarray(size * np.array([[2.0, -3.0, 1.0], [0.0, 1.0, 3.0]]), dtype)
    bias = jnp.asarray(size * np.array([1.0, 0.0, 2.0]), dtype)
    tree = {"Dense_0": {"kernel": kernel, "bias": bias}}
    assert_is_numpys(stats_of(tree), 0, kernel, bias)
    assert_is_numpys(stats_of(tree, per_leaf=True), 1, kernel)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([0.0, 1e-37, -1e-30, 1e-12, -1.0, 3.0, 1e12, -1e30, 1e38]), min_size=6, max_size=6),
    st.lists(st.sampled_from([0.0, 1e-37, 1e-20, 2.0, 1e20]), min_size=3, max_size=3),
)
def test_any_mixture_of_sizes_is_numpys(kernel, bias):
    kernel, bias = jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32)
    assert_is_numpys(stats_of({"a": {"kernel": kernel, "bias": bias}}), 0, kernel, bias)


def test_a_bias_of_zeros_beside_a_tiny_kernel_is_no_false_zero():
    stats = stats_of({"a": {"kernel": jnp.full((2, 2), 1e-30), "bias": jnp.zeros(4)}})
    np.testing.assert_allclose(stats.log10_rms, [-30 + 0.5 * np.log10(0.5)], rtol=1e-6)
    np.testing.assert_allclose(stats.zero_fraction, [0.5])


def test_zero_infinite_and_missing_are_three_states():
    tree = {"a": jnp.zeros(4), "b": jnp.array([1.0, jnp.inf]), "c": jnp.array([1.0, jnp.nan]), "d": jnp.ones(2)}
    stats = stats_of(tree)
    np.testing.assert_array_equal(stats.log10_rms, [-np.inf, np.inf, np.nan, 0])
    np.testing.assert_array_equal(stats.nonfinite_fraction, [0, 0.5, 0.5, 0])
    np.testing.assert_array_equal(stats.zero_fraction, [1, 0, 0, 0])


def test_many_elements_are_added_up_exactly_enough():
    leaf = jnp.full(2**25 + 1, 3.0).at[0].set(0)
    stats = stats_of({"embedding": leaf})
    assert int(stats.count[0]) == 2**25 + 1
    np.testing.assert_allclose(stats.log10_rms, [np.log10(3)], atol=1e-5)
    np.testing.assert_allclose(stats.zero_fraction, [1 / (2**25 + 1)], rtol=1e-6)


def test_double_precision_is_kept(x64):
    stats = stats_of({"a": jnp.full((2, 2), 1e-200)})
    assert stats.log10_rms.dtype == jnp.float64
    np.testing.assert_allclose(stats.log10_rms, [-200], rtol=1e-12)


def test_largest_single_numbers_beside_double_ones(x64):
    tree = {"a": {"bias": jnp.zeros(4), "kernel": jnp.full((4, 3), 3e38, jnp.float32)}}
    expected = np.log10(3e38 * np.sqrt(12 / 16))
    np.testing.assert_allclose(stats_of(tree).log10_rms, [expected], atol=1e-6)


def test_complex_numbers_are_measured_by_their_magnitude():
    np.testing.assert_allclose(stats_of({"a": jnp.array([3 + 4j])}).log10_rms, [np.log10(5)], rtol=1e-6)


def test_batch_axes_are_free_and_equal_a_loop():
    rng = np.random.default_rng(0)
    tree = {
        f"Dense_{n}": {"kernel": rng.normal(size=(5, 3, 4, 2)), "bias": rng.normal(size=(5, 3, 2))} for n in range(2)
    }
    tree = jax.tree.map(jnp.float32, tree)
    stats = stats_of(tree, batch_axes=2)
    assert stats.log10_rms.shape == stats.count.shape == (5, 3, 2)
    vmapped = jax.jit(jax.vmap(jax.vmap(vg.gradient_stats)))(tree)
    for seed, example in np.ndindex(5, 3):
        leaves = tree["Dense_1"]["kernel"][seed, example], tree["Dense_1"]["bias"][seed, example]
        assert_is_numpys(jax.tree.map(lambda leaf: leaf[seed, example], stats), 1, *leaves)  # noqa: B023
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stats, vmapped)


# What a layer is, and in which order layers stand.


class Deep(linen.Module):
    @linen.compact
    def __call__(self, x):
        for _ in range(11):
            x = linen.relu(linen.Dense(3)(x))
        return linen.Dense(1)(x)


class Branches(nnx.Module):
    def __init__(self, rngs):
        self.layer10 = nnx.Linear(3, 1, rngs=rngs)
        self.layer2 = nnx.Linear(3, 3, rngs=rngs)
        self.blocks = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(12)])


def test_flax_linen_beyond_ten_layers_is_in_the_order_of_depth():
    params = Deep().init(jax.random.key(0), jnp.ones((1, 3)))
    assert paths(params) == tuple(f"params/Dense_{n}" for n in range(12))
    assert paths(params, per_leaf=True)[2:4] == ("params/Dense_1/bias", "params/Dense_1/kernel")


@pytest.mark.parametrize("form", [lambda model: model, nnx.state, lambda model: nnx.to_pure_dict(nnx.state(model))])
def test_flax_nnx_in_every_form(form):
    names = (*(f"blocks/{n}" for n in range(12)), "layer2", "layer10")
    assert paths(form(Branches(nnx.Rngs(0)))) == names


def test_equinox_with_its_functions_and_none_leaves():
    model = equinox.nn.MLP(2, 1, 4, 11, key=jax.random.key(0))
    names = tuple(f"layers/{n}" for n in range(12))
    assert paths(model) == names
    gradient = equinox.filter_grad(lambda model: model(jnp.ones(2))[0])(model)
    assert gradient.activation is None
    stats = stats_of(gradient)
    assert stats.paths == names
    assert_is_numpys(stats, 3, gradient.layers[3].weight, gradient.layers[3].bias)


def test_haiku():
    params = haiku.transform(lambda x: haiku.nets.MLP([3] * 12)(x)).init(jax.random.key(0), jnp.ones((1, 3)))
    assert paths(params) == tuple(f"mlp/~/linear_{n}" for n in range(12))


MATRIX, VECTOR = jnp.ones((2, 2)), jnp.ones(2)


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        ([(MATRIX, VECTOR)] * 3, ("0", "1", "2")),
        ([(MATRIX, VECTOR), (), (MATRIX, VECTOR)], ("0", "2")),
        ([MATRIX] * 12, tuple(map(str, range(12)))),
        ({"hidden": [MATRIX] * 3, "out": MATRIX}, ("hidden/0", "hidden/1", "hidden/2", "out")),
        ({"w1": MATRIX, "b1": VECTOR, "w2": MATRIX, "b2": VECTOR, "w10": MATRIX, "b10": VECTOR}, ("1", "2", "10")),
        ({"w2": MATRIX, "w1": MATRIX}, ("w1", "w2")),
        ({"attention": {"w_q": MATRIX, "w_k": MATRIX}, "norm": {"scale": VECTOR}}, ("attention", "norm")),
        (MATRIX, ("",)),
    ],
)
def test_bare_trees(tree, names):
    assert paths(tree) == names


def test_layers_stacked_for_a_scan_are_split():
    stack = {
        "Dense_0": {"kernel": jnp.arange(1.0, 13).reshape(3, 2, 2), "bias": jnp.ones((3, 2))},
        "Norm": {"scale": jnp.ones((3, 2))},
    }
    tree = {"input": {"kernel": MATRIX}, "layers": stack}
    stats = stats_of(tree, stacked="layers")
    inner = [f"layers/{n}/{name}" for n in range(3) for name in ("Dense_0", "Norm")]
    assert stats.paths == ("input", *inner)
    assert_is_numpys(stats, 3, stack["Dense_0"]["kernel"][1], stack["Dense_0"]["bias"][1])
    assert stats.has_matrix == (True, *(True, False) * 3)
    batched = stats_of(jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), tree), stacked="layers", batch_axes=1)
    np.testing.assert_allclose(batched.log10_rms, np.tile(stats.log10_rms, (4, 1)), rtol=1e-6)


def test_flax_scan_over_layers():
    class Block(linen.Module):
        @linen.compact
        def __call__(self, x, _):
            return linen.relu(linen.Dense(3)(x)), None

    stack = linen.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=11)
    params = stack().init(jax.random.key(0), jnp.ones((1, 3)), None)
    names = paths(params, stacked="params")
    assert names == tuple(f"params/{n}/Dense_0" for n in range(11))


@pytest.mark.parametrize(
    ("function", "without"),
    [(vg.gradient_stats, set()), (vg.record, set()), (vg.check_init, {"per_leaf", "order"})],
)
def test_public_functions_have_the_options_of_a_grouping(function, without):
    """An option that is new in `Grouping` is missing here until every function takes it."""
    expected = {field.name: field.default for field in dataclasses.fields(Grouping) if field.name not in without}
    parameters = inspect.signature(function).parameters
    assert {name: parameters[name].default for name in expected if name in parameters} == expected
    assert without.isdisjoint(parameters)


def test_group_include_exclude_and_order():
    tree = {f"block_{n}": {"attention": {"kernel": MATRIX}, "norm": {"scale": VECTOR}} for n in range(2)}
    assert paths(tree, group=r"block_\d+") == ("block_0", "block_1")
    assert paths(tree, exclude="norm") == ("block_0/attention", "block_1/attention")
    assert paths(tree, include="block_1") == ("block_1/attention", "block_1/norm")
    order = ("block_1", "elsewhere", "block_0")
    assert paths(tree, group=r"block_\d+", order=order) == ("block_1", "block_0")


@pytest.mark.parametrize(
    ("tree", "options", "message"),
    [
        ({"a": None}, {}, "no floating-point array"),
        ({"a": jnp.ones(2, jnp.int32)}, {}, "no floating-point array"),
        ({"a": MATRIX}, {"include": "b"}, "no leaf is left.*: a"),
        ({"a": MATRIX}, {"include": "("}, "not a regular expression"),
        ({"a": MATRIX, "b": MATRIX}, {"order": ("a",)}, "names no layer 'b'"),
        ({"a": VECTOR}, {"batch_axes": 2}, "fewer axes than batch_axes"),
        ({"a": jnp.float32(1)}, {"stacked": "a"}, "no axis on which"),
    ],
)
def test_errors_teach(tree, options, message):
    with pytest.raises(vg.InputError, match=message):
        vg.gradient_stats(tree, **options)
