"""What predicts failure, in sentences; every one is computed from the results."""

from collections.abc import Sequence

from vgrad_jax.statistics.predictors import ALL_ARMS, Predictor, label_of

__all__ = ["predictor_sentences"]


def predictor_sentences(found: Sequence[Predictor]) -> list[str]:
    """One sentence for each scope: which measurement predicts failure best there, or that none does.

    Args:
        found: as `vgrad_jax.statistics.predictors.predictors` gives it.
    """
    scopes = dict.fromkeys(one.scope for one in found)
    return [_sentence(scope, [one for one in found if one.scope == scope]) for scope in scopes]


def _sentence(scope: str, ranked: list[Predictor]) -> str:
    told = [one for one in ranked if one.area is not None]
    if not told:
        reason = ranked[0].why_not.removeprefix("cannot be told: ")
        return f"{scope}: what predicts failure cannot be told ({reason})."
    opening = f"{scope} ({told[0].failed} of {told[0].failed + told[0].converged} runs fail)"
    real = [one for one in told if one.real]
    if not real:
        return (
            f"{opening}: none of {len(told)} measurements at initialisation is seen to predict which runs fail; the "
            f"largest area under the ROC curve is that of the {label_of(told[0].measurement)}, {_area(told[0])}."
        )
    best = real[0]
    pooled = "; which arm a run belongs to is part of that" if scope == ALL_ARMS else ""
    return (
        f"{opening}: {len(real)} of {len(told)} measurements at initialisation predict which runs fail, best the "
        f"{label_of(best.measurement)}, with an area under the ROC curve of {_area(best)}: {best.direction} values "
        f"mean failure{pooled}."
    )


def _area(one: Predictor) -> str:
    """The area in the direction in which it is 0.5 or larger."""
    assert one.area is not None
    value, low, high, _ = one.area
    if value < 0.5:
        value, low, high = 1 - value, 1 - high, 1 - low
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
