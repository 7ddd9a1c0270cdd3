"""Engines, called as a sweep calls them."""

from vgrad_jax.sweeps.engine import ENGINES
from vgrad_jax.sweeps.experiment_arm import ExperimentArm
from vgrad_jax.sweeps.policy import execution_of, local_platform


def execute(engine, experiment, keys, **changes):
    """Return the history of an experiment's runs by an engine, with changed fields of its `Execution`."""
    execution = execution_of(engine, len(keys), local_platform())._replace(devices=1, **changes)
    return ENGINES[engine](ExperimentArm(experiment), keys, execution)
