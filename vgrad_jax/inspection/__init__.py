"""Inspecting: what a loss says of itself before training, from its program and one batch."""

from vgrad_jax.inspection.nonfinite import NonFinite as NonFinite
from vgrad_jax.inspection.nonfinite import locate_nonfinite as locate_nonfinite
from vgrad_jax.inspection.zeros import ZeroReason as ZeroReason
from vgrad_jax.inspection.zeros import kinks_reason as kinks_reason
from vgrad_jax.inspection.zeros import zero_reasons as zero_reasons
