"""Arguments of a wrong kind are refused at the public boundary, in a sentence, before anything is computed."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float

import vgrad_jax as vg
from vgrad_jax.boundary import checked, fits, in_words
from vgrad_jax.keys import PRNGKey


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [1, np.int64(2), jnp.asarray(3)], ["1", True, 1.5, None, [1]]),
        (float, [1, 0.5, np.float32(1), jnp.asarray(1.0)], ["1", True, None, [1.0], np.ones(2)]),
        (bool, [True, np.True_], [1, "yes", None]),
        (str | None, ["a", None], [1, b"a", ["a"]]),
        (tuple[str, ...], [("a",), ["a"], ()], ["a", (1,), None, {"a": 1}]),
        (Sequence[int], [[1], (2,), range(3)], ["1", [1.5], 3]),
        (Mapping[str, int], [{"a": 1}], [[("a", 1)], "a"]),
        (Callable[[int], int], [len], ["len", 3]),
        (Literal["a", "b"], ["a"], ["c", None, ["a"]]),
        (vg.MLP, [vg.MLP()], [vg.MLP, "mlp", None]),
        (optax.GradientTransformation, [optax.sgd(0.1), vg.record()], ["sgd", optax.sgd]),
        (
            PRNGKey,
            [jax.random.key(0), jax.random.PRNGKey(0)],
            [3, "key", jnp.ones(2), jax.random.split(jax.random.key(0))],
        ),
        (Float[Array, " n"], [jnp.ones(2), np.ones(2)], ["x", None, [1.0]]),
        (Any, [1, "a", None], []),
        ("Forward", [1], []),
    ],
)
def test_kinds(annotation, good, bad):
    assert all(fits(value, annotation) for value in good)
    assert not any(fits(value, annotation) for value in bad)
    assert not bad or len(in_words(annotation)) > 4


def kernel(params, batch):
    return jnp.mean((batch @ params) ** 2)


PARAMS = vg.init_mlp(jax.random.key(0), vg.MLP(hidden=(3,)), 2)

WRONG = [
    (lambda: vg.record(around="sgd"), "record: around must be a GradientTransformation or None; got 'sgd' (str)"),
    (lambda: vg.record(evry=3), "record: got an unexpected keyword argument 'evry'; its arguments are every, history"),
    (lambda: vg.record(order="ab"), "record: order must be a tuple or None; got 'ab' (str)"),
    (lambda: vg.check_init(kernel, jnp.ones(3), "x"), "batch must be what the loss takes"),
    (lambda: vg.check_init(kernel), "check_init: missing a required argument: 'params_or_init_fn'"),
    (lambda: vg.train(vg.Experiment(), 3), "train: key must be a PRNG key, such as jax.random.key(0); got 3 (int)"),
    (lambda: vg.train("e", jax.random.key(0)), "train: experiment must be an Experiment; got 'e' (str)"),
    (lambda: vg.apply_mlp(PARAMS, [1.0, 2.0], vg.MLP(hidden=(3,))), "apply_mlp: x must be an array; got [1.0, 2.0]"),
    (lambda: vg.apply_mlp("p", jnp.ones(2), vg.MLP()), "apply_mlp: params must be a tuple; got 'p' (str)"),
    (lambda: vg.init_mlp(jax.random.key(0), vg.MLP, 2), "init_mlp: mlp must be an MLP; got the class MLP"),
    (lambda: vg.load_data("table.csv"), "load_data: data must be a Data; got 'table.csv' (str)"),
    (lambda: vg.diagnose({"a": 1}), "diagnose: record_or_stats must be a Record or a LayerStats or a Look"),
    (lambda: vg.sweep([vg.Experiment()], 3), "sweep: arms must be a mapping; got"),
    (lambda: vg.sweep({"a": vg.Experiment()}, 3, progress="no"), "progress must be True or False or a function"),
    (lambda: vg.lanes(3), "lanes: f must be a function; got 3 (int)"),
    (lambda: vg.seeds_needed("0.1"), "seeds_needed: effect must be a number; got '0.1' (str)"),
    (lambda: vg.run_key(1.5, 0), "run_key: seed must be a whole number; got 1.5 (float)"),
    (lambda: vg.run_key(0, jnp.arange(2)), "run_key: run must be a whole number or an array; got"),
    (lambda: vg.mean_field(int, 1.0, 0.0), "must take an array of the shape (); it raised"),
    (lambda: vg.open_results(3), "open_results: path must be a text or a Path; got 3 (int)"),
    (lambda: vg.get_record({}, name=3), "get_record: name must be a text or None; got 3 (int)"),
    (lambda: vg.gradient_stats(jnp.ones(2), batch_axes="1"), "batch_axes must be a whole number; got '1' (str)"),
    (lambda: vg.mean_field("tanh", "1", 0.0), "mean_field: weight_variance must be a number; got '1' (str)"),
    (lambda: vg.Data(x=[[1, 2], [3]]), "rows of different lengths"),
    (lambda: vg.MLP(hidden=5), "hidden must be a tuple"),
    (lambda: vg.Optimizer(["sgd"]), "name must be a text; got ['sgd']"),
    (lambda: vg.Training(loss={"a": 1}), "loss must be a text"),
    (lambda: vg.Experiment.from_json("[" * 10**5), "is not JSON: it is nested too deeply"),
    (lambda: vg.Experiment.from_json('{"mlp": {"hidden": [1], "hidden": [2]}}'), "gives 'hidden' twice"),
    (lambda: vg.Experiment.from_json('{"mlp": {"activation": {"a": 1}}}'), "activation must be a name"),
    (lambda: vg.Experiment.from_json('{"optimizer": {"name": [1]}}'), "unknown optimizer (1,)"),
    (lambda: vg.Experiment.from_json("1" * 5000), "is not JSON"),
    (lambda: vg.Experiment.from_json(3), "Description.from_json: text must be a text; got 3 (int)"),
    (lambda: vg.Record.load(3), "Record.load: path must be a text or a Path; got 3 (int)"),
]


@pytest.mark.parametrize(("call", "sentence"), WRONG)
def test_wrong_arguments_are_refused_in_a_sentence(call, sentence):
    with pytest.raises(vg.InputError) as refused:
        call()
    assert sentence in str(refused.value)


@pytest.mark.parametrize("wrong", [lambda x: 1.0, lambda x: x[0], lambda x: x[:, None]])
def test_an_activation_that_changes_the_shape_is_refused(wrong):
    mlp = vg.MLP(hidden=(3,), activation=wrong)
    with pytest.raises(vg.InputError, match=r"activation .* must return an array of the shape .3,., as it takes"):
        jax.eval_shape(functools.partial(vg.apply_mlp, mlp=mlp), PARAMS, jnp.ones(2))


def test_an_initialiser_that_ignores_the_shape_is_refused():
    with pytest.raises(
        vg.InputError, match=r"initialiser .* must return an array of the shape .2, 3.; it returned .2,."
    ):
        vg.init_mlp(jax.random.key(0), vg.MLP(hidden=(3,), kernel_init=lambda key, shape, dtype: jnp.ones(2)), 2)


def test_checked_functions_keep_their_signature_and_are_traced_as_before():
    functions = [getattr(vg, name) for name in dir(vg) if inspect.isfunction(getattr(vg, name))]
    assert len(functions) > 20
    assert all(hasattr(function, "__wrapped__") for function in functions)
    mlp = vg.MLP(hidden=(3,))
    calls = (vg.apply_mlp, inspect.unwrap(vg.apply_mlp))
    traced = (jax.make_jaxpr(jax.vmap(functools.partial(call, mlp=mlp), (None, 0))) for call in calls)
    checked_program, program = (str(trace(PARAMS, jnp.ones((4, 2)))) for trace in traced)
    assert checked_program == program


@checked
def own(x: int, *rest: int, scale: float = 1.0, **more: int) -> float:
    return x * scale


def test_further_arguments_are_not_compared():
    assert own(2, "a", scale=0.5, b="c") == 1.0
