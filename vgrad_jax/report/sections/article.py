"""The article's own runs among the seeds."""

from typing import Any, NamedTuple

from vgrad_jax.report.section import Block, Section
from vgrad_jax.report.study import Study
from vgrad_jax.report.words import percent
from vgrad_jax.statistics.intervals import Estimate, share
from vgrad_jax.statistics.published import QUIET_EPOCHS, TANH_ARM, Placement, is_the_articles, learned_by
from vgrad_jax.wording import counted

__all__ = ["SECTION"]


class Article(NamedTuple):
    """The article's claims that these results can be held against."""

    placements: list[Placement]
    quiet: Estimate | None
    """Share of seeds that learn nothing for as long as the article's failing run; None where it cannot be told."""


def _compute(study: Study) -> Article:
    quiet = None
    if TANH_ARM in study.arms and is_the_articles(study.arms[TANH_ARM], TANH_ARM):
        learned = learned_by(study.results, TANH_ARM)
        quiet = None if learned is None else share(int((~learned).sum()), len(learned))
    return Article(study.placements, quiet)


def _block(article: Article) -> Block | None:
    sentences = _sentences(article)
    if not sentences:
        return None
    return Block(
        "Where the article's own runs fall",
        intro="The article shows one run of each network. These are its printed numbers among the seeds.",
        items=sentences,
        after_remarks=True,
    )


def _sentences(article: Article) -> list[str]:
    sentences = [_placement(placement) for placement in article.placements]
    if article.quiet is not None:
        sentences.append(
            f"{TANH_ARM}: the article's run learned nothing in the first {QUIET_EPOCHS} epochs; here the same is "
            f"true of {percent(article.quiet)} of {counted(article.quiet.n, 'seed')} (training accuracy never 5 points "
            "above always naming one class)."
        )
    return sentences


def _placement(placement: Placement) -> str:
    low, middle, high = placement.quantiles
    style = ".1%" if "accuracy" in placement.quantity else ".4f"
    side = "within" if placement.inside else "outside"
    return (
        f"{placement.arm}, {placement.quantity}: the article's run has {placement.published:{style}}, {side} the "
        f"central 90 % of {counted(placement.n, 'seed')} ({low:{style}} to {high:{style}}, median {middle:{style}}); "
        f"{placement.share_below:.0%} of seeds are below it."
    )


def _numbers(article: Article) -> dict[str, Any]:
    return {
        "article": [{**placement._asdict(), "inside": placement.inside} for placement in article.placements],
        "article_sentences": _sentences(article),
    }


SECTION = Section("article", _compute, block=_block, numbers=_numbers)
