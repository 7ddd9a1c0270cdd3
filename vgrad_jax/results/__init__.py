"""Results of a sweep: schema, stores, descriptions of studies, and reading."""

from vgrad_jax.results.environment import versions as versions
from vgrad_jax.results.opening import Verification as Verification
from vgrad_jax.results.opening import open_results as open_results
from vgrad_jax.results.opening import verify_results as verify_results
from vgrad_jax.results.packing import pack_results as pack_results
from vgrad_jax.results.reading import arm_names as arm_names
from vgrad_jax.results.reading import arms_of as arms_of
from vgrad_jax.results.reading import completed_seeds as completed_seeds
from vgrad_jax.results.reading import data_of as data_of
from vgrad_jax.results.reading import num_layers as num_layers
from vgrad_jax.results.reading import study_seed as study_seed
from vgrad_jax.results.schema import OUTCOME_NAMES as OUTCOME_NAMES
from vgrad_jax.results.schema import VARIABLES as VARIABLES
from vgrad_jax.results.schema import Layout as Layout
from vgrad_jax.results.schema import Variable as Variable
from vgrad_jax.results.store import Store as Store
