"""Densities and energies, policies and values, and arithmetic in few bits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, forward, layers, r2, shuffled, sick, standardise
from sklearn import datasets


def densities():
    """Fit densities by likelihood, by noise contrast, and by a denoising score."""
    rng = np.random.default_rng(12)
    moons = shuffled((standardise(datasets.make_moons(1000, noise=0.08, random_state=2)[0]),))
    x = rng.uniform(-1, 1, 900)
    branch = rng.integers(0, 2, 900) * 2 - 1
    forked = shuffled((x[:, None], branch * (1 + x) / 2 + 0.05 * rng.normal(size=900)))

    def mixture(p, x):
        weight, mean, log_scale = jnp.split(forward(p, x, jnp.tanh), 3, -1)
        return jax.nn.log_softmax(weight), mean, log_scale

    def density(p, batch):
        log_weight, mean, log_scale = mixture(p, batch[0])
        z = (batch[1][:, None] - mean) * jnp.exp(-log_scale)
        return jax.nn.logsumexp(log_weight - 0.5 * z**2 - log_scale - 0.919, axis=1)

    def unnormalised(p, batch):
        _, mean, log_scale = mixture(p, batch[0])
        z = (batch[1][:, None] - mean) * jnp.exp(-log_scale)
        return -jnp.mean(jnp.log(jnp.sum(jnp.exp(forward(p, batch[0], jnp.tanh)[:, :4] - 0.5 * z**2), 1)))

    base = Case(
        "densities_mixture",
        "densities",
        "open",
        lambda key: layers(key, (1, 32, 12), 1.0),
        lambda p, batch: -density(p, batch).mean(),
        forked,
        optax.adam(5e-3),
        lambda p, data: density(p, data).mean(),
        bound=0.1,
        floor=-1.0,
    )

    def couple(p, x):
        total = jnp.zeros(x.shape[0])
        for part in p:
            shift, log_scale = jnp.split(forward(part, x[:, :1], jnp.tanh), 2, -1)
            log_scale = jnp.tanh(log_scale) * 2.0
            x = jnp.concatenate([(x[:, 1:] - shift) * jnp.exp(-log_scale), x[:, :1]], 1)
            total = total - log_scale[:, 0]
        return -0.5 * jnp.sum(x**2, 1) - 1.838 + total

    flow = base._replace(
        name="densities_flow",
        init=lambda key: [layers(k, (1, 24, 2), 1.0) for k in jax.random.split(key, 6)],
        loss=lambda p, batch: -couple(p, batch[0]).mean(),
        data=moons,
        score=lambda p, data: couple(p, data[0]).mean(),
        optimizer=optax.chain(optax.clip_by_global_norm(5.0), optax.adam(5e-3)),
        bound=-2.4,
        floor=-2.84,
        steps=350,
    )

    def energy(p, x):
        return forward(p["net"], x, jax.nn.silu)[:, 0] + p["log_z"]

    def contrast(p, batch, key):
        noise = 1.5 * jax.random.normal(key, batch[0].shape)
        log_noise = [-0.5 * jnp.sum((v / 1.5) ** 2, 1) - 1.838 - 2 * jnp.log(1.5) for v in (batch[0], noise)]
        real, fake = energy(p, batch[0]) - log_noise[0], energy(p, noise) - log_noise[1]
        return jnp.mean(jax.nn.softplus(-real) + jax.nn.softplus(fake))

    def separated(p, data):
        """Compare the log density at the data with that at points of the plane between the moons."""
        noise = 1.5 * jax.random.normal(jax.random.key(2), data[0].shape)
        return jnp.mean(energy(p, data[0])) - jax.nn.logsumexp(
            energy(p, noise) + 0.5 * jnp.sum((noise / 1.5) ** 2, 1) + 1.838 + 2 * jnp.log(1.5) - jnp.log(len(noise))
        )

    contrastive = base._replace(
        name="densities_noise_contrast",
        init=lambda key: {"net": layers(key, (2, 32, 32, 1), 1.0), "log_z": jnp.zeros(())},
        loss=contrast,
        data=moons,
        keyed=True,
        score=separated,
        optimizer=optax.adam(1e-2),
        bound=-2.5,
        floor=-2.84,
        steps=700,
        batch_size=64,
    )
    return [
        base,
        flow,
        contrastive,
        sick(base, "densities_not_normalised", "ill_posed exploding", loss=unnormalised),
    ]


def control():
    """Learn a policy and values in small worlds."""
    rng = np.random.default_rng(13)
    context = rng.normal(size=(1000, 8))
    best = np.argmax(context @ rng.normal(size=(8, 4)), 1)
    bandit = shuffled((context, best))

    def policy(sign, paid=1.0):
        def loss(p, batch, key):
            logits = forward(p, batch[0], jnp.tanh)
            action = jax.random.categorical(key, logits)
            reward = paid * (action == batch[1])
            chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], 1)[:, 0]
            entropy = -jnp.sum(jax.nn.softmax(logits) * jax.nn.log_softmax(logits), 1)
            return -jnp.mean(sign * chosen * (reward - paid * 0.25) + 0.003 * entropy)

        return loss

    base = Case(
        "control_policy_gradient",
        "control",
        "open",
        lambda key: layers(key, (8, 32, 4), 1.0),
        policy(1.0),
        bandit,
        optax.adam(1e-2),
        accuracy(lambda p, x: forward(p, x, jnp.tanh)),
        bound=0.75,
        floor=0.3,
        steps=500,
        keyed=True,
        batch_size=64,
    )
    states, actions = rng.integers(0, 8, 3000), rng.integers(0, 2, 3000)
    following = np.clip(states + 2 * actions - 1, 0, 7)
    paid = (following == 7).astype(np.float32)
    world = shuffled((states, actions, paid, following))

    def values(p, state):
        return forward(p, jax.nn.one_hot(state, 8))

    def temporal(discount, factor=1.0):
        def loss(p, batch):
            (state, action, reward, after), old = batch
            goal = factor * reward + discount * jnp.max(values(old, after), 1)
            error = jnp.take_along_axis(values(p, state), action[:, None], 1)[:, 0] - jax.lax.stop_gradient(goal)
            return optax.huber_loss(error).mean()

        return loss

    exact = np.zeros(8)
    for _ in range(200):
        exact = np.max(
            [(np.clip(np.arange(8) + d, 0, 7) == 7) + 0.8 * exact[np.clip(np.arange(8) + d, 0, 7)] for d in (-1, 1)], 0
        )
    target = jnp.asarray(exact)

    def close(p, data):
        del data
        return 1 - jnp.mean((values(p, jnp.arange(8)).max(1) - target) ** 2) / jnp.var(target)

    follow = (lambda p: p, lambda old, p: jax.tree.map(lambda a, b: 0.95 * a + 0.05 * b, old, p))
    learner = base._replace(
        name="control_q_learning",
        init=lambda key: layers(key, (8, 24, 2), 1.0),
        loss=temporal(0.8),
        data=world,
        score=close,
        floor=0.0,
        bound=0.5,
        keyed=False,
        memory=follow,
        steps=800,
        every=20,
        optimizer=optax.adam(5e-3),
    )
    return [
        base,
        learner,
        sick(base, "control_never_paid", "chance_level unclear", loss=policy(1.0, 0.0)),
        sick(base, "control_minimises_reward", "ill_posed unclear", loss=policy(-1.0)),
        sick(learner, "control_discount_large", "exploding ill_posed learning_rate_large", loss=temporal(1.5)),
    ]


def precision():
    """Compute in float16 with and without a scaled loss, and keep parameters in bfloat16."""
    rng = np.random.default_rng(15)
    x = rng.normal(size=(900, 10)).astype(np.float32)
    y = np.sin(x[:, 0] * 2) + x[:, 1] * x[:, 2] * 0.5
    data = shuffled((x, standardise(y)))

    def predict(p, x):
        return forward(p, x, jnp.tanh)[:, 0]

    def half(p, batch):
        cast = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), (p, batch))
        error = predict(cast[0], cast[1][0]) - cast[1][1]
        return jnp.mean((error * error).astype(jnp.float32))

    def faint(p, batch):
        cast = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), (p, batch))
        error = predict(cast[0], cast[1][0]) - cast[1][1]
        return 1e-7 * jnp.mean((error * error).astype(jnp.float32))

    def init(key):
        return layers(key, (10, 48, 48, 1), 1.0)

    base = Case(
        "precision_float16_scaled",
        "precision",
        "open",
        init,
        faint,
        data,
        optax.adam(5e-3, eps=1e-14),
        r2(predict),
        bound=0.55,
        steps=500,
        scale=1e8,
    )
    wide = base._replace(name="precision_float16_adam", loss=half, optimizer=optax.adam(5e-3), scale=1.0)

    def stored(kind):
        return lambda key: jax.tree.map(lambda leaf: leaf.astype(kind), init(key))

    def mixed(p, batch):
        return jnp.mean((predict(p, batch[0].astype(jnp.bfloat16)).astype(jnp.float32) - batch[1]) ** 2)

    brain = wide._replace(
        name="precision_bfloat16_stored",
        init=stored(jnp.bfloat16),
        loss=mixed,
        score=r2(lambda p, x: predict(p, x.astype(jnp.bfloat16)).astype(jnp.float32)),
    )
    return [
        base,
        brain,
        sick(base, "precision_float16_underflow", "underflow unclear", scale=1.0),
        sick(
            brain,
            "precision_bfloat16_lost_updates",
            "learning_rate_small underflow too_few_steps",
            optimizer=optax.adam(1e-6),
        ),
    ]


def cases():
    """Return the cases of this module."""
    return densities() + control() + precision()
