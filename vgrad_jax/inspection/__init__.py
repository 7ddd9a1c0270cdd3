"""Inspecting: what a loss, its data and its first parameters say before training, and where it stops being finite."""

from vgrad_jax.inspection.concern import Concern as Concern
from vgrad_jax.inspection.hidden import Hidden as Hidden
from vgrad_jax.inspection.inspection import NOT_INSPECTED as NOT_INSPECTED
from vgrad_jax.inspection.inspection import Inspection as Inspection
from vgrad_jax.inspection.inspection import inspect_loss as inspect_loss
from vgrad_jax.inspection.nonfinite import NonFinite as NonFinite
from vgrad_jax.inspection.nonfinite import locate_nonfinite as locate_nonfinite
from vgrad_jax.inspection.zeros import ZeroReason as ZeroReason
from vgrad_jax.inspection.zeros import kinks_reason as kinks_reason
from vgrad_jax.inspection.zeros import zero_reasons as zero_reasons
