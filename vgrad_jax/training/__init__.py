"""Training as a pure function of a description and a key."""

from vgrad_jax.training.convergence import Outcome as Outcome
from vgrad_jax.training.initial import initial_networks as initial_networks
from vgrad_jax.training.make_train import MadeTraining as MadeTraining
from vgrad_jax.training.records import EpochRecord as EpochRecord
from vgrad_jax.training.run import History as History
from vgrad_jax.training.run import train as train
from vgrad_jax.training.run import train_from as train_from
from vgrad_jax.training.settings import Settings as Settings
from vgrad_jax.training.settings import settings_of as settings_of
from vgrad_jax.training.settings import structure_of as structure_of
from vgrad_jax.training.shuffle import shuffled as shuffled
