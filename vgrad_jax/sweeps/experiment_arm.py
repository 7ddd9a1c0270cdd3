"""Arms of a sweep that are described by an `Experiment`: the adapter to the protocol `Trainable`."""

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax

from vgrad_jax.data import fingerprint_of, load_data
from vgrad_jax.experiment import Experiment
from vgrad_jax.keys import PRNGKey
from vgrad_jax.nets.activations import slope_from_value
from vgrad_jax.nets.mlp import Params
from vgrad_jax.results.schema import Layout, parameter_names
from vgrad_jax.sweeps.size import ROWS_AT_ONCE, ArmSize
from vgrad_jax.training.initial import initial_networks
from vgrad_jax.training.run import History, initial_params, num_logits, train, train_from
from vgrad_jax.training.settings import Settings, settings_of, structure_of

__all__ = ["ExperimentArm"]

NUMBERS_A_UNIT, NUMBERS_A_SLOPE = 1.8, 2.9
"""Working memory for each unit and row, in floats: means over reports of XLA's CPU compiler.

The second number holds for activations whose slope is not a function of their value.
"""


@dataclass(frozen=True)
class ExperimentArm:
    """An `Experiment` behind the protocol `vgrad_jax.sweeps.arms.Trainable`."""

    experiment: Experiment

    @property
    def widths(self) -> tuple[int, ...]:
        """Sizes of all layers, from the input to the output."""
        dataset = load_data(self.experiment.data)
        return self.experiment.mlp.widths(dataset.train_x.shape[1], num_logits(self.experiment, dataset))

    @property
    def layout(self) -> Layout:
        """Axes of the arm's results."""
        recording, widths = self.experiment.recording, self.widths
        keeps = bool(recording.parameters_at or recording.gradients_at)
        return Layout(
            epochs=tuple(recording.epochs(self.experiment.training.epochs)),
            num_layers=len(widths) - 1,
            parameters_at=recording.parameters_at,
            gradients_at=recording.gradients_at,
            parameters=tuple(parameter_names(self._shapes())) if keeps else (),
        )

    def _shapes(self) -> Params:
        """Return the shapes of the parameters of a run."""
        dataset = load_data(self.experiment.data)
        return jax.eval_shape(lambda: initial_params(structure_of(self.experiment), jax.random.key(0), dataset))

    @property
    def size(self) -> ArmSize:
        """Size of one training; the bytes of working memory are estimates."""
        experiment = self.experiment
        rows, features = load_data(experiment.data).train_x.shape
        return ArmSize(
            results=_result_bytes(structure_of(experiment), features),
            plain=self._working_bytes(rows, features),
            lanes=self._working_bytes(min(rows, max(ROWS_AT_ONCE, experiment.training.batch_size)), features),
            parameters=sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(self.widths)),
            width=max(experiment.mlp.hidden, default=1),
            epochs=experiment.training.epochs,
        )

    @property
    def threshold(self) -> float:
        """Training accuracy at which a run counts as converged."""
        return self.experiment.training.threshold

    @property
    def program_key(self) -> Hashable:
        """Structure of the experiment and fingerprint of its data, which are constants of the compiled program."""
        return structure_of(self.experiment), self.fingerprint()

    def describe(self) -> dict[str, Any]:
        """Return the experiment's description as plain values.

        Raises:
            InputError: a field holds a function that cannot be imported by its name.
        """
        return self.experiment.to_dict()

    def fingerprint(self) -> str:
        """Return a digest of the data as they are at this moment."""
        return fingerprint_of(self.experiment.data)

    def inputs(self, keys: jax.Array) -> Params:
        """Return the initial parameters of many runs, with a leading `seed` axis.

        They are drawn outside of the compiled program, so that arms with other initialisers share the program.
        """
        return initial_networks(self.experiment, load_data(self.experiment.data), keys)

    def settings(self) -> dict[str, jax.Array]:
        """Return the numbers that the program takes for all runs: learning rate, threshold and the like."""
        return settings_of(self.experiment)

    def trainer(self, rows_at_once: int | None) -> Callable[[Params, PRNGKey, Settings], History]:
        """Return the pure training of one run, a function of its parameters, its key and the settings."""
        structure = structure_of(self.experiment)
        dataset = load_data(self.experiment.data)

        def train_one(params: Params, key: PRNGKey, settings: Settings) -> History:
            return train_from(structure, params, key, dataset=dataset, settings=settings, rows_at_once=rows_at_once)

        return train_one

    def _working_bytes(self, rows: int, features: int) -> int:
        """Estimate the bytes of the gradient with the most rows, beside which all else of a run is small."""
        mlp = self.experiment.mlp
        units = features + sum(mlp.hidden) + 1
        weights = sum(fan_in * fan_out for fan_in, fan_out in itertools.pairwise(mlp.widths(features)))
        activations = mlp.activation if isinstance(mlp.activation, tuple) else (mlp.activation,)
        is_cheap = all(slope_from_value(activation) for activation in activations)
        numbers = NUMBERS_A_UNIT if is_cheap else NUMBERS_A_SLOPE
        return round(4 * (numbers * rows * units + 8 * weights))


@lru_cache(maxsize=256)
def _result_bytes(structure: Experiment, features: int) -> int:
    """Return the bytes of the history of one run; the trace is cached."""
    del features  # Part of the cache's key: a data file may have changed.
    history = jax.eval_shape(partial(train, structure), jax.random.key(0))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(history))
