"""The verdict on a network that does not learn: on its first runs that did not converge."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vgrad_jax.data import load_data
from vgrad_jax.diagnosis import Diagnosis
from vgrad_jax.experiment import Experiment
from vgrad_jax.prescription.trials import Work, stacked
from vgrad_jax.results.functions import FunctionRun
from vgrad_jax.sweeps.engine import Runs

__all__ = ["JUDGED", "function_verdict", "verdict_of"]

JUDGED = 16
"""Largest number of failed runs of the untouched network that the verdict rests on."""


def verdict_of(experiment: Experiment, rounds: Sequence[Runs], work: Work, seed: int) -> Diagnosis:
    """Judge the first runs of an experiment that did not converge: they are what is to be mended."""
    from vgrad_jax.keys import run_keys
    from vgrad_jax.report.verdict import Courses, runs_verdict
    from vgrad_jax.training.initial import initial_networks

    runs = stacked(rounds)
    failed = np.flatnonzero(~work.converged)[:JUDGED]
    dataset = load_data(experiment.data)
    courses = Courses(
        epoch=np.asarray(runs.epoch[0]),
        log10_rms=np.asarray(runs.records.gradient_log10_rms, np.float64)[failed],
        loss=np.asarray(runs.records.train_loss, np.float64)[failed],
    )
    params = jax.device_get(initial_networks(experiment, dataset, run_keys(seed, failed.astype(np.int32))))
    return runs_verdict(experiment, dataset, params, courses, converged=work.converged[failed])


def function_verdict(arm: Any, rounds: Sequence[Runs], work: Work) -> Diagnosis | None:
    """Judge the records of a function's runs that did not converge; None where it returns none."""
    from vgrad_jax.diagnosis import diagnose
    from vgrad_jax.report.verdict import with_outcomes
    from vgrad_jax.results.functions import record_from

    labels = arm.layout.function.record
    runs = stacked(rounds)
    if labels is None or not isinstance(runs, FunctionRun):
        return None
    failed = np.flatnonzero(~work.converged)[:JUDGED]
    record = record_from(labels, {name: np.asarray(values)[failed] for name, values in runs.values.items()})
    if not record.step.shape[-1]:
        return None
    return with_outcomes(diagnose(record), 0, len(failed))
