"""Signals in time: denoising, chirps, times of events, and alignment of symbols with frames."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import Case, accuracy, affine, crossentropy, forward, layers, shuffled, sick


def dilated(layer, x, gap):
    """Apply a convolution over three steps of time that are `gap` apart, as one matrix product."""
    wide = jnp.pad(x, ((0, 0), (gap, gap), (0, 0)))
    size = x.shape[1]
    parts = [wide[:, start : start + size] for start in (0, gap, 2 * gap)]
    return affine(layer, jnp.concatenate(parts, -1))


def denoising():
    """Clean noisy tones with steps in them by residual dilated convolutions."""
    rng = np.random.default_rng(101)
    time = np.arange(64) / 64
    tones = rng.uniform(0.5, 1.5, (800, 1)) * np.sin(
        2 * np.pi * (rng.uniform(1, 4, (800, 1)) * time + rng.uniform(0, 1, (800, 1)))
    )
    clean = (tones + rng.choice((-1.0, 1.0), (800, 1)) * np.where(time > rng.uniform(0.2, 0.8, (800, 1)), 1.0, -1.0))[
        ..., None
    ]
    noisy, again = (clean + 0.7 * rng.normal(size=clean.shape) for _ in range(2))
    noisy, clean, again = shuffled((noisy, clean, again))
    data, judge = (noisy, clean), (noisy[:200], clean[:200])

    def init(depth, gain=1.0):
        def draw(key):
            first, body, last = jax.random.split(key, 3)
            return {
                "in": layers(first, (3, 16), 1.0),
                "body": [
                    {"a": layers(k, (48, 16))[0], "b": layers(jax.random.fold_in(k, 1), (16, 16), gain)[0]}
                    for k in jax.random.split(body, depth)
                ],
                "out": layers(last, (16, 1), 1.0),
            }

        return draw

    def net(p, x):
        h = dilated(p["in"][0], x, 1)
        for number, block in enumerate(p["body"]):
            h = h + affine(block["b"], jax.nn.relu(dilated(block["a"], h, 2 ** (number % 4))))
        return affine(p["out"][0], h)

    def loss(p, batch):
        return jnp.mean((net(p, batch[0]) - batch[1]) ** 2)

    def score(p, data):
        return 1 - jnp.mean((net(p, data[0]) - data[1]) ** 2) / jnp.var(data[1])

    base = Case(
        "denoising_residual",
        "denoising",
        "blind",
        init(4, 0.5),
        loss,
        data,
        optax.adamw(3e-3, weight_decay=1e-3),
        score,
        bound=0.8,
        steps=250,
        batch_size=16,
        judge=judge,
    )
    return [
        base,
        base._replace(name="denoising_from_noise", data=(noisy, again), optimizer=optax.lamb(1e-2)),
        sick(
            base,
            "denoising_signal_of_next_row",
            "chance_level unclear",
            data=(noisy, jnp.roll(clean, 1, 0)),
        ),
        sick(
            base,
            "denoising_deep_large_branches",
            "exploding",
            init=init(12, 8.0),
        ),
    ]


def chirps():
    """Tell four kinds of sweeps by gated dilated convolutions."""
    rng = np.random.default_rng(102)
    label = rng.integers(0, 4, 1200)
    time = np.arange(48) / 48
    begin = np.where(label % 2 == 0, 3.0, 7.0) + rng.uniform(-0.5, 0.5, 1200)
    slope = np.where(label < 2, 5.0, -2.0) + rng.uniform(-0.5, 0.5, 1200)
    phase = begin[:, None] * time + 0.5 * slope[:, None] * time**2 + rng.uniform(0, 1, (1200, 1))
    sound = np.sin(2 * np.pi * phase) + 0.4 * rng.normal(size=phase.shape)
    data = shuffled((sound[..., None], label))

    def init(bias):
        def draw(key):
            blocks = []
            for number, k in enumerate(jax.random.split(key, 4)):
                a, b, c = jax.random.split(k, 3)
                wide = 3 if number == 0 else 24
                blocks.append(
                    {
                        "value": layers(a, (wide, 8), 1.0)[0],
                        "gate": layers(b, (wide, 8), 1.0, bias)[0],
                        "mix": layers(c, (8, 8), 1.0)[0],
                    }
                )
            return {"blocks": blocks, "out": layers(jax.random.fold_in(key, 7), (8, 4), 1.0)}

        return draw

    def net(p, x):
        total, h = 0.0, x
        for number, block in enumerate(p["blocks"]):
            gap = 2**number
            fired = jnp.tanh(dilated(block["value"], h, gap)) * jax.nn.sigmoid(dilated(block["gate"], h, gap))
            mixed = affine(block["mix"], fired)
            total, h = total + mixed, mixed + (h if number else 0.0)
        return affine(p["out"][0], jax.nn.relu(total).mean(1))

    def loss(p, batch):
        return crossentropy(net(p, batch[0]), batch[1])

    rate = optax.linear_onecycle_schedule(200, 0.03)
    base = Case(
        "chirps_gated",
        "chirps",
        "blind",
        init(0.0),
        loss,
        data,
        optax.chain(optax.clip_by_global_norm(1.0), optax.nadam(rate)),
        accuracy(net),
        bound=0.8,
        floor=0.25,
        steps=200,
        batch_size=16,
    )
    return [
        base,
        sick(base, "chirps_gates_shut", "saturated vanishing chance_level", init=init(-14.0)),
        sick(
            base,
            "chirps_clip_a_millionth",
            "learning_rate_small too_few_steps",
            optimizer=optax.chain(optax.clip_by_global_norm(1e-6), optax.sgd(0.3, momentum=0.9)),
        ),
    ]


def events():
    """Learn how long the next event takes from the gaps before it, by the likelihood of a point process."""
    rng = np.random.default_rng(103)
    gaps, log_mean = np.zeros((1000, 16)), np.zeros((1000, 16))
    before = rng.exponential(size=1000)
    for step in range(16):
        log_mean[:, step] = 1.2 * np.cos(2.5 * np.minimum(before, 3.0))
        before = gaps[:, step] = rng.exponential(np.exp(log_mean[:, step])) + 1e-3
    data = shuffled((gaps, log_mean))
    late = (1e4 * data[0], data[1])

    def init(key):
        a, b, c = jax.random.split(key, 3)
        return {
            "gates": layers(a, (1 + 20, 40), 1.0)[0],
            "new": layers(b, (1 + 20, 20), 1.0)[0],
            "out": layers(c, (20, 20, 1), 1.0),
        }

    def hidden(p, gaps):
        def advance(h, gap):
            joined = jnp.concatenate([gap, h], -1)
            reset, keep = jnp.split(jax.nn.sigmoid(affine(p["gates"], joined)), 2, -1)
            new = jnp.tanh(affine(p["new"], jnp.concatenate([gap, reset * h], -1)))
            h = keep * h + (1 - keep) * new
            return h, h

        start = jnp.zeros((len(gaps), 20))
        states = jax.lax.scan(advance, start, jnp.swapaxes(gaps, 0, 1)[:-1, :, None])[1]
        return jnp.swapaxes(states, 0, 1)

    def recurrent(p, gaps):
        return forward(p["out"], hidden(p, gaps))[..., 0]

    def windowed(p, gaps):
        return forward(p, jnp.log(gaps)[:, :-1, None], jax.nn.silu)[..., 0]

    def likelihood(net, rate):
        def loss(p, batch):
            value = rate(net(p, batch[0]))
            return jnp.mean(value * batch[0][:, 1:] - jnp.log(value))

        return loss

    def score(net, rate, unit=1.0):
        def of(p, data):
            after, truth = data[0][:, 1:], jnp.exp(-data[1][:, 1:]) / unit
            nats = lambda value: jnp.mean(jnp.log(value) - value * after)  # noqa: E731
            constant = nats(1 / jnp.mean(after))
            return (nats(rate(net(p, data[0]))) - constant) / (nats(truth) - constant)

        return of

    def soft(value):
        return jax.nn.softplus(value) + 1e-6

    no_waiting = lambda p, batch: -jnp.mean(jnp.log(soft(recurrent(p, batch[0]))))  # noqa: E731
    base = Case(
        "events_recurrent",
        "events",
        "blind",
        init,
        likelihood(recurrent, soft),
        data,
        optax.adam(1e-2),
        score(recurrent, soft),
        bound=0.5,
        steps=300,
    )
    window = base._replace(
        name="events_one_gap_back",
        init=lambda key: layers(key, (1, 32, 32, 1)),
        loss=likelihood(windowed, jnp.exp),
        score=score(windowed, jnp.exp),
        optimizer=optax.rmsprop(2e-3),
    )
    return [
        base,
        window,
        sick(base, "events_no_waiting_term", "ill_posed exploding", loss=no_waiting),
        sick(
            base,
            "events_in_short_units",
            "ill_scaled saturated chance_level",
            data=late,
            score=score(recurrent, soft, 1e4),
        ),
    ]


def aligned():
    """Name four symbols in order from 24 frames, without knowing which frame belongs to which symbol."""
    rng = np.random.default_rng(104)
    label = np.zeros((1000, 4), int)
    for step in range(4):
        # No symbol follows itself.
        shift = rng.integers(1, 5, 1000)
        label[:, step] = rng.integers(0, 5, 1000) if step == 0 else (label[:, step - 1] + shift) % 5
    length = rng.integers(3, 7, (1000, 4))
    ends = np.cumsum(length, 1)
    place = np.minimum((np.arange(24)[None, :, None] >= ends[:, None, :]).sum(-1), 4)
    symbol = np.where(place < 4, np.take_along_axis(label, np.minimum(place, 3), 1), 5)
    shape = rng.normal(size=(6, 8))
    shape[5] = 0
    frames = shape[symbol] + 0.4 * rng.normal(size=(1000, 24, 8))
    data = shuffled((frames, label + 1))

    def init(key):
        a, b, c = jax.random.split(key, 3)
        return [layers(a, (24, 32))[0], layers(b, (96, 32))[0], layers(c, (32, 6), 1.0)[0]]

    def net(p, x):
        h = jax.nn.relu(dilated(p[0], x, 1))
        return affine(p[2], jax.nn.relu(dilated(p[1], h, 2)))

    def loss(ready):
        def of(p, batch):
            x, label = batch
            frames, symbols = jnp.zeros(x.shape[:2]), jnp.zeros(label.shape)
            return jnp.mean(optax.ctc_loss(ready(net(p, x)), frames, label, symbols))

        return of

    def score(p, data):
        best = jnp.argmax(net(p, data[0]), -1)
        before = jnp.pad(best, ((0, 0), (1, 0)))[:, :-1]
        kept = (best != before) & (best != 0)
        rank = jnp.where(kept, jnp.cumsum(kept, -1) - 1, 24)
        found = jax.vmap(lambda r, b: jnp.zeros(25, jnp.int32).at[r].set(b))(rank, best)[:, :5]
        return jnp.mean(jnp.all(found[:, :4] == data[1], -1) & (kept.sum(-1) == 4))

    base = Case(
        "aligned_frames",
        "aligned",
        "blind",
        init,
        loss(lambda logits: logits),
        data,
        optax.adam(3e-3),
        score,
        bound=0.7,
        steps=300,
        batch_size=16,
    )
    return [
        base,
        sick(base, "aligned_softmax_twice", "ill_posed", loss=loss(lambda logits: jax.nn.softmax(logits, -1))),
        sick(base, "aligned_rate_large", "learning_rate_large dead", optimizer=optax.adam(1.0)),
    ]


def cases():
    """Return the cases of this module."""
    return denoising() + chirps() + events() + aligned()
