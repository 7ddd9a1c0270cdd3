"""Figures of a sweep: functions of computed values, each of which returns a matplotlib `Figure`."""

from vgrad_jax.report.figures.accuracy import accuracy_bands as accuracy_bands
from vgrad_jax.report.figures.accuracy import accuracy_curves as accuracy_curves
from vgrad_jax.report.figures.arms import overview as overview
from vgrad_jax.report.figures.arms import share_converged as share_converged
from vgrad_jax.report.figures.depth import profiles_by_depth as profiles_by_depth
from vgrad_jax.report.figures.depth import share_against_depth as share_against_depth
from vgrad_jax.report.figures.effects import interaction_plot as interaction_plot
from vgrad_jax.report.figures.factor_styles import arm_styles as arm_styles
from vgrad_jax.report.figures.geometry import geometry_of_arms as geometry_of_arms
from vgrad_jax.report.figures.gradients import gradient_heatmap as gradient_heatmap
from vgrad_jax.report.figures.gradients import gradient_profiles as gradient_profiles
from vgrad_jax.report.figures.predictors import predictors_ranked as predictors_ranked
from vgrad_jax.report.figures.spectra import spectrum_beside_prediction as spectrum_beside_prediction
from vgrad_jax.report.figures.speed import speed_bars as speed_bars
from vgrad_jax.report.figures.strips import final_accuracy as final_accuracy
from vgrad_jax.report.figures.strips import weight_change as weight_change
from vgrad_jax.report.figures.theory import seed_histograms as seed_histograms
from vgrad_jax.report.figures.times import survival_curves as survival_curves
from vgrad_jax.report.figures.weights import first_layer_paths as first_layer_paths
