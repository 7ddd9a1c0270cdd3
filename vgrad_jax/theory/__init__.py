"""Theory of a network at initialisation: mean fields, finite-width laws, spectra, and predicted gradients."""

from vgrad_jax.theory.comparison import Comparison as Comparison
from vgrad_jax.theory.comparison import compare as compare
from vgrad_jax.theory.critical import critical_point as critical_point
from vgrad_jax.theory.densities import JacobianLayer as JacobianLayer
from vgrad_jax.theory.densities import SpectralDensity as SpectralDensity
from vgrad_jax.theory.densities import spectral_density as spectral_density
from vgrad_jax.theory.factors import batch_norm_factor as batch_norm_factor
from vgrad_jax.theory.factors import layer_norm_factor as layer_norm_factor
from vgrad_jax.theory.factors import residual_factor as residual_factor
from vgrad_jax.theory.finite_width import log_gradient_law as log_gradient_law
from vgrad_jax.theory.finite_width import probability_dead as probability_dead
from vgrad_jax.theory.finite_width import second_moment_ratio as second_moment_ratio
from vgrad_jax.theory.mean_field import layer_maps as layer_maps
from vgrad_jax.theory.prediction import Prediction as Prediction
from vgrad_jax.theory.prediction import predict as predict
from vgrad_jax.theory.spectra import spectrum as spectrum
