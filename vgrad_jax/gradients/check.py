"""One call before training: every layer's gradient, activations and a verdict, over many initialisations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.descriptions import whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.diagnose import Diagnosis, diagnose
from vgrad_jax.gradients.layers import Grouping, float_leaves
from vgrad_jax.gradients.look import Look, look, look_once
from vgrad_jax.gradients.stats import LayerStats
from vgrad_jax.numerics import rms_over_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vgrad_jax.theory.prediction import Prediction

__all__ = ["InitCheck", "check_init"]

ELEMENTS_AT_ONCE = 2**24
"""Parameters of the seeds that are computed together."""


@dataclass(frozen=True)
class InitCheck:
    """What `check_init` found."""

    look: Look
    """The numbers, with a leading axis of seeds."""
    diagnosis: Diagnosis
    prediction: "Prediction | None" = None
    """What theory says of the gradient, where it was asked."""

    @property
    def log10_rms(self) -> np.ndarray:
        """The gradient's root mean square over the seeds too, `(layer,)`, in log10: what is predicted.

        Not the median over seeds, which is smaller, the more so the deeper and narrower a network is.
        """
        return rms_over_seeds(np.asarray(self.stats.log10_rms, np.float64))

    @property
    def stats(self) -> LayerStats:
        """The gradient's sizes, `(seed, layer)`."""
        return self.look.stats

    @property
    def status(self) -> str:
        """The verdict in a word."""
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
        """One picture: gradient, preactivations and activations by layer, median and central 90 % of seeds."""
        from vgrad_jax.gradients.figures import check_profile

        return check_profile(self)


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
    """Look at a model before training it: is every layer's gradient healthy, and if not, why?

    The order of the layers, preactivations, and the shares of saturated and dead units come from tracing the loss, so
    nothing in the model has to be changed. Layers that a `lax.scan` goes over are split.

    Args:
        loss_fn: `f(params, batch)` to a scalar, or to a tuple that begins with it.
        params_or_init_fn: parameters: any pytree, be it an equinox or nnx module; or `f(key)` that makes them.
        batch: whatever the loss takes.
        key: of the initialisations; by default `jax.random.key(0)`.
        num_seeds: how many initialisations, for an init function.
        stacked, group, include, exclude: which layers; see `gradient_stats`.
        prediction: `vg.theory.predict(mlp, x, y)` of the same network and batch, to be shown beside the measurement.

    Returns:
        The numbers, a verdict with its evidence, and a picture.

    Raises:
        InputError: the loss is not a scalar, there are no parameters, seeds are asked for without an init function, or
            the prediction has another number of layers.

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
    grouping = Grouping(False, stacked, group, include, exclude)
    has_params = next(float_leaves(params_or_init_fn), None) is not None
    if not has_params and not callable(params_or_init_fn):
        raise InputError(
            "params_or_init_fn must be parameters, a pytree with floating-point arrays, or a function of a key that "
            f"makes them; got {type(params_or_init_fn).__name__}"
        )
    if has_params and num_seeds > 1:
        raise InputError(f"num_seeds={num_seeds} needs an init function f(key); parameters are one initialisation only")
    if has_params:
        looked = jax.tree.map(lambda leaf: leaf[None], look_once(loss_fn, params_or_init_fn, batch, grouping))
    else:
        keys = jax.random.split(jax.random.key(0) if key is None else key, num_seeds)
        shapes = jax.tree.leaves(jax.eval_shape(lambda k: [x for _, x in float_leaves(params_or_init_fn(k))], keys[0]))
        size = max(1, min(num_seeds, ELEMENTS_AT_ONCE // max(1, sum(shape.size for shape in shapes))))
        looked = _look_at_seeds(loss_fn, params_or_init_fn, grouping, size, keys, batch)
    looked = jax.tree.map(np.asarray, looked)
    if prediction is not None and prediction.log10_rms is not None:
        layers, predicted = len(looked.stats.paths), len(prediction.log10_rms)
        if layers != predicted:
            raise InputError(
                f"the prediction has {predicted} layers and the model {layers} ({', '.join(looked.stats.paths[:4])} "
                "...): predict the network that is looked at, all of its layers"
            )
    return InitCheck(looked, diagnose(looked), prediction)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _look_at_seeds(
    loss_fn: Callable[..., Any],
    init_fn: Callable[[Any], PyTree],
    grouping: Grouping,
    size: int,
    keys: Any,
    batch: PyTree,
) -> Look:
    """Compiled once for a pair of functions."""
    return jax.lax.map(lambda key: look(loss_fn, init_fn(key), batch, grouping), keys, batch_size=size)
