"""Sites of a forward pass: outputs of products and activations, and the two numbers that each is measured by.

    product      scale, mean square          of the preactivations
    activation   share off, share stuck      of the units: tanh, the logistic function, ReLU
    softmax      share off, share stuck      of the rows: those that are all but one-hot

An output is off where its slope is almost zero, a unit is stuck where its output is off for every example.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from vgrad_jax.gradients.stats import AnyArray, size_scale

__all__ = ["ForwardStats", "Site", "measured", "measured_one_by_one", "stats_of_sites"]

ONE_HOT = 0.98
"""Largest output of a softmax above which its row is all but one-hot, and has hardly a slope."""
SATURATED_SLOPE = 0.02
"""Share of the steepest slope below which an output of tanh or the logistic function is saturated."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["log10_rms", "off_fraction", "stuck_fraction"],
    meta_fields=["kinds", "leaves"],
)
@dataclass(frozen=True)
class ForwardStats:
    """Sizes of preactivations and states of activations, in the order in which they are computed."""

    kinds: tuple[str, ...]
    """Kind of each site: "product", "tanh", "logistic", "softmax" or "relu"."""
    leaves: tuple[tuple[int, int | None], ...]
    """Index of the parameters' leaf in the product at or last before each site, -1 for none, and slice of a stack."""
    log10_rms: Float[AnyArray, "*batch site"]
    """log10 RMS of a product's output; NaN for an activation."""
    off_fraction: Float[AnyArray, "*batch site"]
    """Share of outputs with (almost) no slope: saturated for tanh, the logistic function and softmax, zero for ReLU."""
    stuck_fraction: Float[AnyArray, "*batch site"]
    """Share of units that are off for every example; NaN for a product."""


class Site(NamedTuple):
    """Output of a product or an activation, or its two numbers."""

    kind: str
    leaf: int
    """Index of the parameters' leaf in the product at or last before the site; -1 for none."""
    axis: int | None
    """Axis of stacked layers in `numbers`; None where layers are not stacked."""
    numbers: Any
    """The output, units last, or nothing for a label alone; once measured `(..., 2)`, with an axis for each scan."""
    measured: bool = False
    slice_index: int | None = None
    """Slice of the leaf, where a loop written out in Python goes over its layers."""


def measured(sites: Sequence[Site]) -> list[Site]:
    """Return the sites with numbers in place of outputs, inside of a program.

    Sites of one kind and shape are measured by one vectorised computation: many equal layers compile fast.
    """
    groups: dict[tuple[str, tuple[int, ...], str], list[int]] = {}
    for index, site in enumerate(sites):
        if site.axis is None and not site.measured:
            groups.setdefault((site.kind, site.numbers.shape, str(site.numbers.dtype)), []).append(index)
    done = list(sites)
    for (kind, *_), members in groups.items():
        outputs = jnp.stack([sites[index].numbers for index in members])
        for index, numbers in zip(members, jax.vmap(partial(_measure, kind))(outputs), strict=True):
            done[index] = sites[index]._replace(numbers=numbers, measured=True)
    return done


def measured_one_by_one(sites: Sequence[Site], batch_axes: int = 0) -> list[Site]:
    """Return the sites with numbers in place of outputs, outside of a program: equal sites share a compiled one.

    Args:
        sites: with `batch_axes` leading axes in front of their own.
        batch_axes: number of axes that are kept.
    """
    return [
        site
        if site.measured
        else site._replace(numbers=_measure_alone(site.kind, batch_axes, site.numbers), measured=True)
        for site in sites
    ]


@partial(jax.jit, static_argnums=(0, 1))
def _measure_alone(kind: str, batch_axes: int, output: Shaped[Array, "..."]) -> Float[Array, "*batch 2"]:
    measure = partial(_measure, kind)
    for _ in range(batch_axes):
        measure = jax.vmap(measure)
    return measure(output)


def _measure(kind: str, output: Shaped[Array, "..."]) -> Float[Array, "2"]:
    value = jnp.abs(output) if jnp.iscomplexobj(output) else output
    value = value.astype(jnp.promote_types(value.dtype, jnp.float32))
    if kind == "product":
        scale = size_scale(jnp.max(jnp.abs(value)))
        return jnp.stack([scale, jnp.mean((value / scale) ** 2)]).astype(jnp.float32)
    if kind == "softmax":
        is_one_hot = (jnp.max(value, axis=-1) > ONE_HOT).astype(value.dtype)
        return jnp.stack([jnp.mean(is_one_hot), jnp.min(is_one_hot)]).astype(jnp.float32)
    slope = {"tanh": 1 - value**2, "logistic": 4 * value * (1 - value), "relu": value}[kind]
    is_off = (slope <= 0 if kind == "relu" else slope < SATURATED_SLOPE).astype(value.dtype)
    shares = jnp.mean(is_off, axis=tuple(range(is_off.ndim - 1)))
    return jnp.stack([jnp.mean(shares), jnp.mean((shares == 1).astype(value.dtype))]).astype(jnp.float32)


def stats_of_sites(sites: Sequence[Site], scan_of_leaf: dict[int, tuple[int, ...]]) -> ForwardStats:
    """Return the numbers of all sites, those of stacked layers one layer after another.

    Args:
        sites: in the order in which they are computed; measured.
        scan_of_leaf: position of the scan that goes over each leaf's layers, or of the scans around it.
    """
    kinds, owners, columns = [], [], []
    for site in sites:
        layers: list[tuple[int | None, Array]] = [(site.slice_index, site.numbers)]
        if site.axis is not None:
            stack = jnp.moveaxis(site.numbers, site.axis, 0)
            layers = [(index, stack[index]) for index in range(len(stack))]
        for slice_index, numbers in layers:
            kinds.append(site.kind)
            owners.append((site.leaf, slice_index))
            # Over the steps of a recurrent network; every operation of each site costs compile time.
            columns.append(numbers if numbers.ndim == 1 else jnp.mean(numbers.reshape(-1, 2), axis=0))
    order = _in_order_of_depth(owners, scan_of_leaf)
    table = jnp.stack([columns[n] for n in order]) if order else jnp.zeros((0, 2))
    product = np.array([kinds[n] == "product" for n in order], bool)
    return ForwardStats(
        kinds=tuple(kinds[n] for n in order),
        leaves=tuple(owners[n] for n in order),
        log10_rms=jnp.where(product, jnp.log10(table[:, 0]) + 0.5 * jnp.log10(table[:, 1]), jnp.nan),
        off_fraction=jnp.where(product, jnp.nan, table[:, 0]),
        stuck_fraction=jnp.where(product, jnp.nan, table[:, 1]),
    )


def _in_order_of_depth(owners: list[tuple[int, int | None]], scan_of_leaf: dict[int, tuple[int, ...]]) -> list[int]:
    """Return the order in which all sites of the first stacked layer stand before all sites of the second."""
    scans = [scan_of_leaf.get(leaf) if index is not None else None for leaf, index in owners]
    keys = []
    for site, ((_, index), scan) in enumerate(zip(owners, scans, strict=True)):
        first = scans.index(scan) if scan is not None else site
        keys.append((first, index or 0, site))
    return sorted(range(len(owners)), key=lambda site: keys[site])
