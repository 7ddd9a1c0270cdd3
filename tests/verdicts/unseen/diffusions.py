"""Denoising diffusion in the plane, and regressions that predict their own spread."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, forward, layers, shuffled, sick


def noised(x, t, noise):
    """Mix points and noise: the angle of time says how much of each."""
    return jnp.cos(t) * x + jnp.sin(t) * noise


def clock(x, t):
    """Put smooth functions of time beside the points."""
    return jnp.concatenate([x, jnp.cos(t), jnp.sin(t), jnp.cos(3 * t), jnp.sin(3 * t)], -1)


def raw_clock(x, t):
    """Put the time in microseconds beside the points."""
    return jnp.concatenate([x, t * 1e6], -1)


def diffusion():
    """Predict the noise, or the velocity, of four spots on a circle at any time."""
    rng = np.random.default_rng(50)
    angle = rng.integers(0, 4, 1500) * np.pi / 2
    spots = 1.4 * np.stack([np.cos(angle), np.sin(angle)], -1) + 0.05 * rng.normal(size=(1500, 2))
    times = rng.uniform(0.02, 1.5, (1500, 1))
    judge = tuple(jnp.asarray(a, jnp.float32) for a in (spots, times, rng.normal(size=spots.shape)))

    def draw(key, x):
        first, second = jax.random.split(key)
        return jax.random.uniform(first, (len(x), 1), minval=0.02, maxval=1.5), jax.random.normal(second, x.shape)

    def by_noise(features):
        def loss(p, x, key):
            t, noise = draw(key, x)
            return jnp.mean((forward(p, features(noised(x, t, noise), t), jax.nn.silu) - noise) ** 2)

        return loss

    def by_another_noise(p, x, key):
        t, noise = draw(key, x)
        wanted = jax.random.normal(jax.random.fold_in(key, 7), x.shape)
        return jnp.mean((forward(p, clock(noised(x, t, noise), t), jax.nn.silu) - wanted) ** 2)

    def by_velocity(p, x, key):
        t, noise = draw(key, x)
        wanted = jnp.cos(t) * noise - jnp.sin(t) * x
        return jnp.mean((forward(p, clock(noised(x, t, noise), t), jax.nn.silu) - wanted) ** 2)

    def noise_score(features):
        def score(p, data):
            x, t, noise = data
            return 1 - jnp.mean((forward(p, features(noised(x, t, noise), t), jax.nn.silu) - noise) ** 2)

        return score

    def velocity_score(p, data):
        x, t, noise = data
        found = forward(p, clock(noised(x, t, noise), t), jax.nn.silu)
        return 1 - jnp.mean((found - jnp.cos(t) * noise + jnp.sin(t) * x) ** 2)

    base = Case(
        "diffusion_noise",
        "diffusion",
        "fresh",
        lambda key: layers(key, (6, 64, 64, 2)),
        by_noise(clock),
        jnp.asarray(spots),
        optax.adam(3e-3),
        noise_score(clock),
        bound=0.5,
        steps=500,
        batch_size=64,
        keyed=True,
        judge=judge,
    )
    velocity = base._replace(
        name="diffusion_velocity_cosine",
        loss=by_velocity,
        score=velocity_score,
        bound=0.18,
        optimizer=optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 5e-3, 50, 500)),
    )
    return [
        base,
        velocity,
        sick(base, "diffusion_another_noise", "chance_level ill_posed unclear", loss=by_another_noise),
        sick(
            base,
            "diffusion_time_in_microseconds",
            "ill_scaled learning_rate_large dead",
            init=lambda key: layers(key, (3, 64, 64, 2)),
            loss=by_noise(raw_clock),
            score=noise_score(raw_clock),
        ),
        sick(
            velocity,
            "diffusion_cosine_over_six_steps",
            "learning_rate_small too_few_steps",
            optimizer=optax.adamw(optax.cosine_decay_schedule(5e-3, 6)),
        ),
    ]


def spread():
    """Predict a mean and a variance where the noise depends on the input."""
    rng = np.random.default_rng(51)
    x = rng.uniform(-2, 2, (1200, 2))
    mean = np.sin(2 * x[:, 0]) + 0.5 * x[:, 1]
    y = mean + (0.05 + 0.3 * (x[:, 0] > 0)) * rng.normal(size=1200)
    data = shuffled((x, (y - y.mean()) / y.std()))
    thousands = (data[0], 3000 + 2000 * data[1])

    def init(key):
        return layers(key, (2, 32, 32, 2))

    def parts(p, x):
        out = forward(p, x, jnp.tanh)
        return out[:, 0], out[:, 1]

    def gaussian(p, batch):
        mean, log = parts(p, batch[0])
        return 0.5 * jnp.mean(log + (batch[1] - mean) ** 2 * jnp.exp(-log))

    def weighted(p, batch):
        mean, log = parts(p, batch[0])
        weight = jax.lax.stop_gradient(jnp.exp(0.5 * log))
        return 0.5 * jnp.mean(weight * (log + (batch[1] - mean) ** 2 * jnp.exp(-log)))

    def wrong_sign(p, batch):
        mean, log = parts(p, batch[0])
        return 0.5 * jnp.mean(-log + (batch[1] - mean) ** 2 * jnp.exp(-log))

    def rectified(p, batch):
        mean, out = parts(p, batch[0])
        variance = jax.nn.relu(out)
        return 0.5 * jnp.mean(jnp.log(variance) + (batch[1] - mean) ** 2 / variance)

    def gain(p, data):
        return 0.5 * (jnp.log(jnp.var(data[1])) + 1) - gaussian(p, data)

    def rectified_gain(p, data):
        return 0.5 * (jnp.log(jnp.var(data[1])) + 1) - rectified(p, data)

    base = Case(
        "spread_gaussian",
        "spread",
        "fresh",
        init,
        gaussian,
        data,
        optax.chain(optax.clip_by_global_norm(5.0), optax.adam(5e-3)),
        gain,
        bound=0.8,
        steps=500,
    )
    beta = base._replace(
        name="spread_beta_weighted",
        loss=weighted,
        optimizer=optax.chain(optax.adaptive_grad_clip(0.1), optax.adam(0.01)),
    )
    return [
        base,
        beta,
        sick(base, "spread_sign_of_log", "ill_posed exploding non_finite learning_rate_large", loss=wrong_sign),
        sick(base, "spread_rectified_variance", "non_finite", loss=rectified, score=rectified_gain),
        sick(
            beta,
            "spread_target_in_thousands",
            "ill_scaled learning_rate_small too_few_steps",
            loss=gaussian,
            data=thousands,
        ),
    ]


def cases():
    """Return the cases of this module."""
    return diffusion() + spread()
