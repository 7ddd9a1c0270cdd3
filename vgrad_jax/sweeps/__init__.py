"""Sweeps: every arm trained over many seeds, by the fastest engine that accepts it."""

from vgrad_jax.compiling import clear_programs as clear_programs
from vgrad_jax.sweeps.arm import Arm as Arm
from vgrad_jax.sweeps.arms import Trainable as Trainable
from vgrad_jax.sweeps.engine import ENGINES as ENGINES
from vgrad_jax.sweeps.experiment_arm import ExperimentArm as ExperimentArm
from vgrad_jax.sweeps.function_arm import FunctionArm as FunctionArm
from vgrad_jax.sweeps.plan import Plan as Plan
from vgrad_jax.sweeps.plan import make_plan as make_plan
from vgrad_jax.sweeps.running import SweepInterrupted as SweepInterrupted
from vgrad_jax.sweeps.running import sweep as sweep
from vgrad_jax.sweeps.size import ArmSize as ArmSize
from vgrad_jax.sweeps.speed import Speed as Speed
from vgrad_jax.sweeps.speed import measure_speed as measure_speed
