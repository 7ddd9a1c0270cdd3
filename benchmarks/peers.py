"""Train the article's network with other tools, as their users write it; all start from the library's weights."""

import importlib.util
import itertools
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import vgrad_jax as vg
from vgrad_jax.keys import run_keys
from vgrad_jax.nets.mlp import Layer, Params
from vgrad_jax.training.run import initial_params


class Task(NamedTuple):
    """Task for every tool: train these seeds of a tanh network with one logit, by SGD with momentum."""

    experiment: vg.Experiment
    seeds: int
    study_seed: int
    initial: Params
    """Initial weights of the library, with a leading seed axis."""

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Training rows and classes."""
        dataset = vg.load_data(self.experiment.data)
        return dataset.train_x.astype(np.float32), dataset.train_y.astype(np.float32)

    def of_seed(self, seed: int) -> list[np.ndarray]:
        """Return one seed's kernels and biases in turn, input side first."""
        return [leaf[seed] for layer in self.initial for leaf in layer]

    def permutations(self, seed: int) -> Any:
        """Yield an order of the rows for each epoch."""
        generator = np.random.default_rng((self.study_seed, seed))
        for _ in range(self.experiment.training.epochs):
            yield generator.permutation(len(self.data[0]))


def make_task(experiment: vg.Experiment, seeds: int, study_seed: int) -> Task:
    """Draw the seeds of a study, with the weights that the library starts them from."""
    dataset = vg.load_data(experiment.data)
    params = jax.vmap(partial(initial_params, experiment, dataset=dataset))(run_keys(study_seed, jnp.arange(seeds)))
    return Task(experiment, seeds, study_seed, jax.tree.map(np.asarray, params))


def _stacked(weights: list[list[np.ndarray]]) -> Params:
    leaves = [np.stack(leaf) for leaf in zip(*weights, strict=True)]
    return tuple(Layer(kernel, bias) for kernel, bias in zip(leaves[::2], leaves[1::2], strict=True))


def keras_fit(task: Task) -> Params:
    """Train with Keras 3 on its JAX backend: one compiled model, whose weights are set for every seed."""
    model = _keras_model(task.experiment)
    x, y = task.data
    weights = []
    for seed in range(task.seeds):
        model.set_weights(task.of_seed(seed))
        for variable in model.optimizer.variables:
            if "momentum" in variable.path:
                variable.assign(np.zeros(variable.shape, np.float32))
        training = task.experiment.training
        model.fit(x, y, batch_size=training.batch_size, epochs=training.epochs, verbose=0)
        weights.append(model.get_weights())
    return _stacked(weights)


_keras_models: dict[vg.Experiment, Any] = {}


def _keras_model(experiment: vg.Experiment) -> Any:
    import keras

    if experiment not in _keras_models:
        layers = [keras.layers.Dense(width, activation="tanh") for width in experiment.mlp.hidden]
        model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
        optimizer = keras.optimizers.SGD(experiment.optimizer.learning_rate, momentum=experiment.optimizer.momentum)
        model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
        _keras_models[experiment] = model
    return _keras_models[experiment]


def torch_loop(task: Task) -> Params:
    """Train with PyTorch: a Python loop over batches."""
    import torch

    mlp, size = task.experiment.mlp, task.experiment.training.batch_size
    x, y = (torch.from_numpy(array) for array in task.data)
    widths = (2, *mlp.hidden)
    weights = []
    for seed in range(task.seeds):
        layers: list[Any] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.Tanh()]
        model = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 1))
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), task.of_seed(seed), strict=True):
                parameter.copy_(torch.from_numpy(np.array(value.T)))
        optimizer = torch.optim.SGD(
            model.parameters(), task.experiment.optimizer.learning_rate, momentum=task.experiment.optimizer.momentum
        )
        for order in task.permutations(seed):
            rows, classes = x[order], y[order]
            for start in range(0, len(rows), size):
                optimizer.zero_grad()
                logits = model(rows[start : start + size])[:, 0]
                torch.nn.functional.binary_cross_entropy_with_logits(logits, classes[start : start + size]).backward()
                optimizer.step()
        weights.append([parameter.detach().numpy().T for parameter in model.parameters()])
    return _stacked(weights)


def torch_vmap(task: Task) -> Params:
    """Train with `torch.func`: all seeds at once, in a Python loop over batches."""
    import torch

    size, settings = task.experiment.training.batch_size, task.experiment.optimizer
    x, y = (torch.from_numpy(array) for array in task.data)
    params = [torch.from_numpy(np.array(leaf)) for layer in task.initial for leaf in layer]

    def loss(params: list[Any], rows: Any, classes: Any) -> Any:
        for kernel, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
            rows = torch.tanh(rows @ kernel + bias)
        logits = (rows @ params[-2] + params[-1])[:, 0]
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, classes)

    gradients = torch.func.vmap(torch.func.grad(loss))
    momenta = [torch.zeros_like(leaf) for leaf in params]
    for orders in zip(*(task.permutations(seed) for seed in range(task.seeds)), strict=True):
        order = torch.from_numpy(np.stack(orders))
        rows, classes = x[order], y[order]
        for start in range(0, rows.shape[1], size):
            gradient = gradients(params, rows[:, start : start + size], classes[:, start : start + size])
            momenta = [settings.momentum * m + g for m, g in zip(momenta, gradient, strict=True)]
            params = [p - settings.learning_rate * m for p, m in zip(params, momenta, strict=True)]
    leaves = [leaf.numpy() for leaf in params]
    return tuple(Layer(kernel, bias) for kernel, bias in zip(leaves[::2], leaves[1::2], strict=True))


def scikit_learn(task: Task) -> Params:
    """Train with `MLPClassifier`, one `partial_fit` an epoch."""
    from sklearn.neural_network import MLPClassifier

    x, y = task.data
    weights = []
    for seed in range(task.seeds):
        settings = task.experiment.optimizer
        model = MLPClassifier(
            task.experiment.mlp.hidden,
            activation="tanh",
            solver="sgd",
            alpha=0.0,
            batch_size=task.experiment.training.batch_size,
            learning_rate_init=settings.learning_rate,
            momentum=settings.momentum,
            nesterovs_momentum=False,
            random_state=seed,
        )
        size = task.experiment.training.batch_size
        model.partial_fit(x[:size], y[:size], classes=[0, 1])  # Creates the weights, which are then replaced.
        leaves = task.of_seed(seed)
        model.coefs_, model.intercepts_ = ([np.array(leaf) for leaf in part] for part in (leaves[::2], leaves[1::2]))
        del model._optimizer  # Drops the momentum of the replaced weights.
        for _ in range(task.experiment.training.epochs):
            model.partial_fit(x, y)
        weights.append([leaf for pair in zip(model.coefs_, model.intercepts_, strict=True) for leaf in pair])
    return _stacked(weights)


def flax_loop(task: Task) -> Params:
    """Train with flax and optax: a Python loop over a jitted step."""
    optimizer, step = _flax_step(task.experiment)
    x, y = (jnp.asarray(array) for array in task.data)
    size = task.experiment.training.batch_size
    weights = []
    for seed in range(task.seeds):
        leaves = task.of_seed(seed)
        pairs = zip(leaves[::2], leaves[1::2], strict=True)
        params = {"params": {f"Dense_{i}": {"kernel": k, "bias": b} for i, (k, b) in enumerate(pairs)}}
        state = optimizer.init(params)
        for order in task.permutations(seed):
            rows, classes = x[order], y[order]
            for start in range(0, len(rows), size):
                params, state = step(params, state, rows[start : start + size], classes[start : start + size])
        layers = [params["params"][f"Dense_{i}"] for i in range(len(leaves) // 2)]
        weights.append([np.asarray(layer[name]) for layer in layers for name in ("kernel", "bias")])
    return _stacked(weights)


_flax_steps: dict[vg.Experiment, Any] = {}


def _flax_step(experiment: vg.Experiment) -> Any:
    from flax import linen

    if experiment not in _flax_steps:

        class Network(linen.Module):
            @linen.compact
            def __call__(self, x):
                for width in experiment.mlp.hidden:
                    x = linen.tanh(linen.Dense(width)(x))
                return linen.Dense(1)(x)

        network = Network()
        optimizer = optax.sgd(experiment.optimizer.learning_rate, experiment.optimizer.momentum)

        @jax.jit
        def step(params, state, rows, classes):
            def loss(params):
                return optax.sigmoid_binary_cross_entropy(network.apply(params, rows)[:, 0], classes).mean()

            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            return optax.apply_updates(params, updates), state

        _flax_steps[experiment] = optimizer, step
    return _flax_steps[experiment]


def jax_by_hand(task: Task) -> Params:
    """Train with JAX alone, as its users write it: `jit(vmap(scan))`, `jax.random.permutation` and optax."""
    return recorded_by_hand(task, complete=False)[0]


def recorded_by_hand(task: Task, *, complete: bool) -> tuple[Params, list[np.ndarray]]:
    """Train as `jax_by_hand` does; return the parameters, and the records of every epoch with a leading seed axis.

    Args:
        task: the seeds to train.
        complete: True records all numbers of the complete study: training accuracy and loss, test loss and accuracy,
            each layer's gradient and update ratio. False records the training accuracy alone.
    """
    params = tuple(tuple(map(jnp.asarray, layer)) for layer in task.initial)
    keys = jax.random.split(jax.random.key(task.study_seed + 1), task.seeds)
    with jax.numpy_rank_promotion("allow"):
        params, records = jax.device_get(_jax_program(task.experiment, complete)(params, keys))
    return tuple(Layer(*layer) for layer in params), records


@lru_cache(maxsize=8)
def _jax_program(experiment: vg.Experiment, complete: bool) -> Callable[..., Any]:
    dataset, size = vg.load_data(experiment.data), experiment.training.batch_size
    train, test = (
        (jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
        for x, y in ((dataset.train_x, dataset.train_y), (dataset.test_x, dataset.test_y))
    )
    optimizer = optax.sgd(experiment.optimizer.learning_rate, experiment.optimizer.momentum)
    rows = len(train[0])
    scanned = rows - rows % size

    def logits(params, x):
        for kernel, bias in params[:-1]:
            x = jnp.tanh(x @ kernel + bias)
        return (x @ params[-1][0] + params[-1][1])[:, 0]

    def loss(params, x, y):
        return optax.sigmoid_binary_cross_entropy(logits(params, x), y).mean()

    def accuracy(params, x, y):
        return jnp.mean((logits(params, x) > 0) == (y > 0))

    def step(state, batch):
        params, momenta, _ = state
        updates, momenta = optimizer.update(jax.grad(loss)(params, *batch), momenta, params)
        return (optax.apply_updates(params, updates), momenta, updates), None

    def log_rms(layers):
        flat = [jnp.concatenate([leaf.ravel() for leaf in layer]) for layer in layers]
        return jnp.stack([jnp.log10(jnp.sqrt(jnp.mean(layer**2))) for layer in flat])

    def epoch(state, key):
        order = jax.random.permutation(key, rows)
        x, y = train[0][order], train[1][order]
        state, _ = jax.lax.scan(step, state, (x[:scanned].reshape(-1, size, x.shape[1]), y[:scanned].reshape(-1, size)))
        if rows > scanned:
            state, _ = step(state, (x[scanned:], y[scanned:]))
        params, _, updates = state
        record = [accuracy(params, *train)]
        if complete:
            train_loss, gradient = jax.value_and_grad(loss)(params, *train)
            record += [train_loss, loss(params, *test), accuracy(params, *test)]
            record += [log_rms(gradient), log_rms(updates) - log_rms(params)]
        return state, record

    def run(params, key):
        state = (params, optimizer.init(params), params)
        (params, *_), records = jax.lax.scan(epoch, state, jax.random.split(key, experiment.training.epochs))
        return params, records

    return jax.jit(jax.vmap(run))


PEERS: dict[str, tuple[str, Callable[[Task], Params]]] = {
    "JAX by hand, jit(vmap(scan))": ("jax", jax_by_hand),
    "Keras 3 (JAX) fit": ("keras", keras_fit),
    "PyTorch loop": ("torch", torch_loop),
    "torch.func.vmap": ("torch", torch_vmap),
    "scikit-learn MLPClassifier": ("sklearn", scikit_learn),
    "flax + optax loop": ("flax", flax_loop),
}
"""Tools by displayed name: the package that each needs, and its function."""


def available() -> dict[str, Callable[[Task], Params]]:
    """Return the tools whose packages are installed."""
    return {name: train for name, (package, train) in PEERS.items() if importlib.util.find_spec(package)}
