"""Small programs as their users write them: each for one example, with the arguments of many.

A workload's outcome is a number that says what came of it, such as the share of trainings that converged. Programs
that do the same work have the same outcome, up to rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

Keys = jax.Array


@dataclass(frozen=True)
class Workload:
    """A function of one example, and many examples."""

    function: Callable[..., Any]
    arguments: Callable[[int], tuple[Any, ...]]
    """From the number of examples to the arguments, whose first axis is that of the examples."""
    outcome: Callable[[Any], jax.Array]
    """From the results to a few numbers."""
    examples: int
    tolerance: float = 0.02
    """Largest difference of the outcomes: rounding decides some examples."""


def keys(examples: int) -> tuple[Keys]:
    return (jax.random.split(jax.random.key(0), examples),)


def lorenz(steps: int) -> Workload:
    """Integrate the Lorenz system by Runge and Kutta's method."""

    def derivative(state):
        x, y, z = state
        return jnp.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    def trajectory(start):
        def step(state, _):
            h = 0.005
            k1 = derivative(state)
            k2 = derivative(state + h / 2 * k1)
            k3 = derivative(state + h / 2 * k2)
            k4 = derivative(state + h * k3)
            return state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

        return lax.scan(step, start, None, length=steps)[0]

    def starts(examples):
        return (jax.random.normal(jax.random.key(0), (examples, 3)),)

    return Workload(trajectory, starts, lambda states: jnp.mean(states[:, 2] > 24), 1024, 0.1)


def training(steps: int) -> Workload:
    """Train an MLP by Adam, with random minibatches of a data set that all examples share."""
    x = jax.random.uniform(jax.random.key(1), (256, 2), minval=-1)
    y = (x[:, 0] * x[:, 1] > 0).astype(jnp.float32)

    def apply(params, x):
        for layer in params[:-1]:
            x = jnp.tanh(x @ layer["w"] + layer["b"])
        return (x @ params[-1]["w"] + params[-1]["b"])[..., 0]

    def loss(params, x, y):
        return optax.sigmoid_binary_cross_entropy(apply(params, x), y).mean()

    def train(key):
        widths = (2, 16, 16, 1)
        key, *layer_keys = jax.random.split(key, len(widths))
        params = [
            {"w": jax.random.normal(k, (m, n)) / jnp.sqrt(m), "b": jnp.zeros(n)}
            for k, m, n in zip(layer_keys, widths, widths[1:], strict=False)
        ]
        optimizer = optax.adam(1e-2)

        def step(carry, key):
            params, state = carry
            rows = jax.random.randint(key, (32,), 0, len(x))
            value, gradient = jax.value_and_grad(loss)(params, x[rows], y[rows])
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, updates), state), value

        (params, _), losses = lax.scan(step, (params, optimizer.init(params)), jax.random.split(key, steps))
        return losses, jnp.mean((apply(params, x) > 0) == (y > 0.5))

    return Workload(train, keys, lambda results: jnp.mean(results[1]), 256)


def boundary(steps: int) -> Workload:
    """Train a network of one hidden layer by full batches at two learning rates: does it converge?"""
    data, init = jax.random.split(jax.random.key(2))
    x = jax.random.normal(data, (16, 16))
    y = jax.random.normal(jax.random.key(3), (16,))
    first, second = (jax.random.normal(k, (16, 16)) for k in jax.random.split(init))

    def train(rates):
        def loss(params):
            hidden = jnp.tanh(x @ params[0] / 4)
            return jnp.mean(((hidden @ params[1] / 4).sum(1) - y) ** 2)

        def step(params, _):
            value, gradient = jax.value_and_grad(loss)(params)
            return (params[0] - rates[0] * gradient[0], params[1] - rates[1] * gradient[1]), value

        return lax.scan(step, (first, second), None, length=steps)[1]

    def grid(examples):
        side = round(examples**0.5)
        rates = 10 ** jnp.linspace(-1, 3, side)
        return (jnp.stack(jnp.meshgrid(rates, rates), -1).reshape(-1, 2),)

    return Workload(train, grid, lambda losses: jnp.mean(losses[:, -10:].mean(1) < 1), 1024)


def bandit(steps: int) -> Workload:
    """Play a bandit of ten arms by the upper confidence bound."""

    def play(key):
        means_key, key = jax.random.split(key)
        means = jax.random.normal(means_key, (10,))

        def step(carry, inputs):
            counts, sums = carry
            t, key = inputs
            bound = sums / jnp.maximum(counts, 1) + jnp.sqrt(2 * jnp.log(t + 1.0) / jnp.maximum(counts, 1e-3))
            arm = jnp.argmax(bound)
            reward = means[arm] + jax.random.normal(key)
            return (counts.at[arm].add(1), sums.at[arm].add(reward)), means.max() - means[arm]

        start = (jnp.zeros(10), jnp.zeros(10))
        return lax.scan(step, start, (jnp.arange(steps), jax.random.split(key, steps)))[1].sum()

    return Workload(play, keys, lambda regret: jnp.mean(regret) / steps, 1024)


def newton(rows: int) -> Workload:
    """Fit a logistic regression by Newton's method until its step is small."""
    x = jnp.concatenate([jnp.ones((rows, 1)), jax.random.normal(jax.random.key(4), (rows, 5))], 1)
    truth = jnp.array([-0.5, 1.0, -1.0, 0.5, 0.0, 2.0])

    def fit(key):
        y = jax.random.bernoulli(key, jax.nn.sigmoid(x @ truth)).astype(jnp.float32)

        def condition(state):
            _, change, count = state
            return (change > 1e-4) & (count < 25)

        def step(state):
            weights, _, count = state
            p = jax.nn.sigmoid(x @ weights)
            gradient = x.T @ (p - y) + 1e-2 * weights
            hessian = (x.T * (p * (1 - p))) @ x + 1e-2 * jnp.eye(6)
            change = jnp.linalg.solve(hessian, gradient)
            return weights - change, jnp.abs(change).max(), count + 1

        return lax.while_loop(condition, step, (jnp.zeros(6), jnp.float32(jnp.inf), 0))

    return Workload(fit, keys, lambda results: jnp.mean(results[0], 0), 1024)


def recurrent(steps: int) -> Workload:
    """Train a recurrent network through time to add two marked numbers."""

    def loss(params, x, y):
        def step(hidden, row):
            hidden = jnp.tanh(row @ params["in"] + hidden @ params["recurrent"] + params["b"])
            return hidden, None

        hidden, _ = lax.scan(step, jnp.zeros((8, 12)), x)
        return jnp.mean((hidden @ params["out"] - y) ** 2)

    def train(key):
        a, b, c, key = jax.random.split(key, 4)
        params = {
            "in": jax.random.normal(a, (2, 12)) * 0.5,
            "recurrent": jax.random.normal(b, (12, 12)) * 0.3,
            "b": jnp.zeros(12),
            "out": jax.random.normal(c, (12,)) * 0.3,
        }

        def step(params, key):
            values_key, marks_key = jax.random.split(key)
            values = jax.random.uniform(values_key, (15, 8))
            marks = jax.random.bernoulli(marks_key, 0.2, (15, 8)).astype(jnp.float32)
            value, gradient = jax.value_and_grad(loss)(params, jnp.stack([values, marks], -1), (values * marks).sum(0))
            return jax.tree.map(lambda p, g: p - 0.02 * g, params, gradient), value

        return lax.scan(step, params, jax.random.split(key, steps))[1]

    return Workload(train, keys, lambda losses: jnp.mean(losses[:, -20:]), 256)


def hamiltonian(steps: int) -> Workload:
    """Sample a correlated Gaussian by Hamiltonian Monte Carlo."""
    precision = jnp.eye(8) + 0.3 * jnp.ones((8, 8))

    def energy(q):
        return 0.5 * q @ precision @ q

    def sample(key):
        def step(q, key):
            momentum_key, accept_key = jax.random.split(key)
            p = jax.random.normal(momentum_key, (8,))

            def leap(_, state):
                q, p = state
                p = p - 0.05 * jax.grad(energy)(q)
                q = q + 0.1 * p
                return q, p - 0.05 * jax.grad(energy)(q)

            new_q, new_p = lax.fori_loop(0, 10, leap, (q, p))
            change = energy(q) + 0.5 * p @ p - energy(new_q) - 0.5 * new_p @ new_p
            accepted = jnp.log(jax.random.uniform(accept_key)) < change
            q = jnp.where(accepted, new_q, q)
            return q, q

        return lax.scan(step, jnp.zeros(8), jax.random.split(key, steps))[1]

    return Workload(sample, keys, lambda draws: jnp.var(draws, (0, 1)), 256)


def physics_informed(steps: int) -> Workload:
    """Solve u'' = -u on an interval by a network whose loss holds derivatives by `jvp`."""
    x = jnp.linspace(0, 3.0, 24)

    def u(params, x):
        hidden = jnp.tanh(x * params["a"] + params["b"])
        return hidden @ params["c"]

    def loss(params):
        def slope(x):
            return jax.jvp(lambda x: u(params, x), (x,), (1.0,))[1]

        def residual(x):
            return jax.jvp(slope, (x,), (1.0,))[1] + u(params, x)

        inside = jnp.mean(jax.vmap(residual)(x) ** 2)
        return inside + u(params, 0.0) ** 2 + (slope(0.0) - 1) ** 2

    def train(key):
        a, b, c = jax.random.split(key, 3)
        params = {
            "a": jax.random.normal(a, (16,)),
            "b": jax.random.normal(b, (16,)),
            "c": jax.random.normal(c, (16,)) / 4,
        }
        optimizer = optax.adam(5e-3)

        def step(carry, _):
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, updates), state), value

        return lax.scan(step, (params, optimizer.init(params)), None, length=steps)[1]

    return Workload(train, keys, lambda losses: jnp.log10(jnp.median(losses[:, -10:])), 256, 0.1)


def convolution(steps: int) -> Workload:
    """Train a small convolutional network to tell which way a stripe goes."""

    def apply(params, images):
        numbers = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(images, params["conv"], (1, 1), "SAME", dimension_numbers=numbers)
        x = jax.nn.relu(x + params["b"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return x.reshape(len(x), -1) @ params["out"]

    def train(key):
        a, b, key = jax.random.split(key, 3)
        params = {
            "conv": jax.random.normal(a, (3, 3, 1, 4)) / 3,
            "b": jnp.zeros(4),
            "out": jax.random.normal(b, (64, 2)) / 8,
        }

        def step(params, key):
            noise_key, label_key, place_key = jax.random.split(key, 3)
            labels = jax.random.bernoulli(label_key, 0.5, (8,))
            places = jax.random.randint(place_key, (8, 1, 1), 0, 8)
            grid = jnp.arange(8)
            down, across = grid[:, None] == places, grid[None, :] == places
            images = jnp.where(labels[:, None, None], down, across) + jax.random.normal(noise_key, (8, 8, 8))

            def loss(params):
                logits = apply(params, images[..., None])
                return optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(int)).mean()

            value, gradient = jax.value_and_grad(loss)(params)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value

        return lax.scan(step, params, jax.random.split(key, steps))[1]

    return Workload(train, keys, lambda losses: jnp.mean(losses[:, -10:]), 128)


def attention(steps: int) -> Workload:
    """Train one attention layer on sequences of 8 tokens: is the first token seen again?"""

    def apply(params, tokens):
        x = params["embed"][tokens] + params["position"]
        q, k, v = (x @ params[name] for name in ("q", "k", "v"))
        q, k, v = (a.reshape(*a.shape[:-1], 2, 8).swapaxes(-2, -3) for a in (q, k, v))
        weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) / jnp.sqrt(8.0))
        mixed = (weights @ v).swapaxes(-2, -3).reshape(x.shape)
        return (jax.nn.gelu(x + mixed @ params["o"]).mean(-2) @ params["out"])[..., 0]

    def train(key):
        names = {
            "q": (16, 16),
            "k": (16, 16),
            "v": (16, 16),
            "o": (16, 16),
            "out": (16, 1),
            "embed": (6, 16),
            "position": (8, 16),
        }
        key, *some = jax.random.split(key, len(names) + 1)
        params = {n: jax.random.normal(k, shape) / 4 for k, (n, shape) in zip(some, names.items(), strict=True)}
        optimizer = optax.adam(3e-3)

        def step(carry, key):
            params, state = carry
            tokens = jax.random.randint(key, (8, 8), 0, 6)
            labels = (tokens[:, 1:] == tokens[:, :1]).any(1).astype(jnp.float32)

            def loss(params):
                return optax.sigmoid_binary_cross_entropy(apply(params, tokens), labels).mean()

            value, gradient = jax.value_and_grad(loss)(params)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, updates), state), value

        return lax.scan(step, (params, optimizer.init(params)), jax.random.split(key, steps))[1]

    return Workload(train, keys, lambda losses: jnp.mean(losses[:, -10:]), 128)


def bootstrap(rows: int) -> Workload:
    """Fit a decaying exponential to bootstrapped points by Levenberg and Marquardt's method."""
    t = jnp.linspace(0, 4, rows)
    y = 2 * jnp.exp(-1.3 * t) + 0.5 + 0.05 * jax.random.normal(jax.random.key(5), (rows,))

    def fit(key):
        chosen = jax.random.randint(key, (rows,), 0, rows)
        t_chosen, y_chosen = t[chosen], y[chosen]

        def residuals(p):
            return p[0] * jnp.exp(-p[1] * t_chosen) + p[2] - y_chosen

        def condition(state):
            _, damping, change, count = state
            return (change > 1e-5) & (count < 50) & (damping < 1e8)

        def step(state):
            p, damping, change, count = state
            r, jacobian = residuals(p), jax.jacfwd(residuals)(p)
            normal = jacobian.T @ jacobian
            move = jnp.linalg.solve(normal + damping * jnp.diag(jnp.diag(normal)), jacobian.T @ r)
            better = jnp.sum(residuals(p - move) ** 2) < jnp.sum(r**2)
            damping = jnp.where(better, damping / 3, damping * 2)
            change = jnp.where(better, jnp.abs(move).max(), change)
            return jnp.where(better, p - move, p), damping, change, count + 1

        start = (jnp.array([1.0, 1.0, 0.0]), jnp.float32(1e-2), jnp.float32(1.0), 0)
        return lax.while_loop(condition, step, start)[0]

    return Workload(fit, keys, lambda p: jnp.mean(p, 0), 1024)


def cartpole(generations: int) -> Workload:
    """Balance a pole by a policy that evolution strategies train."""

    def simulate(policy, key):
        def step(carry, _):
            state, alive = carry
            x, v, angle, spin = state
            force = 10 * jnp.sign(jnp.tanh(state @ policy[:4] + policy[4]))
            c, s = jnp.cos(angle), jnp.sin(angle)
            push = (force + 0.05 * spin**2 * s) / 1.1
            turn = (9.8 * s - c * push) / (0.5 * (4 / 3 - 0.1 * c**2 / 1.1))
            speed_up = push - 0.05 * turn * c / 1.1
            state = jnp.array([x + 0.02 * v, v + 0.02 * speed_up, angle + 0.02 * spin, spin + 0.02 * turn])
            alive = alive & (jnp.abs(state[0]) < 2.4) & (jnp.abs(state[2]) < 0.21)
            return (state, alive), alive

        start = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
        return lax.scan(step, (start, True), None, length=100)[1].sum()

    def evolve(key):
        def generation(policy, key):
            noise_key, start_key = jax.random.split(key)
            noise = jax.random.normal(noise_key, (8, 5))
            scores = jax.vmap(lambda e: simulate(policy + 0.5 * e, start_key))(noise).astype(jnp.float32)
            advantage = (scores - scores.mean()) / (scores.std() + 1e-6)
            return policy + 0.2 * advantage @ noise, scores.mean()

        return lax.scan(generation, jnp.zeros(5), jax.random.split(key, generations))[1]

    return Workload(evolve, keys, lambda scores: jnp.mean(scores[:, -5:]) / 100, 256)


WORKLOADS = {
    "Lorenz, Runge-Kutta": (lorenz, 2000, 20),
    "MLP, Adam, random minibatches": (training, 300, 3),
    "boundary of trainability": (boundary, 300, 3),
    "bandit": (bandit, 1000, 10),
    "logistic regression, Newton": (newton, 64, 16),
    "RNN through time": (recurrent, 100, 2),
    "Hamiltonian Monte Carlo": (hamiltonian, 200, 3),
    "PINN": (physics_informed, 300, 3),
    "convolution": (convolution, 100, 2),
    "attention, 8 tokens": (attention, 100, 2),
    "Levenberg-Marquardt": (bootstrap, 32, 16),
    "CartPole, evolution strategies": (cartpole, 20, 2),
}
"""Name to the workload, the size that is timed, and the size of the tests."""
