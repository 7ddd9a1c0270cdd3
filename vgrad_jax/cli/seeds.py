"""`vgrad seeds`."""

import json
from typing import Annotated

import typer

from vgrad_jax.cli.shared import AsJson
from vgrad_jax.descriptions import number, whole_number
from vgrad_jax.errors import InputError
from vgrad_jax.wording import counted

__all__ = ["seeds"]


def seeds(
    effect: Annotated[
        float | None, typer.Option(help="Smallest difference to detect between two arms' shares of runs that converge.")
    ] = None,
    probability: Annotated[
        float | None, typer.Option(help="Or: how often a run of the better arm beats a run of the other.")
    ] = None,
    half_width: Annotated[
        float | None, typer.Option(help="Or: how far, plus or minus, one arm's share may be off.")
    ] = None,
    power: Annotated[float, typer.Option(help="Chance of detecting a difference that exists (power).")] = 0.9,
    significance: Annotated[float, typer.Option(help="False-positive rate (alpha).")] = 0.05,
    expected_share: Annotated[
        float | None, typer.Option(help="Expected share of runs that converge; by default the worst case.")
    ] = None,
    baseline: Annotated[float | None, typer.Option(hidden=True, help="Older name of --expected-share.")] = None,
    arms: Annotated[int, typer.Option(help="Number of arms, to compute how long the study takes.")] = 2,
    runs_per_second: Annotated[
        float | None, typer.Option(help="Speed of your machine; `vgrad bench` measures it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute how many seeds a question needs.

    Example: vgrad seeds --effect 0.05 --power 0.9 --runs-per-second 12
    """
    from vgrad_jax.statistics import planning

    whole_number("--arms", arms, minimum=1)
    if expected_share is not None and baseline is not None:
        raise InputError("--baseline is the older name of --expected-share; give one of them")
    share = baseline if expected_share is None else expected_share
    if sum(value is not None for value in (effect, probability, half_width)) != 1:
        raise InputError("give one of --effect, --probability and --half-width")
    if effect is not None:
        needed = planning.seeds_needed(effect, power, baseline=share, significance=significance)
        at = "whatever the shares are" if share is None else f"from a share of {100 * share:g} %"
        question = f"to detect a difference of {100 * effect:g} points between two arms' shares of converged runs, {at}"
        risks = f"with a power of {100 * power:g} % and a false-positive rate of {100 * significance:g} %, two-sided"
    elif probability is not None:
        if share is not None:
            raise InputError("--expected-share goes with --effect or --half-width")
        needed = planning.seeds_needed_to_be_better(probability, power, significance=significance)
        question = f"to detect that a run of one arm beats a run of another in {100 * probability:g} % of pairs"
        risks = f"with a power of {100 * power:g} % and a false-positive rate of {100 * significance:g} %, one-sided"
    elif half_width is not None:
        needed = planning.seeds_needed_to_know(half_width, share=0.5 if share is None else share)
        at = "whatever the share is" if share is None else f"at a share of {100 * share:g} %"
        question = f"to know an arm's share of converged runs within {100 * half_width:g} points, {at}"
        risks = "with 95 % confidence"
    lines = [f"Train {counted(needed, 'seed')} per arm {question}, {risks}."]
    numbers: dict[str, float | int] = {"seeds": needed}
    if runs_per_second is not None:
        rate = number("--runs-per-second", runs_per_second, above=0.0)
        seconds = arms * needed / rate
        numbers |= {"arms": arms, "seconds": seconds}
        trainings = counted(arms * needed, "training")
        lines.append(f"{counted(arms, 'arm is', 'arms are')} {trainings}: {_duration(seconds)} at {rate:g} a second.")
    print(json.dumps({**numbers, "answer": " ".join(lines)}, indent=2) if as_json else "\n".join(lines))


def _duration(seconds: float) -> str:
    """Return a duration in the largest unit of which it has two or more."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return counted(seconds, "second", form=".0f")
