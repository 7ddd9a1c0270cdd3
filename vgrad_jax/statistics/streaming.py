"""Results that are larger than memory, read a few records at a time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vgrad_jax.numerics import lower_quantile

if TYPE_CHECKING:
    import xarray

__all__ = ["record_slices", "seed_quantiles"]

SLICE_BYTES = 128 * 2**20


def record_slices(values: "xarray.DataArray") -> Iterator[np.ndarray]:
    """Yield the records in order, a few at a time, with every seed of each: a quantile over seeds needs them all.

    Args:
        values: with the dims `seed, record` and perhaps others behind them.

    Yields:
        Arrays `(seed, record, ...)` of 128 MiB, or of one record where that is larger.
    """
    records = values.sizes["record"]
    step = max(SLICE_BYTES * records // max(values.nbytes, 1), 1)
    chunks = values.encoding.get("chunks")
    if chunks:
        together = chunks[-values.ndim :][values.get_axis_num("record")]
        # Slices are multiples of the store's chunks, so that no chunk is unpacked twice.
        step = max(step // together, 1) * together if step > together else step
    for start in range(0, records, step):
        yield values.isel(record=slice(start, start + step)).values


def seed_quantiles(values: "xarray.DataArray", shares: Sequence[float]) -> np.ndarray:
    """Compute lower quantiles over seeds of values with the dims `seed, record` and perhaps others.

    Args:
        values: such as sizes of gradients, which may be -inf; NaN is left out.
        shares: of seeds below each quantile.

    Returns:
        Quantiles `(share, record, ...)`.
    """
    parts = [[lower_quantile(part, share, skip_nan=True) for share in shares] for part in record_slices(values)]
    return np.concatenate([np.stack(part) for part in parts], axis=1)
