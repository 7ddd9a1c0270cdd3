"""Every valid description round-trips; every invalid one is refused with what was expected and what came."""

import dataclasses
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vgrad_jax as vg
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.activations import ACTIVATIONS
from vgrad_jax.nets.initializers import INITIALIZERS

# Beartype checks a random item of each tuple; the assertions do not depend on its choice.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

finite = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.floats(1e-6, 1e3)


def module_level_activation(x):
    return x


def spaced(name, numbers):
    return st.sampled_from([f"{name}({', '.join(map(repr, numbers))})", f" {name}( {' ,'.join(map(repr, numbers))} )"])


activations = st.one_of(
    st.sampled_from(sorted(ACTIVATIONS)),
    positive.flatmap(lambda slope: spaced("leaky_relu", (slope,))),
    st.just(module_level_activation),
    st.just(jax.nn.relu),
)
biases = st.one_of(
    st.just("zeros"),
    finite.flatmap(lambda value: spaced("constant", (value,))),
    positive.flatmap(lambda deviation: spaced("normal", (deviation,))),
    st.tuples(finite, positive).flatmap(lambda pair: spaced("uniform", (pair[0], pair[0] + pair[1]))),
)
kernels = st.one_of(biases, st.sampled_from(sorted(name for name, (least, _) in INITIALIZERS.items() if least == 0)))


@st.composite
def mlps(draw):
    hidden = draw(st.lists(st.integers(1, 512), max_size=6))
    one_each = st.lists(activations, min_size=len(hidden), max_size=len(hidden))
    kernel_init, output_init = draw(kernels), draw(st.none() | kernels)
    return vg.MLP(
        hidden=draw(st.sampled_from([tuple(hidden), hidden])),
        activation=draw(st.one_of(activations, one_each)),
        kernel_init=kernel_init,
        bias_init="zeros" if "rai" in (kernel_init, output_init) else draw(biases),
        output_init=output_init,
        norm=draw(st.sampled_from([None, "layer", "batch"])),
        residual=draw(st.none() | finite),
    )


@st.composite
def optimizers(draw):
    name = draw(st.sampled_from(["sgd", "rmsprop", "adam", "adamw"]))
    with_momentum = name in ("sgd", "rmsprop")
    return vg.Optimizer(
        name,
        learning_rate=draw(positive),
        momentum=draw(st.floats(0, 0.999)) if with_momentum else 0.0,
        nesterov=draw(st.booleans()) if with_momentum else False,
        weight_decay=draw(positive) if name == "adamw" else 0.0,
        clip_norm=draw(st.none() | positive),
    )


@st.composite
def experiments(draw):
    samples = draw(st.integers(4, 2000))
    data = vg.Data(
        draw(st.sampled_from(["circles", "moons"])),
        samples=samples,
        noise=draw(st.none() | st.floats(0, 2)),
        random_state=draw(st.integers(0, 10**6)),
        train_samples=draw(st.none() | st.integers(1, samples - 1)),
    )
    every, epochs = draw(st.integers(1, 50)), draw(st.integers(1, 300))
    recorded = vg.Recording(every=every).epochs(epochs)
    some = st.sets(st.sampled_from(recorded), max_size=4).map(sorted).map(tuple)
    return vg.Experiment(
        mlp=draw(mlps()),
        data=data,
        optimizer=draw(optimizers()),
        training=vg.Training(
            epochs=epochs,
            batch_size=draw(st.integers(1, data.train_samples)),
            loss=draw(st.sampled_from(sorted(LOSSES))),
            threshold=draw(st.floats(0.01, 1)),
        ),
        recording=vg.Recording(every=every, parameters_at=draw(some), gradients_at=draw(some)),
    )


@given(mlps())
def test_every_network_round_trips(mlp):
    again = vg.MLP.from_json(mlp.to_json())
    assert again == mlp
    assert hash(again) == hash(mlp)


@given(experiments())
def test_every_experiment_round_trips(experiment):
    assert vg.Experiment.from_json(experiment.to_json()) == experiment


not_a_width = st.one_of(st.integers(max_value=0), st.booleans(), st.floats(), st.text(), st.none())
not_a_name = st.text(min_size=1).filter(
    lambda text: text.partition("(")[0].strip() not in {*ACTIVATIONS, *INITIALIZERS}
)
neither = st.integers() | st.none()
wrong_number = st.lists(activations, max_size=9).filter(lambda each: len(each) != 5)

INVALID = {
    "a width": (st.builds(lambda w: {"hidden": [5, w]}, not_a_width), "whole number, 1 or larger; got"),
    "the widths": (st.builds(lambda w: {"hidden": w}, neither | st.text()), "must be a tuple of widths"),
    "a name": (st.builds(lambda n: {"activation": n}, not_a_name), "unknown activation"),
    "an activation": (st.builds(lambda n: {"activation": n}, neither), "must be a name, such as 'tanh'"),
    "activations": (
        st.builds(lambda n: {"activation": n}, wrong_number),
        "needs an activation for each",
    ),
    "a kernel": (st.builds(lambda n: {"kernel_init": n}, not_a_name), "unknown kernel_init"),
    "an initialiser": (st.builds(lambda n: {"kernel_init": n}, neither), "must be a name, such as 'he_uniform'"),
    "a bias": (st.builds(lambda n: {"bias_init": n}, st.sampled_from(["he_uniform", "orthogonal"])), "Valid: constant"),
    "a norm": (st.builds(lambda n: {"norm": n}, st.text() | st.integers()), "unknown norm"),
    "residual": (
        st.builds(lambda r: {"residual": r}, st.sampled_from([float("nan"), float("inf"), "1", True])),
        "residual must be a finite number; got",
    ),
}


@pytest.mark.parametrize("mistake", INVALID)
@given(st.data())
def test_every_invalid_network_is_refused_with_what_came(mistake, data):
    fields, expected = INVALID[mistake]
    drawn = data.draw(fields)
    with pytest.raises(vg.InputError) as refusal:
        vg.MLP(**drawn)
    assert expected in str(refusal.value)
    ((_, value),) = drawn.items()
    came = value[-1] if mistake == "a width" else len(value) if mistake == "activations" else value
    # For a call the message shows the name, without the blanks around it.
    shown = came.partition("(")[0].strip() if isinstance(came, str) and mistake in ("a name", "a kernel") else came
    assert repr(shown) in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (vg.MLP, {"activation": "tanhh"}, "did you mean 'tanh'"),
        (vg.MLP, {"activation": "leaky_relu(1, 2)"}, "takes 0 to 1 finite numbers"),
        (vg.MLP, {"kernel_init": "uniform"}, "takes 2 finite numbers"),
        (vg.MLP, {"kernel_init": "uniform(1, 0)"}, "low < high"),
        (vg.MLP, {"kernel_init": "normal(-1)"}, "positive"),
        (vg.MLP, {"kernel_init": "uniform(0, 1"}, "takes 2 finite numbers"),
        (vg.MLP, {"kernel_init": "uniform(0, nan)"}, "finite"),
        *(
            (vg.MLP, {name: "rai", "bias_init": "normal(1)"}, r"must stay 'zeros'; got 'normal\(1.0\)': leave it out")
            for name in ("kernel_init", "output_init", "branch_init")
        ),
        (vg.Training, {"epochs": 0}, "epochs must be a whole number, 1 or larger; got 0"),
        (vg.Training, {"batch_size": 2.5}, "got 2.5"),
        (vg.Training, {"loss": "mse"}, "unknown loss 'mse'"),
        (vg.Training, {"threshold": 1.2}, "1 at the most"),
        (vg.Optimizer, {"name": "adm"}, "did you mean 'adam'"),
        (vg.Optimizer, {"learning_rate": 0}, "above 0"),
        (vg.Optimizer, {"name": "adam", "momentum": 0.9}, "for sgd and rmsprop"),
        (vg.Optimizer, {"momentum": 1.0}, "below 1"),
        (vg.Optimizer, {"weight_decay": 0.1}, "for adamw"),
        (vg.Data, {"source": "circle"}, "did you mean 'circles'"),
        (vg.Data, {"samples": 10, "train_samples": 10}, "leave rows to test on"),
        (vg.Data, {"source": "digits", "noise": 0.1}, "for made data"),
        (vg.Data, {"source": "moons", "path": "x.csv"}, "goes with the source 'file'"),
        (vg.Data, {"source": "file"}, "goes with the source 'file'"),
        (vg.Recording, {"every": 0}, "got 0"),
        (vg.Recording, {"parameters_at": (5, 5)}, "increasing order"),
        (vg.Experiment, {"recording": vg.Recording(every=7, gradients_at=(8,))}, "not recorded"),
        (vg.Experiment, {"training": vg.Training(batch_size=501)}, "there are 500"),
        (vg.Experiment, {"mlp": "tanh"}, "must be a MLP"),
    ],
)
def test_refusals_teach(kind, fields, message):
    with pytest.raises(vg.InputError, match=message):
        kind(**fields)


def test_json_that_is_no_description_is_refused():
    with pytest.raises(vg.InputError, match="not JSON"):
        vg.MLP.from_json("{")
    with pytest.raises(vg.InputError, match="did you mean 'hidden'"):
        vg.MLP.from_json('{"hiden": [5]}')


@pytest.mark.parametrize(
    "path",
    [
        "sys:exit",
        "os:system",
        "builtins:exec",
        "jax:jit",
        "jax._src.core:sys.exit",
        "jax.nn:jnp.sin",
        "jax._src.config:os.system",
        "jax.nn:__loader__",
        "jax.numpy:linalg.norm",
        "os_not_loaded:system",
        "numpy:tanh",
        "tests.made:made_results",
        "",
        ":",
        3,
        ["sys:exit"],
        None,
    ],
)
@pytest.mark.parametrize("field", ["activation", "kernel_init"])
def test_a_file_names_no_function_but_those_of_jax(path, field):
    with pytest.raises(vg.InputError, match=r"names the function .* not one of JAX's and was not handed over"):
        vg.MLP.from_json(json.dumps({field: {"function": path}}))


def test_reading_a_file_runs_nothing(monkeypatch):
    called = []
    monkeypatch.setattr(sys, "exit", lambda *arguments: called.append(arguments))
    with pytest.raises(vg.InputError):
        vg.Experiment.from_json('{"mlp": {"activation": {"function": "sys:exit"}}}')
    assert not called


@pytest.mark.parametrize("function", [jax.nn.relu, jax.nn.standardize, jax.numpy.sin, jax.scipy.special.erf])
def test_functions_of_jax_are_written_down_and_read_back(function):
    mlp = vg.MLP(activation=function)
    assert vg.MLP.from_json(mlp.to_json()) == mlp


def own_activation(x):
    return x * x


def test_the_callers_function_is_read_back_where_it_was_handed_over():
    """Read a description in a fresh process, since a function that was handed over stays known to its process."""
    script = """
        import json, vgrad_jax as vg, tests.test_descriptions as module
        text = json.dumps({"activation": {"function": "tests.test_descriptions:own_activation"}})
        try:
            vg.MLP.from_json(text)
        except vg.InputError as error:
            print(error)
        assert vg.MLP.from_json(text, functions=[module.own_activation]).activation is module.own_activation
        assert vg.MLP.from_json(text).activation is module.own_activation
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr
    assert "was not handed over" in done.stdout
    mlp = vg.MLP(activation=own_activation)
    assert vg.MLP.from_json(mlp.to_json()) == mlp


def test_a_function_without_a_name_works_but_is_not_written_down():
    mlp = vg.MLP(activation=lambda x: x)
    assert vg.init_mlp(jax.random.key(0), mlp, 2)
    with pytest.raises(vg.InputError, match="cannot be found again by a name"):
        mlp.to_json()


def test_descriptions_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        vg.MLP().hidden = (1,)
