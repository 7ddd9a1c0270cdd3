"""Functions of a wrong kind are refused where they are called; an exception in a user's own lines stays."""

import functools
import math
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg
from vgrad_jax.boundary import called
from vgrad_jax.diagnosis.findings import found
from vgrad_jax.diagnosis.sources import evidence_of

KEY = jax.random.key(0)
BATCH = (np.ones((2, 3), np.float32), np.ones(2, np.float32))
STATS = vg.gradient_stats({"a": jnp.ones((2, 2))})


class Model:
    """Class without arguments, as a user hands it over instead of an object."""


def loss(params, batch):
    return jnp.mean((batch[0] @ params - batch[1]) ** 2)


def init(key):
    return jax.random.normal(key, (3,))


def trained(init=init, loss=loss, optimizer=None, **options):
    optimizer = optax.sgd(0.1) if optimizer is None else optimizer
    return jax.eval_shape(vg.make_train(init, loss, optimizer, BATCH, epochs=1, batch_size=2, **options), KEY)


def with_update(function):
    return optax.GradientTransformation(optax.sgd(0.1).init, function)


def judged(function):
    return vg.diagnose(STATS, rules={"mine": vg.Rule(function, "me")})


PLACES = {
    "loss of check_init": lambda f: vg.check_init(f, jnp.ones(3), BATCH),
    "init of check_init": lambda f: vg.check_init(loss, f, BATCH),
    "loss of locate_nonfinite": lambda f: vg.locate_nonfinite(f, jnp.ones(3), BATCH),
    "init of make_train": lambda f: trained(init=f),
    "loss of make_train": lambda f: trained(loss=f),
    "evaluate of make_train": lambda f: trained(evaluate=f),
    "init of an optimiser": lambda f: trained(optimizer=optax.GradientTransformation(f, optax.sgd(0.1).update)),
    "update of an optimiser": lambda f: trained(optimizer=with_update(f)),
    "optimiser of record": lambda f: vg.record(around=with_update(f)).init(jnp.ones(3)),
    "initialiser": lambda f: vg.init_mlp(KEY, vg.MLP(hidden=(3,), kernel_init=f), 2),
    "activation": lambda f: vg.mean_field(f, 1.0, 0.0),
    "rule": judged,
    "lanes": lambda f: vg.lanes(f)(jnp.ones((2, 3))),
    "lanes_report": lambda f: vg.lanes_report(f, jnp.ones((2, 3))),
    "train of a sweep": lambda f: vg.sweep({"a": vg.Arm(f)}, 1, progress=False),
}
WRONG = {
    "class": Model,
    "int": int,
    "dict": dict,
    "partial of a class": functools.partial(Model),
    "builtin": math.sin,
    "no arguments": lambda: 0,
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("place", PLACES)
def test_a_function_of_a_wrong_kind_is_refused(place, wrong):
    with pytest.raises(vg.InputError):
        PLACES[place](WRONG[wrong])


def test_the_sentence_says_what_was_expected_what_came_and_what_to_do():
    with pytest.raises(vg.InputError) as refused:
        trained(loss=dict)
    sentence = str(refused.value)
    assert "loss_fn must be a function f(model, batch) or f(model, batch, key) that gives a scalar" in sentence
    assert "got the class dict, whose call raised TypeError: dict expected at most 1 argument, got 2" in sentence
    assert sentence.endswith("Give a function of these arguments")


def progress_of(function):
    return vg.sweep({"a": lambda key: jax.random.normal(key)}, 1, progress=function)


@pytest.mark.parametrize("place", ["loss of check_init", "init of check_init", "init of make_train", "lanes", "rule"])
@pytest.mark.parametrize("error", [TypeError, ValueError, KeyError, ZeroDivisionError])
def test_an_exception_in_the_users_own_lines_stays(place, error):
    def own(*arguments):
        raise error("mine")

    with pytest.raises(error, match="mine") as raised:
        PLACES[place](own)
    assert not isinstance(raised.value, vg.InputError)
    assert "own" in [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]


def test_an_exception_of_a_library_in_the_users_own_lines_stays():
    def own(params, batch):
        return float(jnp.sum(params))

    with pytest.raises(jax.errors.ConcretizationTypeError):
        vg.locate_nonfinite(own, jnp.ones(3), BATCH)


def test_functions_of_libraries_are_told_by_their_name():
    with pytest.raises(vg.InputError, match="got the function det, whose call raised"):
        called("loss_fn", "a function f(params, batch)", np.linalg.det, 1, 2)


def test_a_failure_of_the_machine_is_no_fault_of_the_function():
    with pytest.raises(MemoryError):
        called("loss_fn", "a function f(params, batch)", bytes, 10**18)


def test_progress_of_a_wrong_form_is_refused():
    with pytest.raises(vg.InputError, match=r"progress must be True, False, or a function f.done, total.; got"):
        progress_of(len)


@pytest.mark.parametrize("given", [None, Model()])
def test_an_evaluation_that_gives_no_numbers_is_refused(given):
    with pytest.raises(vg.InputError, match="evaluate must give a number"):
        trained(evaluate=lambda model, rows: given)


def test_an_update_that_returns_no_pair_is_refused():
    with pytest.raises(vg.InputError, match=r"update of optimizer must return \(updates, state\)"):
        trained(optimizer=with_update(lambda gradients, state, params=None: gradients))


@pytest.mark.parametrize("rule", [Model, lambda evidence: None, lambda evidence: [1]])
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(vg.InputError, match="the rule 'mine' must"):
        judged(rule)
    with pytest.raises(vg.InputError, match="the rule 'mine' must be a Rule"):
        found({"mine": rule}, evidence_of(STATS)[0])


def test_values_that_vmap_shows_are_seen_by_a_function_of_lanes():
    def looks(x, flag):
        return x + 1 if flag else x

    assert vg.lanes(looks, in_axes=(0, None))(jnp.zeros(2), jnp.asarray(1.0)).tolist() == [1.0, 1.0]
