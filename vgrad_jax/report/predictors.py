"""What predicts failure, in sentences; every one is computed from the results."""

from collections.abc import Sequence

from vgrad_jax.statistics.predictors import ALL_ARMS, FEWEST, Predictor, label_of
from vgrad_jax.wording import counted

__all__ = ["predictor_sentences"]


def predictor_sentences(found: Sequence[Predictor]) -> list[str]:
    """One sentence for each scope: which measurement predicts failure best there, or that none does.

    Arms of which nothing can be told because nearly all of their runs fare alike share a sentence, the last one of
    the arms.

    Args:
        found: as `vgrad_jax.statistics.predictors.predictors` gives it.
    """
    scopes = {
        scope: [one for one in found if one.scope == scope] for scope in dict.fromkeys(one.scope for one in found)
    }
    alike = [arm for arm, (first, *_) in scopes.items() if arm != ALL_ARMS and first.too_few]
    if len(alike) < 2:
        return [_sentence(scope, ranked) for scope, ranked in scopes.items()]
    arms = [_sentence(arm, ranked) for arm, ranked in scopes.items() if arm not in (*alike, ALL_ARMS)]
    together = (
        f"What predicts failure cannot be told in {len(alike)} arms, of which fewer than {FEWEST} runs converged or "
        f"fewer than {FEWEST} failed: {', '.join(alike)}."
    )
    return [*arms, together, *(_sentence(scope, ranked) for scope, ranked in scopes.items() if scope == ALL_ARMS)]


def _sentence(scope: str, ranked: list[Predictor]) -> str:
    told = [one for one in ranked if one.area is not None]
    if not told:
        reason = ranked[0].why_not.removeprefix("cannot be told: ")
        return f"{scope}: what predicts failure cannot be told ({reason})."
    opening = f"{scope} ({told[0].failed} of {told[0].failed + told[0].converged} runs fail)"
    real = [one for one in told if one.real]
    if not real:
        return (
            f"{opening}: none of {counted(len(told), 'measurement')} at initialisation is seen to predict which runs "
            f"fail; the largest area under the ROC curve is that of the {label_of(told[0].measurement)}, "
            f"{_area(told[0])}."
        )
    best = real[0]
    pooled = "; which arm a run belongs to is part of that" if scope == ALL_ARMS else ""
    return (
        f"{opening}: {len(real)} of {counted(len(told), 'measurement')} at initialisation "
        f"predict{'s' if len(real) == 1 else ''} which runs fail, best the "
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
