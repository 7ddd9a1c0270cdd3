"""A microscope for gradient flow in neural networks."""
# ruff: noqa: E402  A command hears Ctrl-C before the imports, which take seconds.

from importlib.metadata import version as _version

from vgrad_jax.process import begin_command as _begin_command

_begin_command()

from vgrad_jax import data as data
from vgrad_jax import losses as losses
from vgrad_jax import presets as presets
from vgrad_jax import statistics as statistics
from vgrad_jax import theory as theory
from vgrad_jax.data import Data as Data
from vgrad_jax.data import Dataset as Dataset
from vgrad_jax.data import load_data as load_data
from vgrad_jax.diagnosis import RULES as RULES
from vgrad_jax.diagnosis import Alarm as Alarm
from vgrad_jax.diagnosis import Diagnosis as Diagnosis
from vgrad_jax.diagnosis import Finding as Finding
from vgrad_jax.diagnosis import InitCheck as InitCheck
from vgrad_jax.diagnosis import Rule as Rule
from vgrad_jax.diagnosis import WidthCheck as WidthCheck
from vgrad_jax.diagnosis import check_init as check_init
from vgrad_jax.diagnosis import check_widths as check_widths
from vgrad_jax.diagnosis import diagnose as diagnose
from vgrad_jax.diagnosis import watch as watch
from vgrad_jax.errors import InputError as InputError
from vgrad_jax.experiment import Experiment as Experiment
from vgrad_jax.experiment import Recording as Recording
from vgrad_jax.experiment import Training as Training
from vgrad_jax.gradients import LayerStats as LayerStats
from vgrad_jax.gradients import Record as Record
from vgrad_jax.gradients import get_record as get_record
from vgrad_jax.gradients import gradient_stats as gradient_stats
from vgrad_jax.gradients import record as record
from vgrad_jax.inspection import NonFinite as NonFinite
from vgrad_jax.inspection import locate_nonfinite as locate_nonfinite
from vgrad_jax.keys import run_key as run_key
from vgrad_jax.lanes import LanesReport as LanesReport
from vgrad_jax.lanes import lanes as lanes
from vgrad_jax.lanes import lanes_report as lanes_report
from vgrad_jax.nets.mlp import MLP as MLP
from vgrad_jax.nets.mlp import Layer as Layer
from vgrad_jax.nets.mlp import apply_mlp as apply_mlp
from vgrad_jax.nets.mlp import init_mlp as init_mlp
from vgrad_jax.nets.params import LearnedLayer as LearnedLayer
from vgrad_jax.optimizers import Optimizer as Optimizer
from vgrad_jax.prescription.prescribing import PrescriptionInterrupted as PrescriptionInterrupted
from vgrad_jax.prescription.prescribing import prescribe as prescribe
from vgrad_jax.prescription.prescription import Prescription as Prescription
from vgrad_jax.results.opening import open_results as open_results
from vgrad_jax.statistics.comparison import TimeComparison as TimeComparison
from vgrad_jax.statistics.comparison import compare_times as compare_times
from vgrad_jax.statistics.planning import seeds_needed as seeds_needed
from vgrad_jax.sweeps.arm import Arm as Arm
from vgrad_jax.sweeps.running import SweepInterrupted as SweepInterrupted
from vgrad_jax.sweeps.running import sweep as sweep
from vgrad_jax.theory.critical import critical_weight_variance as critical_weight_variance
from vgrad_jax.theory.mean_field import mean_field as mean_field
from vgrad_jax.theory.spectra import input_jacobian as input_jacobian
from vgrad_jax.training.convergence import Outcome as Outcome
from vgrad_jax.training.make_train import make_train as make_train
from vgrad_jax.training.run import History as History
from vgrad_jax.training.run import train as train
from vgrad_jax.training.run import train_from as train_from

__version__ = _version("vgrad_jax")

__all__ = [
    "Alarm",
    "Arm",
    "Data",
    "Dataset",
    "Diagnosis",
    "Experiment",
    "Finding",
    "History",
    "InitCheck",
    "InputError",
    "LanesReport",
    "Layer",
    "LearnedLayer",
    "LayerStats",
    "MLP",
    "NonFinite",
    "Optimizer",
    "Outcome",
    "Prescription",
    "PrescriptionInterrupted",
    "RULES",
    "Record",
    "Recording",
    "Rule",
    "SweepInterrupted",
    "TimeComparison",
    "Training",
    "WidthCheck",
    "__version__",
    "apply_mlp",
    "check_init",
    "check_widths",
    "compare_times",
    "critical_weight_variance",
    "data",
    "diagnose",
    "get_record",
    "gradient_stats",
    "init_mlp",
    "input_jacobian",
    "lanes",
    "lanes_report",
    "load_data",
    "locate_nonfinite",
    "losses",
    "make_train",
    "mean_field",
    "open_results",
    "prescribe",
    "presets",
    "record",
    "run_key",
    "seeds_needed",
    "statistics",
    "sweep",
    "theory",
    "train",
    "train_from",
    "watch",
]


def __dir__() -> list[str]:
    """Return the public names: rooms that are imported on the way are left out."""
    return list(__all__)
