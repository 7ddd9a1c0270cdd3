"""Inspecting: what a loss says of itself before training, from its program and one batch."""

from vgrad_jax.inspection.nonfinite import NonFinite as NonFinite
from vgrad_jax.inspection.nonfinite import locate_nonfinite as locate_nonfinite
