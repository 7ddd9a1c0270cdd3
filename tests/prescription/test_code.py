"""Code to copy: every snippet is run, and its network computes what `apply_mlp` computes with the same parameters."""

import dataclasses
import math

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.nets.data_dependent import fitted_to_data
from vgrad_jax.nets.laws import kernel_law
from vgrad_jax.nets.mlp import with_learned
from vgrad_jax.prescription.changes import changed
from vgrad_jax.prescription.code import code_for
from vgrad_jax.prescription.rates import torch_schedule
from vgrad_jax.prescription.spelling import LIBRARIES, activation_in
from vgrad_jax.schedules import schedule_of

FULL = vg.Experiment(
    mlp=vg.MLP(hidden=(4, 4, 3), activation="gelu", kernel_init="he_normal", norm="layer", residual=0.5),
    data=vg.Data("moons", samples=16),
    optimizer=vg.Optimizer("adam", learning_rate=0.01, clip_norm=1.0),
    training=vg.Training(epochs=2, batch_size=8, loss="softmax_cross_entropy"),
)
PLAIN = vg.Experiment(
    mlp=vg.MLP(
        hidden=(4, 3),
        activation=("leaky_relu(0.2)", "tanh"),
        kernel_init="orthogonal(1.4)",
        bias_init="normal(0.1)",
        output_init="uniform(0, 1)",
    ),
    data=vg.Data("moons", samples=16),
    training=vg.Training(epochs=2, batch_size=8),
)


SCHEDULED = vg.Experiment(
    mlp=vg.MLP(hidden=(3,), kernel_init="lecun_normal", output_init="zeros"),
    data=vg.Data("moons", samples=16),
    optimizer=vg.Optimizer("sgd", learning_rate=0.5, schedule="cosine(0.1)", warmup=0.25),
    training=vg.Training(epochs=4, batch_size=4),
)


LEARNED = vg.Experiment(
    mlp=vg.MLP(
        hidden=(4, 4, 3),
        activation=("prelu", "sine(2)", "prelu(0.1)"),
        bias_init="normal(0.1)",
        residual=0.5,
        learned_residual=True,
    ),
    data=vg.Data("moons", samples=16),
    training=vg.Training(epochs=2, batch_size=8),
)


@pytest.fixture(autouse=True)
def _rank_promotion():
    """Users' programs broadcast, as JAX lets them."""
    with jax.numpy_rank_promotion("allow"):
        yield


def run(experiment, framework):
    names = {"__name__": "snippet"}
    exec(compile(code_for(experiment, framework), framework, "exec"), names)
    return names


def logits_and_layers(names, framework, x):
    """Logits of the snippet's network, and its layers as `vg.Layer`s."""
    if framework == "jax":
        params = names["params"]
        return names["model"](params, x), [(layer["kernel"], layer["bias"]) for layer in params]
    model = names["model"]
    if framework == "torch":
        import torch

        layers = [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in model.layers]
        return model(torch.tensor(np.asarray(x))).detach().numpy(), layers
    if framework == "keras":
        return np.asarray(model(x)), [(np.asarray(layer.kernel), np.asarray(layer.bias)) for layer in model.dense]
    if framework == "nnx":
        return model(x), [(layer.kernel[...], layer.bias[...]) for layer in model.layers]
    return model(x), [(layer.weight.T, layer.bias) for layer in model.layers]


@pytest.mark.parametrize(
    ("framework", "experiment"),
    [
        *((framework, FULL) for framework in ("jax", "nnx", "equinox", "keras", "torch")),
        *((framework, PLAIN) for framework in ("jax", "keras", "torch")),
        *((framework, LEARNED) for framework in ("jax", "nnx", "equinox", "keras", "torch")),
    ],
    ids=lambda value: value if isinstance(value, str) else {FULL: "full", PLAIN: "plain", LEARNED: "learned"}[value],
)
@pytest.mark.filterwarnings("default")
def test_a_snippet_computes_the_network(framework, experiment):
    if framework == "torch":
        pytest.importorskip("torch")
    data = vg.load_data(experiment.data)
    names = run(experiment, framework)
    logits, layers = logits_and_layers(names, framework, data.train_x)
    params = tuple(
        with_learned(experiment.mlp, index, vg.Layer(jax.numpy.asarray(kernel), jax.numpy.asarray(bias)))
        for index, (kernel, bias) in enumerate(layers)
    )
    expected = jax.vmap(vg.apply_mlp, (None, 0, None))(params, data.train_x, experiment.mlp)
    np.testing.assert_allclose(np.asarray(logits), expected, atol=2e-5)
    shapes = [layer.kernel.shape for layer in vg.init_mlp(jax.random.key(0), experiment.mlp, 2, logits.shape[1])]
    assert [layer.kernel.shape for layer in params] == shapes


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", ["sine(30.123456)", "celu(0.123456789)"])
def test_a_number_of_an_activation_keeps_its_digits(library, name):
    described = vg.MLP((4,), name).activations()[0]
    assert name.partition("(")[2].rstrip(")") in activation_in(library, described)


@pytest.mark.parametrize("warmup", [0.0, 0.25])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "cosine(0.1)", "exponential(0.01)"])
def test_the_share_of_the_learning_rate_in_pytorch_is_that_of_the_schedule(schedule, warmup):
    """PyTorch multiplies by it; the function is plain Python, so that it is tested without PyTorch too."""
    text = torch_schedule(vg.Optimizer(schedule=schedule, warmup=warmup), 8)
    if not text:
        assert (schedule, warmup) == ("constant", 0.0)
        return
    share = eval(text.partition("(optimizer, ")[2].removesuffix(")"), {"math": math})
    expected = schedule_of(schedule, 1.0, 8, round(8 * warmup))
    np.testing.assert_allclose(
        [share(step) for step in range(8)], [float(expected(step)) for step in range(8)], atol=1e-6
    )


@pytest.mark.parametrize("experiment", ["SCHEDULED", "FITTED"])
def test_code_for_pytorch_is_python(experiment):
    compile(code_for(globals()[experiment], "torch"), "torch", "exec")


FITTED = vg.Experiment(
    mlp=vg.MLP(
        hidden=(4, 4, 3),
        kernel_init="orthogonal",
        bias_init="normal(0.1)",
        output_init="zeros",
        residual=0.5,
        data_init="lsuv",
    ),
    data=vg.Data("moons", samples=16),
    training=vg.Training(epochs=2, batch_size=8),
)


@pytest.mark.parametrize("framework", ["jax", "nnx", "equinox", "keras", "torch"])
@pytest.mark.filterwarnings("default")
def test_a_snippet_fits_its_kernels_to_data(framework):
    x = np.asarray(vg.load_data(FITTED.data).train_x)
    given = pytest.importorskip("torch").tensor(x) if framework == "torch" else x
    names = run(FITTED, framework)
    drawn = [tuple(map(np.array, layer)) for layer in logits_and_layers(names, framework, x)[1]]
    assert "fit_to_data" in code_for(FITTED, framework).partition("# 2 epochs")[2] or framework == "keras"
    fitted = names["fit_to_data"](*([names["params"]] if framework == "jax" else [names["model"]]), given)
    if framework == "equinox":
        names["model"] = fitted
    layers = logits_and_layers(names, framework, x)[1]
    expected = fitted_to_data(
        tuple(vg.Layer(*map(jax.numpy.asarray, layer)) for layer in drawn), jax.numpy.asarray(x), FITTED.mlp
    )
    for (kernel, bias), own in zip(layers, expected, strict=True):
        np.testing.assert_allclose(np.asarray(kernel), own.kernel, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(np.asarray(bias), own.bias)


@pytest.mark.filterwarnings("default")
def test_a_snippets_step_lowers_its_loss():
    data = vg.load_data(FULL.data)
    names = run(FULL, "jax")
    params, state, first = names["step"](names["params"], names["state"], data.train_x, data.train_y)
    for _ in range(20):
        params, state, last = names["step"](params, state, data.train_x, data.train_y)
    assert last < first


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("experiment", [FULL, PLAIN], ids=["full", "plain"])
def test_a_step_of_pytorch_lowers_its_loss(experiment):
    torch = pytest.importorskip("torch")
    data = vg.load_data(experiment.data)
    torch.manual_seed(0)
    names = run(experiment, "torch")
    x, y = torch.tensor(np.asarray(data.train_x)), torch.tensor(np.asarray(data.train_y), dtype=torch.int64)
    losses = [names["step"](x, y).item() for _ in range(30)]
    assert losses[-1] < losses[0]


def of_jax(names):
    state, rates = names["optimizer"].init(jax.numpy.zeros(())), []
    for _ in range(9):
        update, state = names["optimizer"].update(jax.numpy.ones(()), state)
        rates.append(-float(update))
    return rates


def of_keras(names):
    rate = names["model"].optimizer._learning_rate
    return [float(rate(step)) for step in range(9)]


def of_torch(names):
    rates = []
    for _ in range(9):
        rates.append(names["optimizer"].param_groups[0]["lr"])
        names["optimizer"].step()
        names["schedule"].step()
    return rates


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("schedule", "warmup"),
    [("cosine(0.1)", 0.25), ("cosine", 0.0), ("constant", 0.5), ("exponential(0.01)", 0.0), ("exponential(0.01)", 0.5)],
)
@pytest.mark.parametrize("framework", ["jax", "keras", "torch"])
def test_a_snippets_learning_rates_are_those_of_the_schedule(framework, schedule, warmup):
    if framework == "torch":
        pytest.importorskip("torch")
    experiment = changed(SCHEDULED, {"optimizer.schedule": schedule, "optimizer.warmup": warmup})
    if framework == "keras" and schedule.startswith("exp") and warmup:
        with pytest.raises(vg.InputError, match="keras has no exponential schedule with a warm-up"):
            code_for(experiment, framework)
        return
    rates = {"jax": of_jax, "keras": of_keras, "torch": of_torch}[framework](run(experiment, framework))
    expected = schedule_of(schedule, 0.5, 8, round(8 * warmup))  # Eight rows in batches of four, four epochs.
    np.testing.assert_allclose(rates, [float(expected(step)) for step in range(9)], atol=1e-6)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("framework", ["nnx", "equinox"])
def test_a_snippet_with_a_schedule_runs(framework):
    data, names = vg.load_data(SCHEDULED.data), run(SCHEDULED, framework)
    before = names["model"](data.train_x)
    np.testing.assert_array_equal(before, 0.0)  # The output layer starts at zero.
    for _ in range(3):
        if framework == "nnx":
            names["step"](names["model"], names["optimizer"], data.train_x, data.train_y)
        else:
            names["model"], names["state"], _ = names["step"](
                names["model"], names["state"], data.train_x, data.train_y
            )
    assert np.abs(names["model"](data.train_x)).max() > 0


def test_a_function_has_no_name_elsewhere():
    experiment = vg.Experiment(mlp=vg.MLP(hidden=(3,), activation=jax.numpy.sin))
    with pytest.raises(vg.InputError, match="is a function"):
        code_for(experiment, "torch")
    with pytest.raises(vg.InputError, match="unknown framework 'flax'"):
        code_for(experiment, "flax")


def test_an_activation_of_our_own_has_no_name_elsewhere():
    for library in LIBRARIES:
        with pytest.raises(vg.InputError, match=rf"the activation 'bent' has no name in {library}; write it"):
            activation_in(library, "bent")


ASYMMETRIC = vg.Experiment(
    mlp=vg.MLP(hidden=(4000, 3), activation="relu", kernel_init="rai", output_init="he_normal"),
    data=vg.Data("moons", samples=16),
    training=vg.Training(batch_size=8),
)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("framework", ["jax", "nnx", "equinox", "keras", "torch"])
def test_a_snippet_draws_kernel_and_bias_together(framework):
    """Moments of weights and bias against the closed form, and products of two: one of two numbers is symmetric."""
    if framework == "torch":
        pytest.importorskip("torch").manual_seed(0)
    elif framework == "keras":
        pytest.importorskip("keras").utils.set_random_seed(0)
    x = np.asarray(vg.load_data(ASYMMETRIC.data).train_x)
    logits, layers = logits_and_layers(run(ASYMMETRIC, framework), framework, x)
    params = tuple(vg.Layer(*map(jax.numpy.asarray, layer)) for layer in layers)
    expected = jax.vmap(vg.apply_mlp, (None, 0, None))(params, x, ASYMMETRIC.mlp)
    np.testing.assert_allclose(np.asarray(logits), expected, atol=2e-5)
    rows = np.concatenate([params[0].kernel, params[0].bias[None]]).astype(np.float64)
    law = kernel_law("rai", 2, 4000)
    # The others sum to a normal of variance 0.6007^2, the replaced number has mean 2/3 and variance 1/18.
    moments = [(rows.sum(axis=0), 2 / 3), ((rows.sum(axis=0) - 2 / 3) ** 2, 0.6007**2 + 1 / 18)]
    moments += [pair for row in rows for pair in ((row, law.mean), (row**2, law.variance + law.mean**2))]
    moments += [(rows[first] * rows[second], 0.0) for first, second in ((0, 1), (0, 2), (1, 2))]
    for values, mean in moments:
        assert abs(values.mean() - mean) <= 4.5 * values.std() / len(values) ** 0.5
    assert [bool(np.any(layer.bias)) for layer in params] == [True, True, False]


@pytest.mark.filterwarnings("default")
def test_layers_of_keras_draw_different_kernels():
    """An initialiser of Keras draws the same numbers again."""
    names = run(dataclasses.replace(PLAIN, mlp=vg.MLP(hidden=(4, 4, 4), kernel_init="fan_in_normal(2)")), "keras")
    first, second = (np.asarray(layer.kernel) for layer in names["model"].dense[1:3])
    assert not np.any(first == second)


@pytest.mark.parametrize(("branch_init", "listed"), [(None, "range(4)"), ("zeros", "(0, 2, 3)")])
def test_a_snippet_names_the_layers_that_it_makes_asymmetric(branch_init, listed):
    mlp = vg.MLP(hidden=(4, 4, 3), activation="relu", kernel_init="rai", branch_init=branch_init, residual=1.0)
    code = code_for(dataclasses.replace(PLAIN, mlp=mlp), "jax")
    assert f"for index in {listed}:" in code


def numbers_of(names, framework):
    """The learned numbers of the snippet's network: slopes, then factors."""
    if framework == "jax":
        layers = names["params"][:-1]
        return [float(layer[name]) for name in ("slope", "factor") for layer in layers if layer[name] is not None]
    model = names["model"]
    own = [number for number in (*model.slopes, *model.factors) if number is not None]
    if framework == "torch":
        return [number.item() for number in own]
    return [float(number[...] if framework == "nnx" else number) for number in own]


def number_of_parameters(names, framework):
    """How many numbers the snippet's optimiser changes, as the framework counts them."""
    if framework == "torch":
        return sum(parameter.numel() for parameter in names["model"].parameters())
    if framework == "keras":
        return sum(np.size(weight) for weight in names["model"].trainable_variables)
    if framework == "nnx":
        from flax import nnx

        return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(names["model"], nnx.Param)))
    if framework == "equinox":
        import equinox as eqx

        return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(names["model"], eqx.is_array)))
    return sum(leaf.size for leaf in jax.tree.leaves(names["params"]))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("framework", ["jax", "nnx", "equinox", "keras", "torch"])
def test_a_snippets_step_learns_slopes_and_factors(framework):
    """A layer that learns no such number has none: the second has no slope, the first and the third are no branches."""
    torch = pytest.importorskip("torch") if framework == "torch" else None
    data, names = vg.load_data(LEARNED.data), run(LEARNED, framework)
    x, y = np.asarray(data.train_x), np.asarray(data.train_y)
    before = numbers_of(names, framework)
    assert before == pytest.approx([0.25, 0.1, 0.5])
    ours = vg.init_mlp(jax.random.key(0), LEARNED.mlp, x.shape[1])
    assert number_of_parameters(names, framework) == sum(leaf.size for leaf in jax.tree.leaves(ours))
    if framework == "torch":
        names["step"](torch.tensor(x), torch.tensor(y))
    elif framework == "keras":
        names["model"].fit(x, y, verbose=0)
    elif framework == "nnx":
        names["step"](names["model"], names["optimizer"], x, y)
    else:
        name = "params" if framework == "jax" else "model"
        names[name], names["state"], _ = names["step"](names[name], names["state"], x, y)
    assert all(after != number for after, number in zip(numbers_of(names, framework), before, strict=True))
