"""Measuring: sizes of gradients, layer by layer, at one point or over a training."""

from vgrad_jax.gradients.layers import Grouping as Grouping
from vgrad_jax.gradients.look import Look as Look
from vgrad_jax.gradients.look import look_at as look_at
from vgrad_jax.gradients.record_state import RecordState as RecordState
from vgrad_jax.gradients.record_state import get_record as get_record
from vgrad_jax.gradients.recorder import record as record
from vgrad_jax.gradients.recording import Record as Record
from vgrad_jax.gradients.stats import LayerStats as LayerStats
from vgrad_jax.gradients.stats import gradient_stats as gradient_stats
from vgrad_jax.gradients.stats import layer_log10_rms as layer_log10_rms
from vgrad_jax.gradients.stats import log10_rms as log10_rms
