"""Data: descriptions of data sets, and the arrays that are made or read from them."""

from vgrad_jax.data.description import Data as Data
from vgrad_jax.data.loading import data_fingerprint as data_fingerprint
from vgrad_jax.data.loading import fingerprint_of as fingerprint_of
from vgrad_jax.data.loading import load_data as load_data
from vgrad_jax.data.loading import noise_free as noise_free
from vgrad_jax.data.loading import summary_of as summary_of
from vgrad_jax.data.summary import Dataset as Dataset
from vgrad_jax.data.summary import DataSummary as DataSummary
