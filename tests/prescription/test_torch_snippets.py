"""PyTorch's snippets, executed: the network, its gradient and its first step are those of JAX. Torch must be there."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vgrad_jax as vg
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.mlp import with_learned
from vgrad_jax.nets.params import LearnedLayer
from vgrad_jax.optimizers import make_optimizer
from vgrad_jax.prescription.cabinet import CABINET
from vgrad_jax.prescription.changes import changed
from vgrad_jax.prescription.code import code_for
from vgrad_jax.training.records import batch_loss

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")

WINE = vg.Experiment(
    mlp=vg.MLP(hidden=(6, 6, 1), activation="sigmoid", kernel_init="normal(0.5)", bias_init="normal(0.3)"),
    data=vg.Data("wine"),
    optimizer=vg.Optimizer("sgd", learning_rate=0.05),
    training=vg.Training(loss="softmax_cross_entropy", epochs=4, batch_size=32),
)
MOONS = vg.Experiment(
    mlp=vg.MLP(hidden=(6, 6), activation="tanh", kernel_init="he_normal", bias_init="uniform(-1, 1)", residual=0.5),
    data=vg.Data("moons", samples=64),
    optimizer=vg.Optimizer("adamw", learning_rate=0.05, weight_decay=0.1),
    training=vg.Training(epochs=4, batch_size=32),
)
NUMBERS = vg.Experiment(
    mlp=vg.MLP(hidden=(6, 6), activation="leaky_relu(0.3)", kernel_init="pytorch", bias_init="pytorch", norm="batch"),
    data=vg.Data("diabetes"),
    optimizer=vg.Optimizer("rmsprop", learning_rate=0.05, momentum=0.5, nesterov=True),
    training=vg.Training(loss="squared_error", epochs=4, batch_size=32),
)
BASES = {"wine": WINE, "moons": MOONS, "numbers": NUMBERS}


def cases():
    """Every remedy on the bases that take it; only one of them is quick."""
    bases = itertools.cycle(BASES)
    for remedy in CABINET:
        slow = ()
        for base in itertools.islice(bases, len(BASES)):
            patient = BASES[base]
            for hidden in (patient.mlp.hidden, patient.mlp.hidden[:2]):
                try:
                    after = remedy.change(changed(patient, {"mlp.hidden": hidden}))
                except vg.InputError:
                    continue
                yield pytest.param(after, id=f"{base}, {remedy.name}", marks=slow)
                slow = pytest.mark.slow
                break
        next(bases)


def test_every_remedy_has_a_case():
    assert {case.id.partition(", ")[2] for case in cases()} == {remedy.name for remedy in CABINET}


def params_of(names, mlp):
    """Copies of the parameters of the snippet's network, as JAX's."""
    model, params = names["model"], []
    for index, layer in enumerate(model.layers):
        kernel, bias = (np.array(part.detach().numpy()).T for part in (layer.weight, layer.bias))
        own = with_learned(mlp, index, vg.Layer(kernel, bias))
        if isinstance(own, LearnedLayer):
            learned = {"slope": getattr(model, "slopes", None), "factor": getattr(model, "factors", None)}
            own = own._replace(
                **{
                    name: jnp.asarray(theirs[index].item())
                    for name, theirs in learned.items()
                    if theirs is not None and theirs[index] is not None
                }
            )
        params.append(own)
    return tuple(params)


@pytest.fixture(scope="module", autouse=True)
def _double():
    """Both libraries count in 64 bits, so that a difference is no rounding."""
    torch.set_default_dtype(torch.float64)
    with jax.enable_x64(True):
        yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("experiment", list(cases()))
def test_network_gradient_and_first_steps_are_those_of_jax(experiment):
    torch.manual_seed(0)
    names = {"__name__": "snippet"}
    exec(compile(code_for(experiment, "torch"), "torch", "exec"), names)
    dataset = vg.load_data(experiment.data)
    size = min(32, experiment.training.batch_size)
    x = np.asarray(dataset.train_x[:size], np.float64)
    y = np.asarray(dataset.train_y[:size])
    y = y.astype(np.float64) if y.dtype.kind == "f" else y.astype(np.int64)
    if experiment.mlp.data_init is not None:
        names["fit_to_data"](names["model"], torch.tensor(x))
    params = params_of(names, experiment.mlp)

    def loss_of(params):
        return batch_loss(params, (x, y), mlp=experiment.mlp, loss=LOSSES[experiment.training.loss])

    steps = experiment.training.epochs * -(-len(dataset.train_x) // experiment.training.batch_size)
    optimizer = make_optimizer(experiment.optimizer, steps=steps)
    state = optimizer.init(params)
    with jax.disable_jit(), jax.numpy_rank_promotion("allow"):
        logits = jax.vmap(vg.apply_mlp, (None, 0, None), axis_name="batch")(params, jnp.asarray(x), experiment.mlp)
        np.testing.assert_allclose(names["model"](torch.tensor(x)).detach().numpy(), logits, atol=1e-10)
        # After a step the parameters differ by 1e-8: optax counts the rate of an exponential schedule in 32 bits.
        for tolerance in (1e-10, 1e-7):
            value, gradient = jax.value_and_grad(loss_of)(params)
            loss = names["step"](torch.tensor(x), torch.tensor(y))
            np.testing.assert_allclose(loss.item(), value, rtol=1e-6)
            if experiment.optimizer.clip_norm is None:
                for layer, own in zip(names["model"].layers, gradient, strict=True):
                    np.testing.assert_allclose(layer.weight.grad.numpy().T, own.kernel, atol=tolerance)
                    np.testing.assert_allclose(layer.bias.grad.numpy(), own.bias, atol=tolerance)
            updates, state = optimizer.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            theirs = jax.tree.leaves(params_of(names, experiment.mlp))
            for leaf, own in zip(theirs, jax.tree.leaves(params), strict=True):
                np.testing.assert_allclose(leaf, own, atol=1e-5)
