"""Studies that are described in files or by settings: arms, grids and their sizes."""

from vgrad_jax.studies.fields import FieldError as FieldError
from vgrad_jax.studies.fields import field_paths as field_paths
from vgrad_jax.studies.grid import parsed_setting as parsed_setting
from vgrad_jax.studies.own_data import DEFAULT_GRID as DEFAULT_GRID
from vgrad_jax.studies.own_data import DEFAULTS as DEFAULTS
from vgrad_jax.studies.toml_files import Study as Study
from vgrad_jax.studies.toml_files import read_study as read_study
from vgrad_jax.studies.toml_files import study_from as study_from
from vgrad_jax.studies.writing import EXAMPLE as EXAMPLE
from vgrad_jax.studies.writing import study_text as study_text
