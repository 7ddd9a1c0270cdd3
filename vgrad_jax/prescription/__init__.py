"""Prescribing: remedies for a network that does not learn, tried over seeds."""

from vgrad_jax.prescription.cabinet import CABINET as CABINET
from vgrad_jax.prescription.cabinet import NOT_IN_CABINET as NOT_IN_CABINET
from vgrad_jax.prescription.cabinet import Remedy as Remedy
from vgrad_jax.prescription.prescribing import PrescriptionInterrupted as PrescriptionInterrupted
from vgrad_jax.prescription.prescribing import prescribe as prescribe
from vgrad_jax.prescription.prescription import Prescription as Prescription
from vgrad_jax.prescription.prescription import Tried as Tried
from vgrad_jax.prescription.racing import Race as Race
