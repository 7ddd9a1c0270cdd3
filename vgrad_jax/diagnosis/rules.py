"""Table of rules: pure functions from the evidence of one seed to its findings, with their sources."""

from vgrad_jax.diagnosis.findings import Finding, Rule
from vgrad_jax.diagnosis.rules_of_gradients import dead, exploding, saturated, underflow, vanishing
from vgrad_jax.diagnosis.rules_of_models import collinear, ill_posed, ill_scaled
from vgrad_jax.diagnosis.rules_of_training import (
    chance_level,
    learning_rate_large,
    learning_rate_small,
    non_finite,
    notes,
    solved,
    too_few_steps,
)

__all__ = ["RULES", "Finding", "Rule"]

RULES: dict[str, Rule] = {
    "ill_posed": Rule(ill_posed, "Humbatova et al. 2020, arXiv:1910.11015: faults of output, loss and labels"),
    "non_finite": Rule(non_finite, "IEEE 754: infinity and NaN pass through every sum"),
    "exploding": Rule(exploding, "He et al. 2015, arXiv:1502.01852; Hanin 2018, arXiv:1801.03744"),
    "learning_rate_large": Rule(
        learning_rate_large, "LeCun et al. 1998, Efficient BackProp: a step beyond twice the optimum"
    ),
    "underflow": Rule(underflow, "Micikevicius et al. 2018, arXiv:1710.03740"),
    "solved": Rule(solved, "the gradient of a loss that reaches its lower bound is zero"),
    "collinear": Rule(
        collinear, "Saxe et al. 2014, arXiv:1312.6120: modes are learned at rates of their singular values"
    ),
    "dead": Rule(dead, "Lu et al. 2019, arXiv:1903.06733"),
    "saturated": Rule(saturated, "Glorot and Bengio 2010, AISTATS"),
    "vanishing": Rule(vanishing, "Hochreiter 1991; Schoenholz et al. 2017, arXiv:1611.01232"),
    "learning_rate_small": Rule(learning_rate_small, "Karpathy 2022, makemore part 3: update over weights"),
    "ill_scaled": Rule(ill_scaled, "LeCun et al. 1998, Efficient BackProp: inputs of mean zero and variance one"),
    "too_few_steps": Rule(too_few_steps, "Humbatova et al. 2020, arXiv:1910.11015: too few epochs"),
    "chance_level": Rule(chance_level, "the best constant prediction is what an untrained output can reach"),
    "notes": Rule(notes, "facts beside the verdict"),
}
"""Rules by the status that they speak for; the last one speaks for none."""
