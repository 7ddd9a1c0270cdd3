"""Judging: a verdict on measured gradients, with its evidence and advice."""

from vgrad_jax.diagnosis.check import InitCheck as InitCheck
from vgrad_jax.diagnosis.check import check_init as check_init
from vgrad_jax.diagnosis.findings import Finding as Finding
from vgrad_jax.diagnosis.findings import Rule as Rule
from vgrad_jax.diagnosis.rules import RULES as RULES
from vgrad_jax.diagnosis.rules_of_models import units_are_collinear as units_are_collinear
from vgrad_jax.diagnosis.schema import DIAGNOSIS_SCHEMA as DIAGNOSIS_SCHEMA
from vgrad_jax.diagnosis.statuses import FAULTLESS as FAULTLESS
from vgrad_jax.diagnosis.statuses import HEALTHY as HEALTHY
from vgrad_jax.diagnosis.statuses import STATUSES as STATUSES
from vgrad_jax.diagnosis.statuses import TABLE as TABLE
from vgrad_jax.diagnosis.statuses import UNCLEAR as UNCLEAR
from vgrad_jax.diagnosis.statuses import Status as Status
from vgrad_jax.diagnosis.statuses import most_frequent_first as most_frequent_first
from vgrad_jax.diagnosis.verdict import Diagnosis as Diagnosis
from vgrad_jax.diagnosis.verdict import LayerStatus as LayerStatus
from vgrad_jax.diagnosis.verdict import diagnose as diagnose
from vgrad_jax.diagnosis.watching import Alarm as Alarm
from vgrad_jax.diagnosis.watching import watch as watch
from vgrad_jax.diagnosis.widths import WidthCheck as WidthCheck
from vgrad_jax.diagnosis.widths import check_widths as check_widths
