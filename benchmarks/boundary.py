"""Draw the boundary of trainability: `python -m benchmarks.boundary`.

Which pairs of learning rates train a small network?
A pixel is a training of two layers of 16 units by full batches, with a learning rate for each layer. The picture goes
to `docs/boundary.png`. `vmap` trains one chunk of the same size, and its time is scaled.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import vgrad_jax as vg
from benchmarks.workloads import boundary

PICTURE = Path(__file__).parent.parent / "docs" / "boundary.png"
STEPS = 500
FIRST, SECOND = (-1.0, 3.0), (-3.0, 0.5)
"""Ends of the layers' learning rates, as powers of ten."""
CHUNK = 16_384
"""Trainings of a call."""


def last_loss(rates: jax.Array) -> jax.Array:
    """Return the mean loss of the last ten steps."""
    return boundary(STEPS).function(rates)[-10:].mean()


def main(side: int) -> None:
    """Train all pixels, draw them, and print the times."""
    first, second = (10 ** jnp.linspace(*ends, side) for ends in (FIRST, SECOND))
    grid = jnp.stack(jnp.meshgrid(first, second), -1).reshape(-1, 2)
    chunk = min(CHUNK, len(grid))
    program, reference = jax.jit(vg.lanes(last_loss)), jax.jit(jax.vmap(last_loss))
    jax.block_until_ready((program(grid[:chunk]), reference(grid[:chunk])))
    begun = time.perf_counter()
    losses = np.concatenate([program(grid[start : start + chunk]) for start in range(0, len(grid), chunk)])
    seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    expected = np.asarray(reference(grid[:chunk]))
    of_vmap = (time.perf_counter() - begun) * len(grid) / chunk
    # Where trainings are chaotic, rounding decides for each, but not for their share.
    assert abs(np.mean(expected < 1) - np.mean(losses[:chunk] < 1)) < 0.01
    _draw(losses.reshape(side, side))
    print(f"{side} x {side} trainings of {STEPS} steps: {seconds:.0f} s by lanes; vmap would take {of_vmap:.0f} s")


def _draw(losses: np.ndarray) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    shown = np.where(np.isfinite(losses), np.log10(np.clip(losses, 1e-4, 1e4)), np.nan)
    image = axes.imshow(
        shown, origin="lower", extent=(*FIRST, *SECOND), aspect="auto", cmap="coolwarm", vmin=-3, vmax=3
    )
    image.cmap.set_bad("0.2")
    axes.set_xlabel("log10 of the first layer's learning rate")
    axes.set_ylabel("log10 of the second layer's learning rate")
    figure.colorbar(image, label="log10 of the last loss; grey: not finite")
    figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="pixels of a side (%(default)s)")
    main(parser.parse_args().side)
