"""Theory beside a measurement, as a table, sentences, figures and numbers."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.numerics import json_value, lower_median
from vgrad_jax.report.figures.spectra import spectrum_beside_prediction
from vgrad_jax.report.figures.theory import phase_diagram, profile_beside_prediction, seed_histogram
from vgrad_jax.theory.comparison import Comparison, MeanFieldOf, trainable_depth
from vgrad_jax.theory.jacobians import JacobianSpectrum
from vgrad_jax.theory.seed_law import SeedLaw
from vgrad_jax.wording import counted

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["as_dict", "profile_table", "sentences", "write_theory"]


def profile_table(comparison: Comparison, title: str) -> "Table":
    """Return a table with a row for each layer."""
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", caption="gradient at initialisation, log10 RMS", caption_justify="left"
    )
    for heading in ("layer", "predicted RMS", "measured RMS over seeds", "difference", "median over seeds"):
        table.add_column(heading, justify="right")
    predicted, measured = comparison.prediction.log10_rms, comparison.measured_log10_rms
    last = len(measured) - 1
    for layer, value in enumerate(measured):
        side = " (input side)" if layer == 0 else " (output)" if layer == last else ""
        median = lower_median(comparison.measured[:, layer])
        theory = ("-", "-") if predicted is None else (_log10(predicted[layer]), f"{value - predicted[layer]:+.2f}")
        table.add_row(f"{layer}{side}", theory[0], _log10(value), theory[1], _log10(median))
    return table


def sentences(comparison: Comparison) -> list[str]:
    """Write the statements of theory, and why others do not apply."""
    prediction = comparison.prediction
    profile = f"Profile: {prediction.why_not or '; '.join(prediction.remarks)}."
    return [
        profile,
        f"Mean field: {_mean_field(comparison.mean_field)}.",
        f"Law over seeds: {_law(comparison.seed_law)}.",
        f"Jacobian: {_jacobian(comparison.jacobian)}.",
    ]


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Return the numbers for scripts, as `json_value` has them; what does not apply is None, with its reason."""
    prediction, mean_field, law = comparison.prediction, comparison.mean_field, comparison.seed_law
    return {
        "num_seeds": len(comparison.measured),
        "predicted_log10_rms": None if prediction.log10_rms is None else json_value(prediction.log10_rms),
        "measured_log10_rms": json_value(comparison.measured_log10_rms),
        "profile_note": prediction.why_not or list(prediction.remarks),
        "mean_field": None
        if mean_field.found is None
        else {
            "weight_variance": mean_field.weight_variance,
            "bias_variance": mean_field.bias_variance,
            **json_value(mean_field.found),
            "trainable_depth": json_value(trainable_depth(mean_field.found)),
        },
        "mean_field_note": mean_field.why_not,
        "law_over_seeds": None
        if law.law is None
        else {"mean": law.law.mean, "variance": law.law.variance, "p_value": law.p_value},
        "law_over_seeds_note": law.why_not,
        "jacobian": _jacobian_numbers(comparison.jacobian),
        "jacobian_note": comparison.jacobian.why_not,
        "sentences": sentences(comparison),
    }


def write_theory(comparison: Comparison, experiment: Experiment, folder: Path, title: str) -> list[Path]:
    """Write `theory.json` and the figures that apply; returns their paths.

    Raises:
        InputError: the folder cannot be written.
    """
    figures = {"profile": profile_beside_prediction(comparison, title)}
    mean_field, law = comparison.mean_field, comparison.seed_law
    if mean_field.found is not None:
        network = (mean_field.weight_variance, mean_field.bias_variance)
        figures["phase_diagram"] = phase_diagram(
            experiment.mlp.activations()[0],
            weight_variance=(0.05, max(4.0, 1.3 * network[0])),
            bias_variance=(0.0, max(0.5, 1.3 * network[1])),
            network=network,
        )
    if law.law is not None:
        figures["law_over_seeds"] = seed_histogram(law, title)
    if comparison.jacobian.density is not None:
        figures["jacobian_spectrum"] = spectrum_beside_prediction(comparison.jacobian, title)
    written = [folder / f"{name}.png" for name in figures]
    try:
        for path, figure in zip(written, figures.values(), strict=True):
            figure.savefig(path)
        (folder / "theory.json").write_text(json.dumps(as_dict(comparison), indent=2) + "\n")
    except OSError as error:
        raise InputError(f"cannot write into {str(folder)!r}: {error.strerror or error}") from None
    return [*written, folder / "theory.json"]


def _mean_field(of: MeanFieldOf) -> str:
    numbers = of.found
    if numbers is None:
        return of.why_not
    reach = trainable_depth(numbers)
    depth = "any depth can be trained" if math.isinf(reach) else f"about {_layers(reach)} can be trained"
    note = f"; {numbers.note}" if numbers.note else ""
    return (
        f"weight variance times fan-in {of.weight_variance:.4g}, bias variance {of.bias_variance:.4g}: "
        f"{numbers.phase}, squared gradients change by a factor of {numbers.chi_1:.4g} a layer towards the input, "
        f"{depth}{note}"
    )


def _law(law: SeedLaw) -> str:
    if law.law is None:
        return law.why_not
    verdict = "the measurement agrees with" if law.p_value >= 0.01 else "the measurement is at odds with"
    return (
        f"{verdict} the exact one (Kolmogorov-Smirnov p = {law.p_value:.2g}): ln of the first kernel's squared "
        f"gradient has mean {law.law.mean:.2f} and variance {law.law.variance:.2f}"
    )


def _jacobian(spectrum: JacobianSpectrum) -> str:
    if spectrum.density is None or spectrum.squares is None:
        return spectrum.why_not
    measured, predicted = spectrum.squares, spectrum.density
    return (
        f"from the first to the last hidden layer the mean squared singular value is {measured.mean():.3g}, predicted "
        f"{predicted.mean:.3g}; the largest one has a median of {np.median(measured.max(axis=1)):.3g}, predicted "
        f"{predicted.largest:.3g} in infinitely wide networks"
    )


def _jacobian_numbers(spectrum: JacobianSpectrum) -> dict[str, Any] | None:
    if spectrum.density is None or spectrum.squares is None:
        return None
    return {
        "measured_mean_square": json_value(spectrum.squares.mean()),
        "predicted_mean_square": json_value(spectrum.density.mean),
        "measured_median_largest_square": json_value(np.median(spectrum.squares.max(axis=1))),
        "predicted_largest_square": json_value(spectrum.density.largest),
        "predicted_share_zero": spectrum.density.zero,
    }


def _layers(reach: float) -> str:
    return counted(reach, "hidden layer", form=".0f")


def _log10(value: float) -> str:
    return "zero" if value == -math.inf else f"{value:.2f}"
