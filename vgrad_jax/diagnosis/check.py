"""Check before training: every layer's gradient, activations and a verdict, over many initialisations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float, Key, PyTree

from vgrad_jax.descriptions import whole_number
from vgrad_jax.diagnosis.verdict import Diagnosis, diagnose
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.layers import Grouping, float_leaves
from vgrad_jax.gradients.look import Look, look_at, look_at_compiled
from vgrad_jax.gradients.stats import LayerStats
from vgrad_jax.numerics import rms_over_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vgrad_jax.theory.prediction import Prediction

__all__ = ["InitCheck", "check_init"]

ELEMENTS_AT_ONCE = 2**24
"""Number of parameters of the seeds that are computed together."""


@dataclass(frozen=True)
class InitCheck:
    """Result of `check_init`."""

    look: Look
    """Numbers, with a leading axis of seeds."""
    diagnosis: Diagnosis
    prediction: "Prediction | None" = None
    """Prediction of the gradient, where it was given."""

    @property
    def log10_rms(self) -> Float[np.ndarray, " layer"]:
        """log10 of the gradient's root mean square, over elements and seeds: the number that theory predicts.

        It is larger than the median over seeds, the more so the deeper and narrower a network is.
        """
        return rms_over_seeds(np.asarray(self.stats.log10_rms, np.float64))

    @property
    def stats(self) -> LayerStats:
        """Sizes of the gradient, `(seed, layer)`."""
        return self.look.stats

    @property
    def status(self) -> str:
        """Verdict in a word."""
        return self.diagnosis.status

    def __str__(self) -> str:
        if self.prediction is None:
            return str(self.diagnosis)
        if self.prediction.log10_rms is None:
            return f"{self.diagnosis}\n  prediction: {self.prediction.why_not}"
        lines = ["  gradient at initialisation, log10 RMS over seeds: measured, predicted"]
        rows = zip(self.stats.paths, self.log10_rms, self.prediction.log10_rms, strict=True)
        lines += [f"    {path}: {measured:.2f}, {predicted:.2f}" for path, measured, predicted in rows]
        return "\n".join([str(self.diagnosis), *lines])

    def plot(self) -> "Figure":
        """Draw gradient, preactivations and activations by layer, median and central 90 % of the seeds."""
        from vgrad_jax.diagnosis.figures import check_profile

        return check_profile(self.look, self.status, self.log10_rms, self.prediction)


def check_init(
    loss_fn: Callable[[PyTree, Any], Any],
    params_or_init_fn: PyTree,
    batch: PyTree,
    *,
    key: Any = None,
    num_seeds: int = 1,
    stacked: str | None = None,
    group: str | None = None,
    include: str | None = None,
    exclude: str | None = None,
    prediction: "Prediction | None" = None,
) -> InitCheck:
    """Judge a model before training it: is every layer's gradient healthy, and if not, why?

    The loss is traced: this gives the order of the layers, preactivations, and shares of saturated and dead units. The
    model is not changed. Layers that a `lax.scan` goes over are split.

    Args:
        loss_fn: `f(params, batch)` to a scalar, or to a tuple that begins with it.
        params_or_init_fn: parameters: any pytree, be it an equinox or nnx module; or `f(key)` that makes them.
        batch: whatever the loss takes.
        key: key of the initialisations; by default `jax.random.key(0)`.
        num_seeds: number of initialisations, for an init function.
        stacked, group, include, exclude: rules by which leaves become layers; see `gradient_stats`.
        prediction: `vg.theory.predict(mlp, x, y)` of the same network and batch, to be shown beside the measurement.

    Returns:
        The numbers, a verdict with its evidence, and a figure.

    Raises:
        InputError: the loss is not a scalar, there are no parameters, there are several seeds without an init function,
            or the prediction's layers differ.

    >>> from jax import numpy as jnp
    >>> def loss(params, batch):
    ...     h, y = batch
    ...     for kernel in params:
    ...         h = jnp.tanh(h @ kernel)
    ...     return jnp.mean((h[:, 0] - y) ** 2)
    >>> def init(key):
    ...     return [0.1 * jax.random.normal(k, (16, 16)) for k in jax.random.split(key, 12)]
    >>> batch = jnp.ones((8, 16)), jnp.ones(8)
    >>> check_init(loss, init, batch, num_seeds=4).status
    'vanishing'
    """
    whole_number("num_seeds", num_seeds, minimum=1)
    grouping = Grouping(stacked=stacked, group=group, include=include, exclude=exclude)
    if _has_params(params_or_init_fn, num_seeds):
        one_seed = look_at_compiled(loss_fn, params_or_init_fn, batch, grouping)
        look = jax.tree.map(lambda leaf: leaf[None], one_seed)
    else:
        keys = jax.random.split(jax.random.key(0) if key is None else key, num_seeds)
        size = min(num_seeds, _seeds_at_once(params_or_init_fn, keys[0]))
        look = _look_at_seeds(loss_fn, params_or_init_fn, grouping, size, keys, batch)
    look = jax.tree.map(np.asarray, look)
    if prediction is not None:
        _require_layers(prediction, look.stats.paths)
    return InitCheck(look, diagnose(look), prediction)


def _has_params(params_or_init_fn: PyTree, num_seeds: int) -> bool:
    """Return whether parameters were given; False for an init function.

    Raises:
        InputError: it is neither, or parameters with several seeds.
    """
    has_params = next(float_leaves(params_or_init_fn), None) is not None
    if not has_params and not callable(params_or_init_fn):
        raise InputError(
            "params_or_init_fn must be parameters, a pytree with floating-point arrays, or a function of a key that "
            f"makes them; got {type(params_or_init_fn).__name__}"
        )
    if has_params and num_seeds > 1:
        raise InputError(f"num_seeds={num_seeds} needs an init function f(key); parameters are one initialisation only")
    return has_params


def _seeds_at_once(init_fn: Callable[[Any], PyTree], key: Key[jax.Array, ""]) -> int:
    """Return the number of seeds whose parameters are computed together."""
    shapes = jax.tree.leaves(jax.eval_shape(lambda k: [leaf for _, leaf in float_leaves(init_fn(k))], key))
    return max(1, ELEMENTS_AT_ONCE // max(1, sum(shape.size for shape in shapes)))


@partial(jax.jit, static_argnums=(0, 1, 2, 3))  # Compiled once for each pair of functions.
def _look_at_seeds(
    loss_fn: Callable[..., Any],
    init_fn: Callable[[Any], PyTree],
    grouping: Grouping,
    size: int,
    keys: Any,
    batch: PyTree,
) -> Look:
    """Look at the loss of each key's parameters, `size` keys at a time."""
    return jax.lax.map(lambda key: look_at(loss_fn, init_fn(key), batch, grouping), keys, batch_size=size)


def _require_layers(prediction: "Prediction", paths: tuple[str, ...]) -> None:
    """Refuse a prediction of a network with another number of layers.

    Raises:
        InputError: the numbers differ.
    """
    if prediction.log10_rms is not None and len(prediction.log10_rms) != len(paths):
        raise InputError(
            f"the prediction has {len(prediction.log10_rms)} layers and the model {len(paths)} "
            f"({', '.join(paths[:4])} ...): predict the network that is looked at, all of its layers"
        )
