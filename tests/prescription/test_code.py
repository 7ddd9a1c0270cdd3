"""Code to copy: every snippet is run, and its network computes what `apply_mlp` computes with the same parameters."""

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.prescription.code import code_for
from vgrad_jax.prescription.spelling import LIBRARIES, activation_in

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
    ],
    ids=lambda value: value if isinstance(value, str) else "full" if value is FULL else "plain",
)
@pytest.mark.filterwarnings("default")
def test_a_snippet_computes_the_network(framework, experiment):
    if framework == "torch":
        pytest.importorskip("torch")
    data = vg.load_data(experiment.data)
    names = run(experiment, framework)
    logits, layers = logits_and_layers(names, framework, data.train_x)
    params = tuple(vg.Layer(jax.numpy.asarray(kernel), jax.numpy.asarray(bias)) for kernel, bias in layers)
    expected = jax.vmap(vg.apply_mlp, (None, 0, None))(params, data.train_x, experiment.mlp)
    np.testing.assert_allclose(np.asarray(logits), expected, atol=2e-5)
    shapes = [layer.kernel.shape for layer in vg.init_mlp(jax.random.key(0), experiment.mlp, 2, logits.shape[1])]
    assert [layer.kernel.shape for layer in params] == shapes


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
