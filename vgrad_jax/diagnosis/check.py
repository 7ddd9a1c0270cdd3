"""Check before training: every layer's gradient, activations and a verdict, over many initialisations."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float, Key, PyTree

from vgrad_jax.boundary import called, checked, require_signature
from vgrad_jax.descriptions import whole_number
from vgrad_jax.diagnosis.verdict import Checked, Diagnosis, diagnose
from vgrad_jax.errors import InputError
from vgrad_jax.gradients.layers import Grouping, float_leaves
from vgrad_jax.gradients.look import Look, look_at_compiled, look_at_seeds
from vgrad_jax.gradients.objective import BatchRest, WithKey, require_callable, split_batch
from vgrad_jax.gradients.sharding import in_mesh_of
from vgrad_jax.gradients.stats import LayerStats
from vgrad_jax.inspection import (
    NOT_INSPECTED,
    Inspection,
    NonFinite,
    ZeroReason,
    inspect_loss,
    kinks_reason,
    locate_nonfinite,
    zero_reasons,
)
from vgrad_jax.keys import PRNGKey
from vgrad_jax.memory import require_memory
from vgrad_jax.numerics import rms_over_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vgrad_jax.theory.prediction import Prediction

__all__ = ["InitCheck", "check_init"]

INIT = "parameters, or a function of a key that makes them"
"""Form of `params_or_init_fn`, for messages."""

ELEMENTS_AT_ONCE = 2**24
"""Number of parameters of the seeds that are computed together."""

BYTES_A_SEED = 100
"""Fewest bytes that a seed takes: its key and a few sizes."""


@dataclass(frozen=True)
class InitCheck:
    """Result of `check_init`."""

    look: Look
    """Numbers, with a leading axis of seeds."""
    diagnosis: Diagnosis
    prediction: "Prediction | None" = None
    """Prediction of the gradient, where it was given."""
    inspection: Inspection = NOT_INSPECTED
    """Inspection of the loss, its data and the first parameters; of one seed."""

    @property
    def zeros(self) -> tuple[ZeroReason, ...]:
        """Reason for each zero gradient, in the first seed with a layer that has none, and for a term without one."""
        return self.inspection.zeros

    @property
    def nonfinite(self) -> NonFinite | None:
        """First operation that is not finite, in the first seed with such a loss or gradient."""
        return self.inspection.nonfinite

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


@checked
def check_init(
    loss_fn: Any,
    params_or_init_fn: PyTree,
    batch: PyTree,
    *,
    key: PRNGKey | None = None,
    num_seeds: int = 1,
    stacked: str | None = None,
    group: str | None = None,
    include: str | None = None,
    exclude: str | None = None,
    prediction: "Prediction | None" = None,
    loss_key: Any = None,
) -> InitCheck:
    """Judge a model before training it: is every layer's gradient healthy, and if not, why?

    The loss is traced: this gives the order of the layers, preactivations, and shares of saturated and dead units. The
    model is not changed. Layers that a `lax.scan` goes over are split.

    Args:
        loss_fn: `f(params, batch)` to a scalar, to a tuple that begins with it, or to a dictionary with "loss".
        params_or_init_fn: parameters: any pytree, be it an equinox or nnx module; or `f(key)` that makes them.
        batch: whatever the loss takes.
        key: key of the initialisations; by default `jax.random.key(0)`.
        num_seeds: number of initialisations, for an init function.
        stacked, group, include, exclude: rules by which leaves become layers; see `gradient_stats`.
        prediction: `vg.theory.predict(mlp, x, y)` of the same network and batch, to be shown beside the measurement.
        loss_key: key of a loss that draws, such as for dropout; it is then called as `f(params, batch, key)`.

    Returns:
        The numbers, a verdict with its evidence, and a figure.

    Raises:
        InputError: the loss is no function or gives no scalar, there are no parameters, or the batch is no data. Also
            where there are several seeds without an init function, or the prediction's layers differ.

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
    require_memory(f"a check of {num_seeds} seeds", BYTES_A_SEED * num_seeds, "take fewer seeds")
    require_callable(loss_fn)
    grouping = Grouping(stacked=stacked, group=group, include=include, exclude=exclude)
    given = _has_params(params_or_init_fn, num_seeds)
    require_signature("loss_fn", loss_fn, ("params", "batch") if loss_key is None else ("params", "batch", "key"))
    if not given:
        require_signature("an init function", params_or_init_fn, ("key",))
    loss_fn = _hashable(loss_fn)
    if loss_key is not None:
        loss_fn, batch = WithKey(loss_fn), (batch, loss_key)
    arrays, rest = split_batch(batch)
    keys = jax.random.split(jax.random.key(0) if key is None else key, num_seeds)
    with in_mesh_of((arrays, params_or_init_fn if given else None)):
        if given:
            one_seed = look_at_compiled(loss_fn, params_or_init_fn, batch, grouping)
            look = jax.tree.map(lambda leaf: leaf[None], one_seed)
        else:
            size = min(num_seeds, _seeds_at_once(params_or_init_fn, keys[0]))
            look = look_at_seeds(loss_fn, _hashable(params_or_init_fn), keys, batch, grouping, size)
        kinks = _kinks(loss_fn, params_or_init_fn, given, keys[0], batch)
    # Given parameters may hold functions and masks that are a part of the program: they are traced anew.
    program = None if given else (loss_fn, _hashable(params_or_init_fn), rest, tuple(map(jax.typeof, arrays)))
    look = jax.tree.map(np.asarray, look)
    if prediction is not None:
        _require_layers(prediction, look.stats.paths)
    inspection = _inspect(
        loss_fn, batch, look, lambda seed: params_or_init_fn if given else params_or_init_fn(keys[seed]), kinks, program
    )
    return InitCheck(look, diagnose(look, check=Checked(look, inspection)), prediction, inspection)


def _inspect(
    loss_fn: Callable[..., Any],
    batch: PyTree,
    look: Look,
    params_of: Callable[[int], PyTree],
    kinks: tuple[ZeroReason, ...],
    program: Hashable,
) -> Inspection:
    """Inspect the loss, and say why gradients are zero and what is not finite, where there is such a seed.

    Args:
        loss_fn: the loss.
        batch: its batch.
        look: the numbers of all seeds.
        params_of: makes the parameters of a seed.
        kinks: terms of the loss that have no derivative.
        program: equal for two checks with the same functions and shapes; None where it is not known.
    """
    stats, first = look.stats, params_of(0)
    zero = np.flatnonzero((stats.zero_fraction == 1).any(axis=-1))
    broken = np.flatnonzero((stats.nonfinite_fraction > 0).any(axis=-1) | ~np.isfinite(look.loss))
    zeros = zero_reasons(loss_fn, params_of(int(zero[0])), batch) if len(zero) else ()
    return replace(
        inspect_loss(loss_fn, first, batch, program=program if _is_of_floats(first) else None),
        zeros=(*zeros, *kinks),
        nonfinite=locate_nonfinite(loss_fn, params_of(int(broken[0])), batch) if len(broken) else None,
    )


def _is_of_floats(params: PyTree) -> bool:
    """Return whether all arrays are floating-point: other ones are a part of the program, and a key may draw them."""
    arrays = [leaf for leaf in jax.tree.leaves(params) if hasattr(leaf, "dtype")]
    return len(arrays) == len(list(float_leaves(params)))


def _hashable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that `jit` takes as a static argument; an object that cannot be hashed is wrapped."""
    try:
        hash(function)
    except TypeError:
        return lambda *arguments: function(*arguments)
    return function


def _has_params(params_or_init_fn: PyTree, num_seeds: int) -> bool:
    """Return whether parameters were given; False for an init function.

    Raises:
        InputError: it is neither, or parameters with several seeds.
    """
    has_params = next(float_leaves(params_or_init_fn), None) is not None
    if not has_params and (not callable(params_or_init_fn) or hasattr(params_or_init_fn, "init")):
        hint = ""
        if hasattr(params_or_init_fn, "init"):
            hint = ". A module is none: give `lambda key: module.init(key, x)`, or the parameters that it returns"
        raise InputError(
            "params_or_init_fn must be parameters, a pytree with floating-point arrays, or a function of a key that "
            f"makes them; got {type(params_or_init_fn).__name__}{hint}"
        )
    if has_params and num_seeds > 1:
        raise InputError(f"num_seeds={num_seeds} needs an init function f(key); parameters are one initialisation only")
    return has_params


def _seeds_at_once(init_fn: Callable[[Any], PyTree], key: Key[jax.Array, ""]) -> int:
    """Return the number of seeds whose parameters are computed together.

    Raises:
        InputError: the init function does not take a key, or makes no floating-point arrays.
    """
    shapes = jax.tree.leaves(
        jax.eval_shape(lambda k: [leaf for _, leaf in float_leaves(called("params_or_init_fn", INIT, init_fn, k))], key)
    )
    if not shapes:
        raise InputError("the init function makes no floating-point array; it must return the parameters of a key")
    return max(1, ELEMENTS_AT_ONCE // max(1, sum(shape.size for shape in shapes)))


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["reasons"])
@dataclass(frozen=True)
class _Kinks:
    """Facts of a program, which `jit` keeps beside the compiled one."""

    reasons: tuple[ZeroReason, ...]


def _kinks(loss_fn: Callable[..., Any], source: PyTree, given: bool, key: Any, batch: PyTree) -> tuple[ZeroReason, ...]:
    """Return the term of the loss that has no derivative, if there is one; the loss is traced once for its shapes."""
    if given:
        reason = kinks_reason(loss_fn, source, batch)
        return () if reason is None else (reason,)
    arrays, rest = split_batch(batch)
    return _kinks_of_init(loss_fn, _hashable(source), rest, key, arrays).reasons


@partial(jax.jit, static_argnums=(0, 1, 2))
def _kinks_of_init(
    loss_fn: Callable[..., Any], init_fn: Callable[[Any], PyTree], rest: BatchRest, key: Any, arrays: list[Any]
) -> _Kinks:
    reason = kinks_reason(loss_fn, init_fn(key), rest(arrays))
    return _Kinks(() if reason is None else (reason,))


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
