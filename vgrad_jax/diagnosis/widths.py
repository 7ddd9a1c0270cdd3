"""Coordinate check: do the sizes of preactivations and updates stay the same as a network gets wider?

    width 32, 64, 128, ...  ─► first parameters ─► a few steps ─► log10 sizes by layer ─► slope over log10 width
                                                                                          0: independent of the width

Where a slope is not zero after a few steps, the best learning rate depends on the width (Yang et al. 2022,
arXiv:2203.03466, "Tensor Programs V").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import whole_number
from vgrad_jax.diagnosis.figures import width_lines
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.layers import Grouping
from vgrad_jax.gradients.look import look_at_seeds, parts_of
from vgrad_jax.gradients.stats import AnyArray, stats_of
from vgrad_jax.keys import PRNGKey

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["WidthCheck", "check_widths"]

STEADY = 0.25
"""Largest slope of log10 size over log10 width that counts as none."""


@dataclass(frozen=True)
class WidthCheck:
    """Result of `check_widths`: sizes as log10 root mean square, `(width, seed, layer)`."""

    paths: tuple[str, ...]
    """Names of the layers, input side first."""
    widths: tuple[int, ...]
    steps: int
    """Number of updates before the later sizes."""
    first: Float[np.ndarray, "width seed layer"]
    """Preactivations at initialisation; NaN for a layer without a product."""
    late: Float[np.ndarray, "width seed layer"]
    """Preactivations after the updates."""
    moved: Float[np.ndarray, "width seed layer"]
    """Change of the parameters by the updates, over their first size."""

    def slopes(self, sizes: Float[np.ndarray, "width seed layer"]) -> Float[np.ndarray, "layer 3"]:
        """Return the slope of log10 size over log10 width of each layer, with its 95 % interval.

        A straight line through all widths and seeds (least squares, Student's t); NaN where a size is not finite.

        Args:
            sizes: `first`, `late` or `moved`.
        """
        from scipy import stats

        x = np.repeat(np.log10(self.widths), sizes.shape[1])
        lines = np.full((len(self.paths), 3), np.nan)
        for layer in range(len(self.paths)):
            y = sizes[:, :, layer].reshape(-1)
            if np.isfinite(y).all():
                line = stats.linregress(x, y)
                half = stats.t.ppf(0.975, len(y) - 2) * line.stderr
                lines[layer] = line.slope, line.slope - half, line.slope + half
        return lines

    @property
    def drifting(self) -> tuple[str, ...]:
        """Layers whose preactivations change with the width, at first or after the updates, beyond doubt."""
        lines = np.stack([self.slopes(self.first), self.slopes(self.late)])
        drifts: np.ndarray = np.logical_or(lines[..., 1] > STEADY, lines[..., 2] < -STEADY)
        return tuple(path for layer, path in enumerate(self.paths) if drifts[:, layer].any())

    @property
    def steady(self) -> bool:
        """True where no layer's preactivations change with the width: a learning rate carries over."""
        return not self.drifting

    def __str__(self) -> str:
        widths = f"{min(self.widths)} to {max(self.widths)}"
        verdict = (
            f"steady: preactivations keep their size from width {widths}"
            if self.steady
            else f"drifting: preactivations change with the width ({widths}) in {', '.join(self.drifting)}"
        )
        lines = [verdict, "  size ~ width^slope: at first, after the updates, change of the parameters"]
        rows = zip(self.paths, *(self.slopes(sizes) for sizes in (self.first, self.late, self.moved)), strict=True)
        for path, *slopes in rows:
            cells = (f"{slope:.2f} ({low:.2f} to {high:.2f})" for slope, low, high in slopes)
            lines.append(f"    {path}: {', '.join(cells)}")
        return "\n".join(lines)

    def plot(self) -> "Figure":
        """Draw the sizes of every layer's preactivations against the width, at first and after the updates."""
        return width_lines(self.paths, self.widths, self.first, self.late, self.steps)


@checked
def check_widths(
    loss_fn: Callable[[PyTree, Any], Any],
    init_of_width: Callable[[int], Callable[[Any], PyTree]],
    batch: PyTree,
    optimizer: Any,
    *,
    widths: Sequence[int] = (32, 64, 128, 256),
    steps: int = 4,
    num_seeds: int = 4,
    key: PRNGKey | None = None,
    **grouping: Any,
) -> WidthCheck:
    """Check whether sizes in a network, and what a few updates do to them, depend on its width.

    Args:
        loss_fn: `f(params, batch)` to a scalar, for parameters of any width.
        init_of_width: from a width to an init function `f(key)`.
        batch: whatever the loss takes; all updates use it.
        optimizer: an optax optimiser, or a function of the width that makes one.
        widths: three widths or more.
        steps: number of updates.
        num_seeds: number of initialisations of each width.
        key: key of the initialisations; by default `jax.random.key(0)`.
        grouping: rules by which leaves become layers; see `gradient_stats`.

    Returns:
        Sizes by width, seed and layer, with slopes, a verdict and a figure.

    Raises:
        InputError: fewer than three widths, or networks whose layers differ.

    >>> def init_of_width(width):
    ...     shapes = (8, width), (width, width), (width, 1)
    ...     return lambda key: [
    ...         jax.random.normal(k, shape) / shape[0] ** 0.5
    ...         for k, shape in zip(jax.random.split(key, 3), shapes, strict=True)
    ...     ]
    >>> def loss(params, batch):
    ...     h, y = batch
    ...     for kernel in params[:-1]:
    ...         h = jnp.tanh(h @ kernel)
    ...     return jnp.mean((h @ params[-1] - y) ** 2)
    >>> batch = jax.random.normal(jax.random.key(1), (32, 8)), jnp.ones((32, 1))
    >>> one_rate = check_widths(loss, init_of_width, batch, optax.adam(0.03), widths=(16, 64, 256), num_seeds=2)
    >>> "1" in one_rate.drifting
    True
    """
    widths = tuple(whole_number("a width", width, minimum=1) for width in widths)
    whole_number("steps", steps, minimum=1)
    if len(set(widths)) < 3:
        raise InputError(f"widths must be three different numbers or more; got {list(widths)}")
    rules = Grouping(**grouping)
    keys = jax.random.split(jax.random.key(0) if key is None else key, whole_number("num_seeds", num_seeds, minimum=1))
    rows = []
    for width in widths:
        chosen = optimizer if hasattr(optimizer, "update") else optimizer(width)
        rows.append(_sizes(loss_fn, init_of_width(width), batch, chosen, steps, keys, rules))
    paths = rows[0][0]
    for width, row in zip(widths, rows, strict=True):
        if row[0] != paths:
            raise InputError(
                f"networks of the widths {widths[0]} and {width} must have the same layers; they have "
                f"{', '.join(paths)} and {', '.join(row[0])}"
            )
    first, late, moved = (np.stack(sizes) for sizes in zip(*(row[1] for row in rows), strict=True))
    return WidthCheck(paths, widths, steps, first, late, moved)


def _sizes(
    loss_fn: Callable[[PyTree, Any], Any],
    init_fn: Callable[[Any], PyTree],
    batch: PyTree,
    optimizer: optax.GradientTransformation,
    steps: int,
    keys: Key[Array, " seed"],
    grouping: Grouping,
) -> tuple[tuple[str, ...], tuple[Float[np.ndarray, "seed layer"], ...]]:
    """Return the names of the layers, and the sizes at first, after the updates, and of the parameters' change."""

    def trained(key: Any) -> PyTree:
        def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
            params, state = carry
            gradient = jax.grad(lambda p: loss_fn(p, batch))(params)
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        params = init_fn(key)
        return jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[0][0]

    first, late = (look_at_seeds(loss_fn, make, keys, batch, grouping, len(keys)) for make in (init_fn, trained))

    @jax.jit
    @jax.vmap
    def change(key: Any) -> Float[AnyArray, " layer"]:
        before, after = init_fn(key), trained(key)
        layers = parts_of(loss_fn, before, batch, grouping).layers
        return stats_of(jax.tree.map(jnp.subtract, after, before), layers).log10_rms

    moved = np.asarray(change(keys), np.float64) - np.asarray(first.params_log10_rms, np.float64)
    products = (look.by_layer("log10_rms", ("product",)) for look in (first, late))
    return first.stats.paths, (*products, moved)
